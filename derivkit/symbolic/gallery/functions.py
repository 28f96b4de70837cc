"""Gallery: functions of arrays, activations and losses."""

ROWS = """
== softmax  wrt x
# softmax: its Jacobian is diag(y) - y y^T
x: K
y = softmax(x)

== log_softmax  wrt x
# log-softmax: its Jacobian is delta - softmax
x: K
y = log_softmax(x)

== softmax_by_hand  wrt z
# softmax written out by hand, then cross entropy
z: K
t: onehot K
e = exp(z)
Z = sum(e)
p = e/Z
E = cross_entropy(t, p)

== logsumexp  wrt x
# logsumexp: its gradient is softmax
x: K
L = logsumexp(x)

== sigmoid  wrt x
# the logistic sigmoid
x: N
y = sigmoid(x)

== tanh  wrt x
# the hyperbolic tangent
x: N
y = tanh(x)

== relu  wrt x
# the rectifier
x: N
y = relu(x)

== gelu  wrt x
# the Gaussian error linear unit, x Phi(x)
x: N
y = gelu(x)

== swish  wrt x beta
# swish, x times a sigmoid of slope beta
x: N
beta:
y = x*sigmoid(beta*x)

== elu  wrt x alpha
# the exponential linear unit
x: N
alpha: positive
y = elu(x, alpha)

== softplus  wrt x
# softplus: its derivative is the sigmoid
x: N
y = softplus(x)

== temperature  wrt z tau
# cross entropy of a softmax with a temperature
z: K
t: onehot K
tau: positive
y = softmax(z/tau)
E = cross_entropy(t, y)

== cross_entropy  wrt y
# cross entropy of probabilities y with a one-hot t
t: onehot K
y: positive K
E = cross_entropy(t, y)

== softmax_cross_entropy  wrt z
# cross entropy of a softmax with a one-hot t: y - t
z: K
t: onehot K
y = softmax(z)
E = cross_entropy(t, y)

== softmax_cross_entropy_undeclared  wrt z t
# cross entropy of a softmax, nothing said of t: its sum stays
z: K
t: K
y = softmax(z)
E = cross_entropy(t, y)

== softmax_cross_entropy_label  wrt z
# cross entropy of a softmax with an integer label
z: K
k: label K
y = softmax(z)
E = cross_entropy(k, y)

== softmax_cross_entropy_batched  wrt Z
# mean cross entropy of a batch of softmaxes
Z: N, K
T: onehot N, K
Y = softmax(Z)
E = sum(cross_entropy(T, Y))/N

== label_smoothing  wrt z
# cross entropy with a smoothed label
z: K
t: onehot K
eps: positive
s = (1 - eps)*t + eps/K
y = softmax(z)
E = cross_entropy(s, y)

== kl_softmaxes  wrt a b
# Kullback-Leibler divergence between two softmaxes
a: K
b: K
p = softmax(a)
q = softmax(b)
E = kl_div(p, q)

== bce  wrt p
# binary cross entropy of probabilities
t: mask N
p: positive N
E = binary_cross_entropy(t, p)

== bce_logits  wrt z
# binary cross entropy on logits: p - t
t: N
z: N
p = sigmoid(z)
E = binary_cross_entropy(t, p)

== focal  wrt z
# focal loss of a softmax
z: K
t: onehot K
gamma: positive
p = softmax(z)
E = -sum(t*(1 - p)**gamma*log(p))

== entropy  wrt p
# entropy of a distribution
p: positive K
H = -sum(p*log(p))

== softmax_entropy  wrt z
# entropy of a softmax
z: K
p = softmax(z)
H = -sum(p*log(p))

== squared_error  wrt y
# half the squared error
y: N
t: N
E = squared_error(y, t)/2

== huber  wrt y
# Huber's loss: quadratic up to c, then linear
y: N
t: N
c: positive
E = huber(y, t, c)

== hinge  wrt s
# hinge loss for labels -1 and 1
t: N
s: N
E = hinge(t, s)

== dice  wrt p
# soft Dice loss for segmentation
p: positive N
t: mask N
E = 1 - 2*sum(p*t)/(sum(p) + sum(t))

== triplet  wrt a p n
# triplet loss with a margin
a: D
p: D
n: D
m: positive
E = relu(sum((a - p)**2) - sum((a - n)**2) + m)
"""
