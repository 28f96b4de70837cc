"""Gallery: normalisation, attention, gates, recurrence and embeddings."""

ROWS = """
== layer_norm  wrt X gamma beta
# layer normalisation of a batch, its output weighted by G
X: N, D
gamma: D
beta: D
G: N, D
mu = mean(X, axis=1)
s = sqrt(mean((X - mu[:, None])**2, axis=1) + 1e-5)
n = (X - mu[:, None])/s[:, None]
Y = gamma*n + beta
E = sum(G*Y)

== rms_norm  wrt x gamma
# root mean square normalisation, its output weighted by g
x: D
gamma: D
g: D
r = sqrt(mean(x**2) + 1e-5)
n = x/r
y = gamma*n
E = g @ y

== batch_norm  wrt X gamma beta
# batch normalisation through the statistics of the batch, its output weighted by G
X: N, D
gamma: D
beta: D
G: N, D
mu = mean(X, axis=0)
s = sqrt(mean((X - mu)**2, axis=0) + 1e-5)
n = (X - mu)/s
Y = gamma*n + beta
E = sum(G*Y)

== attention_masked  wrt Q K V
# scaled attention with a mask B (0, or far below 0), its output weighted by G
Q: N, D
K: M, D
V: M, L
B: N, M
G: N, L
S = Q @ K.T/sqrt(D) + B
P = softmax(S)
O = P @ V
E = sum(G*O)

== self_attention  wrt X Wq Wk Wv
# self-attention with its three projections, its output weighted by G
X: N, D
Wq: D, M
Wk: D, M
Wv: D, L
G: N, L
Q = X @ Wq
K = X @ Wk
V = X @ Wv
A = softmax(Q @ K.T/sqrt(M))
O = A @ V
E = sum(G*O)

== multi_query_attention  wrt Q K V
# multi-query attention: heads with queries of their own share keys and values
Q: H, N, D
K: M, D
V: M, L
G: H, N, L
A = softmax(Q @ K.T/sqrt(D))
O = A @ V
E = sum(G*O)

== residual_block  wrt x W1 W2
# residual block with one hidden layer, its output weighted by g
x: D
W1: M, D
W2: D, M
g: D
h = relu(W1 @ x)
y = x + W2 @ h
E = g @ y

== gated_linear_unit  wrt x W V
# gated linear unit, its output weighted by u
x: D
W: M, D
V: M, D
u: M
g = sigmoid(W @ x)
y = g*(V @ x)
E = u @ y

== dropout  wrt W x
# linear layer on inputs kept with probability q by the mask m, squared error
x: D
m: mask D
q: positive
W: M, D
t: M
y = W @ (m*x/q)
E = sum((y - t)**2)

== rnn_step  wrt W U b h
# one step of a recurrent network, its state weighted by v
x: D
h: M
W: M, D
U: M, M
b: M
v: M
y = tanh(W @ x + U @ h + b)
E = v @ y

== rnn_two_steps  wrt W U V
# two steps of a recurrent network with shared weights, a label at each
x1: D
x2: D
h0: M
W: M, D
U: M, M
V: K, M
t1: onehot K
t2: onehot K
h1 = tanh(W @ x1 + U @ h0)
h2 = tanh(W @ x2 + U @ h1)
y1 = softmax(V @ h1)
y2 = softmax(V @ h2)
E = cross_entropy(t1, y1) + cross_entropy(t2, y2)

== lstm_cell  wrt Wi Wf Wo Wg c0
# LSTM cell on x and h together as u, its state weighted by v
u: D
c0: M
Wi: M, D
Wf: M, D
Wo: M, D
Wg: M, D
v: M
i = sigmoid(Wi @ u)
f = sigmoid(Wf @ u)
o = sigmoid(Wo @ u)
g = tanh(Wg @ u)
c = f*c0 + i*g
h = o*tanh(c)
E = v @ h

== gru_cell  wrt Wz Uz Wr Ur Wn Un h
# GRU cell, its new state weighted by v
x: D
h: M
Wz: M, D
Uz: M, M
Wr: M, D
Ur: M, M
Wn: M, D
Un: M, M
v: M
z = sigmoid(Wz @ x + Uz @ h)
r = sigmoid(Wr @ x + Ur @ h)
n = tanh(Wn @ x + Un @ (r*h))
y = (1 - z)*n + z*h
E = v @ y

== embedding_classifier  wrt E W
# bag of words: mean of the embeddings of a text's words, linear layer, label
E: V, D
W: K, D
idx: label V, N
k: label K
h = mean(E[idx], axis=0)
y = softmax(W @ h)
L = cross_entropy(k, y)
"""
