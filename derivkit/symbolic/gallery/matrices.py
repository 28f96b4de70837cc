"""Gallery: inverses, linear systems and determinants."""

ROWS = """
== log_determinant  wrt X
# log |det X|: its gradient is X^-T
X: N, N
L = logdet(X)

== determinant  wrt X
# the determinant, Jacobi's formula: det(X) X^-T
X: N, N
D = det(X)

== inverse  wrt X
# the inverse by its matrix: -Z dX Z, entry by entry
X: N, N
Z = inv(X)

== inverse_form  wrt X a b
# a form of the inverse: -X^-T a b^T X^-T
X: N, N
a: N
b: N
E = a @ inv(X) @ b

== inverse_quadratic_form  wrt x A
# a quadratic form of the inverse
x: N
A: N, N
q = x @ inv(A) @ x

== trace_inverse  wrt X
# trace of the inverse: -(X^-2)^T
X: N, N
E = trace(inv(X))

== trace_inverse_product  wrt X A
# trace of an inverse times a matrix
X: N, N
A: N, N
E = trace(inv(X) @ A)

== determinant_product  wrt A B
# determinant of a product
A: N, N
B: N, N
D = det(A @ B)

== gram_determinant  wrt A
# log-determinant of a Gram matrix: 2 (A A^T)^-1 A
A: M, D
L = logdet(A @ A.T)

== shifted_gram_determinant  wrt A
# log-determinant of I + A A^T
A: N, D
L = logdet(A @ A.T + eye(N))

== linear_system  wrt A b
# squared error of the solution of a linear system
A: N, N
b: N
t: N
x = solve(A, b)
E = sum((x - t)**2)

== linear_systems  wrt A B
# squared error of the solutions of linear systems, a column each
A: N, N
B: N, K
T: N, K
X = solve(A, B)
E = sum((X - T)**2)

== gaussian_covariance  wrt mu Sigma
# log-likelihood of a Gaussian with mean mu and covariance Sigma
x: D
mu: D
Sigma: symmetric D, D
d = x - mu
l = -(d @ inv(Sigma) @ d + logdet(Sigma) + D*log(2*pi))/2

== gaussian_by_solving  wrt mu Sigma
# the same likelihood up to constants, by a linear system
x: D
mu: D
Sigma: symmetric D, D
d = x - mu
u = solve(Sigma, d)
E = d @ u/2 + logdet(Sigma)/2

== mahalanobis  wrt x mu S
# squared Mahalanobis distance
x: D
mu: D
S: symmetric D, D
q = (x - mu) @ inv(S) @ (x - mu)

== ridge_closed_form  wrt y lam
# test error of ridge regression in closed form, by the strength of its penalty
X: N, D
y: N
lam: positive
V: M, D
t: M
w = solve(X.T @ X + lam*eye(D), X.T @ y)
E = sum((V @ w - t)**2)

== normal_equations  wrt y x
# a prediction by least squares, through the normal equations
x: D
t:
X: N, D
y: N
w = solve(X.T @ X, X.T @ y)
E = (x @ w - t)**2

== woodbury  wrt U C
# a form of the inverse of a matrix with a low-rank update
A: N, N
U: N, K
C: K, K
b: N
M = A + U @ C @ U.T
q = b @ solve(M, b)

== kalman_update  wrt m z R
# Kalman filter: squared error of the mean after an update with gain K
m: N
P: symmetric N, N
H: M, N
R: symmetric M, M
z: M
x: N
S = H @ P @ H.T + R
K = P @ H.T @ inv(S)
u = m + K @ (z - H @ m)
E = sum((u - x)**2)
"""
