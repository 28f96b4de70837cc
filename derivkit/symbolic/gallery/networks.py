"""Gallery: layers and networks."""

ROWS = """
== linear  wrt x W b
# one linear layer
x: D
W: M, D
b: M
y = W @ x + b

== linear_batched  wrt X W b
# one linear layer on a batch
X: N, D
W: M, D
b: M
Y = X @ W.T + b

== two_layer_tanh  wrt W1 W2 x
# two-layer tanh network with softmax and cross entropy
x: D
W1: M, D
W2: K, M
t: onehot K
h = tanh(W1 @ x)
y = softmax(W2 @ h)
E = cross_entropy(t, y)

== two_layer_tanh_batched  wrt W1 W2
# two-layer tanh network on a batch, mean loss
X: N, D
W1: M, D
W2: K, M
T: onehot N, K
H = tanh(X @ W1.T)
Y = softmax(H @ W2.T)
E = sum(cross_entropy(T, Y))/N

== three_layer_relu  wrt W1 W2 W3
# three-layer ReLU network without biases
x: D
W1: M, D
W2: L, M
W3: K, L
t: onehot K
h1 = relu(W1 @ x)
h2 = relu(W2 @ h1)
y = softmax(W3 @ h2)
E = cross_entropy(t, y)

== three_layer_relu_biases  wrt W1 b1 W2 b2 W3 b3
# three-layer ReLU network with biases
x: D
W1: M, D
b1: M
W2: L, M
b2: L
W3: K, L
b3: K
t: onehot K
h1 = relu(W1 @ x + b1)
h2 = relu(W2 @ h1 + b2)
y = softmax(W3 @ h2 + b3)
E = cross_entropy(t, y)

== sigmoid_mlp  wrt W1 b1 W2 b2 W3 b3
# three-layer sigmoid network with biases
x: D
W1: M, D
b1: M
W2: L, M
b2: L
W3: K, L
b3: K
t: onehot K
h1 = sigmoid(W1 @ x + b1)
h2 = sigmoid(W2 @ h1 + b2)
y = softmax(W3 @ h2 + b3)
E = cross_entropy(t, y)

== relu_residual  wrt x0 w0 b0 w1 b1
# a ReLU residual block of scalars, node by node
x0:
w0:
b0:
w1:
b1:
xw0 = x0*w0
y0 = xw0 + b0
h0 = relu(y0)
hw1 = h0*w1
y1 = hw1 + b1
z = relu(y1 + x0)

== deep_linear  wrt W1 W2 W3
# deep linear network with squared error
x: D
W1: M, D
W2: L, M
W3: K, L
t: K
y = W3 @ W2 @ W1 @ x
E = squared_error(y, t)/2

== tied_autoencoder  wrt W b c
# autoencoder with tied weights
x: D
W: M, D
b: M
c: D
h = tanh(W @ x + b)
r = W.T @ h + c
E = sum((r - x)**2)

== residual_tanh  wrt W x
# one residual tanh layer
x: D
W: D, D
g: D
y = x + tanh(W @ x)
E = g @ y

== attention_head  wrt Q K V
# one attention head, its output weighted by G
Q: N, D
K: M, D
V: M, L
G: N, L
A = softmax(Q @ K.T/sqrt(D))
O = A @ V
E = sum(G*O)

== standardise  wrt x
# layer normalisation written out, its output weighted by g
x: D
g: D
eps: positive
m = mean(x)
c = x - m
v = mean(c**2)
s = sqrt(v + eps)
n = c/s
E = g @ n
"""


def deep_sigmoid(layers: int) -> str:
    """Return the program of a sigmoid network with ``layers`` weight matrices, softmax and cross entropy on top.

    >>> print(deep_sigmoid(1))
    # sigmoid network with 1 layer, softmax and cross entropy
    x: D0
    W1: D1, D0
    t: onehot D1
    y = softmax(W1 @ x)
    E = cross_entropy(t, y)
    """
    inputs = ["x", *(f"h{n}" for n in range(1, layers))]
    return "\n".join(
        [
            f"# sigmoid network with {layers} layer{'s' if layers > 1 else ''}, softmax and cross entropy",
            "x: D0",
            *(f"W{n}: D{n}, D{n - 1}" for n in range(1, layers + 1)),
            f"t: onehot D{layers}",
            *(f"h{n} = sigmoid(W{n} @ {inputs[n - 1]})" for n in range(1, layers)),
            f"y = softmax(W{layers} @ {inputs[-1]})",
            "E = cross_entropy(t, y)",
        ]
    )
