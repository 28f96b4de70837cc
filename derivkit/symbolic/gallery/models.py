"""Gallery: regression, likelihoods, factorisations and forms."""

ROWS = """
== least_squares  wrt w
# least squares, mean over the samples
X: N, D
w: D
y: N
E = sum((X @ w - y)**2)/N

== quadratic_regression  wrt w
# quadratic regression on the features 1, x, x^2
x: N
y: N
w: 3
X = stack(ones(N), x, x**2, axis=1)
E = sum((X @ w - y)**2)/N

== ridge  wrt w
# ridge regression
X: N, D
w: D
y: N
lam: positive
E = sum((X @ w - y)**2)/N + lam*sum(w**2)

== lasso  wrt w
# lasso regression
X: N, D
w: D
y: N
lam: positive
E = sum((X @ w - y)**2)/(2*N) + lam*sum(abs(w))

== logistic  wrt w
# logistic regression, labels 0 and 1
X: N, D
w: D
t: N
p = sigmoid(X @ w)
E = sum(binary_cross_entropy(t, p))/N

== logistic_signs  wrt w
# logistic regression, labels -1 and 1
X: N, D
w: D
t: N
E = sum(softplus(-t*(X @ w)))/N

== poisson  wrt w
# Poisson regression with a log link
X: N, D
w: D
k: N
E = sum(exp(X @ w) - k*(X @ w))

== svm  wrt w b
# linear support vector machine
X: N, D
w: D
b:
t: N
C: positive
E = w @ w/2 + C*hinge(t, X @ w + b)

== gaussian_known_variance  wrt mu
# Gaussian log-likelihood of the mean, variance known
x: N
mu:
v: positive
L = -sum((x - mu)**2)/(2*v)

== gaussian_unknown_variance  wrt mu v
# Gaussian log-likelihood of mean and variance
x: N
mu:
v: positive
L = -N*log(2*pi*v)/2 - sum((x - mu)**2)/(2*v)

== gaussian_multivariate  wrt mu P
# Gaussian log-likelihood by the precision matrix, without its log-determinant
X: N, D
mu: D
P: symmetric D, D
R = X - mu
L = -sum((R @ P)*R)/2

== matrix_factorisation  wrt U V
# matrix factorisation of observed ratings with weight decay
R: N, M
O: mask N, M
U: N, K
V: M, K
lam: positive
E = sum(O*(U @ V.T - R)**2) + lam*(sum(U**2) + sum(V**2))

== quadratic_form  wrt x A
# a quadratic form
x: N
A: N, N
f = x @ A @ x

== quadratic_form_symmetric  wrt x
# a quadratic form with a symmetric matrix
x: N
A: symmetric N, N
f = x @ A @ x

== bilinear_form  wrt x y A
# a bilinear form
x: N
y: M
A: N, M
f = x @ A @ y

== frobenius  wrt X
# squared Frobenius norm of a residual
A: M, N
X: N, K
B: M, K
E = sum((A @ X - B)**2)

== frobenius_norm  wrt A
# the Frobenius norm
A: M, N
f = norm(A)

== euclidean_norm  wrt x
# the Euclidean norm
x: N
r = norm(x)

== trace_product  wrt X
# the trace of a product
A: M, N
X: N, M
f = trace(A @ X)

== cosine_similarity  wrt x
# cosine similarity of two vectors
x: N
y: N
c = x @ y/(norm(x)*norm(y))

== rayleigh  wrt x
# Rayleigh quotient of a symmetric matrix
x: N
A: symmetric N, N
r = (x @ A @ x)/(x @ x)
"""
