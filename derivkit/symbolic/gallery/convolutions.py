"""Gallery: convolution and pooling."""

ROWS = """
== convolution_by_hand  wrt w x
# convolution as an index definition, squared error of its output
w: P
x: L
t: L-P+1
y[i] = sum[p](w[p]*x[i+p])
E = sum((y - t)**2)/2

== conv1d  wrt x w
# convolution of a signal: its Jacobian by x has the taps along its diagonals
w: P
x: L
y = conv1d(x, w)

== conv1d_channels  wrt x w b
# convolution layer on a sequence, a channel for each filter, its output weighted by G
w: O, C, P
b: O
x: C, L
G: O, L-P+1
y = conv1d(x, w) + b[:, None]
E = sum(G*y)

== conv1d_strided  wrt x w
# strided convolution, its output weighted by g
w: P
x: L
g: (L-P)//2+1
y = conv1d(x, w, stride=2)
E = sum(g*y)

== conv1d_dilated  wrt x w
# dilated convolution, its output weighted by g
w: P
x: L
g: L-2*P+2
y = conv1d(x, w, dilation=2)
E = sum(g*y)

== conv2d  wrt x w
# batched multi-channel convolution, its output weighted by G
w: O, C, P, Q
x: N, C, H, W
G: N, O, H-P+1, W-Q+1
y = conv2d(x, w)
E = sum(G*y)

== conv2d_same  wrt x w
# 3 x 3 image filter with an output as large as the image, squared error of its output
w: 3, 3
x: H, W
t: H, W
y = conv2d(x, w, padding="same")
E = sum((y - t)**2)/2

== conv_net  wrt w W b
# small convolutional network: convolution, relu, pooling, a linear layer, softmax
w: O, C, P, P
x: C, 2*H+P-1, 2*H+P-1
W: K, O*H*H
b: K
t: onehot K
c = conv2d(x, w)
h = relu(c)
p = max_pool2d(h, 2)
f = reshape(p, -1)
y = softmax(W @ f + b)
E = cross_entropy(t, y)

== average_pooling  wrt x
# average pooling, its output weighted by G
x: C, 2*H, 2*W
G: C, H, W
y = avg_pool2d(x, 2)
E = sum(G*y)

== max_pooling  wrt x
# max pooling, its output weighted by G
x: C, 2*H, 2*W
G: C, H, W
y = max_pool2d(x, 2)
E = sum(G*y)

== global_average_pooling  wrt x V
# mean over an image's places, then a linear layer with softmax and a label
x: C, H, W
V: K, C
k: label K
m = mean(x, axis=(1, 2))
y = softmax(V @ m)
E = cross_entropy(k, y)

== smooth_signal  wrt x
# denoising: squared distance to a signal and squared differences of neighbours
x: L
y: L
lam: positive
E = sum((x - y)**2) + lam*sum((x[1:] - x[:-1])**2)
"""
