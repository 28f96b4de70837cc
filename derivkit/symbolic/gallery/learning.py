"""Gallery: contrastive losses, generative models, policies and preferences."""

ROWS = """
== info_nce  wrt U V
# info-NCE: each row of U recognises its own row of V among all
U: N, D
V: N, D
tau: positive
P = softmax(U @ V.T/tau)
E = -sum(log(diag(P)))/N

== contrastive_cosine  wrt a b
# cosine distance of a pair of embeddings
a: D
b: D
u = a/norm(a)
v = b/norm(b)
c = u @ v
E = 1 - c

== contrastive_margin  wrt a
# contrastive loss: like pairs attract, others keep a margin m
a: D
b: D
y: mask
m: positive
d = norm(a - b)
E = y*d**2 + (1 - y)*relu(m - d)**2

== negative_sampling  wrt v u U
# word vectors by negative sampling: a word v, its neighbour u, rows of U that are none
v: D
u: D
U: K, D
p = sigmoid(u @ v)
q = sigmoid(U @ v)
E = -log(p) - sum(log(1 - q))

== distillation  wrt z
# knowledge distillation: divergence of softened softmaxes of teacher and student
a: K
z: K
tau: positive
p = softmax(a/tau)
q = softmax(z/tau)
E = tau**2*kl_div(p, q)

== vae  wrt mu l W
# variational autoencoder: reconstruction of a sample plus divergence from a unit Gaussian
x: D
mu: M
l: M
epsilon: M
W: D, M
s = exp(l/2)
z = mu + s*epsilon
p = sigmoid(W @ z)
R = binary_cross_entropy(x, p)
K = sum(s**2 + mu**2 - 1 - l)/2
E = R + K

== mixture  wrt m a
# log density of a Gaussian mixture, its weights a softmax: responsibilities r
x:
m: K
a: K
v: positive
p = softmax(a)
d = p*exp(-(x - m)**2/(2*v))
r = d/sum(d)
L = log(sum(d))

== policy_gradient  wrt theta
# expected reward of a softmax policy, by actions
X: N, D
theta: D
R: N
p = softmax(X @ theta)
J = p @ R

== reinforce  wrt W
# log-probability of the chosen action k times its advantage A
x: D
W: K, D
k: label K
A:
p = softmax(W @ x)
J = A*log(p[k])

== preference  wrt a b
# logistic loss of preferring a to b, log-probabilities against those of a reference
a: N
b: N
a0: N
b0: N
beta: positive
d = beta*((a - a0) - (b - b0))
E = -sum(log(sigmoid(d)))/N
"""
