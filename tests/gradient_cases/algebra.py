"""Linear algebra: order, transposes, symmetry, indices, broadcasting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradient_cases.rows import Row, family, right, wrong


@family
def matrices(r: np.random.Generator) -> Iterator[Row]:
    A, B, C = (r.normal(size=(4, 4)) for _ in range(3))
    x = r.normal(size=4)
    quad = lambda x: x @ A @ x
    yield right("quadratic form", quad, lambda x: (A + A.T) @ x, x)
    yield wrong("quadratic form: A x", "dense", quad, lambda x: A @ x, x)
    yield wrong("quadratic form: 2 A x", "dense", quad, lambda x: 2 * A @ x, x)
    product = lambda A, B: np.sum(C * (A @ B))
    yield right("product", product, lambda A, B: (C @ B.T, A.T @ C), A, B)
    yield wrong("product: B not transposed", "dense", product, lambda A, B: (C @ B, A.T @ C), A, B, blame=(0,))
    yield wrong(
        "product: factors in the wrong order", "dense|transpose", product, lambda A, B: (C @ B.T, C @ A.T), A, B, blame=(1,)
    )
    yield wrong("product: transposed", "transpose", product, lambda A, B: (B @ C.T, A.T @ C), A, B, blame=(0,))
    yield wrong("product: exchanged", "swapped-args", product, lambda A, B: (A.T @ C, C @ B.T), A, B)
    S = A @ A.T + 4 * np.eye(4)
    logdet = lambda M: np.log(np.linalg.det(M))
    M = S + 0.5 * B
    yield right("log det", logdet, lambda M: np.linalg.inv(M).T, M)
    yield wrong("log det: not transposed", "transpose", logdet, np.linalg.inv, M)
    yield wrong("log det: of det", f"scale:{np.linalg.det(M):.10g}", logdet, lambda M: np.linalg.det(M) * np.linalg.inv(M).T, M)
    det = lambda M: np.linalg.det(M)
    yield right("det", det, lambda M: np.linalg.det(M) * np.linalg.inv(M).T, M)
    yield wrong("det: 1/det", f"scale:{(1 / np.linalg.det(M)):.10g}", det, lambda M: np.linalg.inv(M).T, M)
    inverse = lambda M: np.sum(C * np.linalg.inv(M))
    turn = lambda M: np.linalg.inv(M).T @ C @ np.linalg.inv(M).T
    yield right("inverse", inverse, lambda M: -turn(M), M)
    yield wrong("inverse: sign", "sign", inverse, turn, M)
    yield wrong("inverse: one inverse only", "dense", inverse, lambda M: -np.linalg.inv(M).T @ C, M)
    solve = lambda M, y: C[0] @ np.linalg.solve(M, y)

    def adjoint(M, y, turned=True):
        back = np.linalg.solve(M.T if turned else M, C[0])
        return -np.outer(back, np.linalg.solve(M, y)), back

    yield right("solve", solve, adjoint, M, x)
    yield wrong("solve: matrix not transposed", "dense|missing-factor", solve, lambda M, y: adjoint(M, y, False), M, x)
    outer = lambda M, y: (adjoint(M, y)[0].T.copy(), adjoint(M, y)[1])
    yield wrong("solve: outer product turned", "transpose", solve, outer, M, x, blame=(0,))
    frob = lambda M: np.sqrt(np.sum(M**2))
    yield right("Frobenius norm", frob, lambda M: M / np.linalg.norm(M), M)
    yield wrong("Frobenius norm: not divided", f"scale:{np.linalg.norm(M):.10g}", frob, lambda M: M, M)
    gauss = lambda S: np.log(np.linalg.det(S)) + x @ np.linalg.solve(S, x)

    def precise(S):
        P = np.linalg.inv(S)
        return P - np.outer(P @ x, P @ x)

    triangle = lambda g: 2 * g - np.diag(np.diagonal(g))
    yield right("Gaussian", gauss, precise, S)
    yield wrong("Gaussian: as if one triangle moved both", "missing-factor", gauss, lambda S: triangle(precise(S)), S)
    yield wrong("Gaussian: lower triangle", "missing-factor", gauss, lambda S: np.tril(triangle(precise(S))), S)
    yield wrong("Gaussian: sign of the second term", "dense|missing-term", gauss, lambda S: 2 * np.linalg.inv(S) - precise(S), S)
    G = r.normal(size=(4, 4))
    symmetric = lambda G: np.sum(A * (G + G.T) ** 2)
    full = lambda G: 2 * (A + A.T) * (G + G.T)
    yield right("symmetric part", symmetric, full, G)
    yield wrong("symmetric part: one path", "dense|missing-term", symmetric, lambda G: 2 * A * (G + G.T), G)


@family
def indices(r: np.random.Generator) -> Iterator[Row]:
    T, U, C = r.normal(size=(3, 3, 3)), r.normal(size=(3, 3)), r.normal(size=(3, 3))
    f = lambda T, U: np.einsum("ijk,jk,ki->", T, U, C)
    grad = lambda T, U: (np.einsum("jk,ki->ijk", U, C), np.einsum("ijk,ki->jk", T, C))
    yield right("einsum", f, grad, T, U)
    yield wrong(
        "einsum: output's indices exchanged",
        "transpose",
        f,
        lambda T, U: (grad(T, U)[0], np.einsum("ijk,ki->kj", T, C)),
        T,
        U,
        blame=(1,),
    )
    yield wrong(
        "einsum: factor's indices exchanged",
        "dense|transpose",
        f,
        lambda T, U: (grad(T, U)[0], np.einsum("ijk,ik->jk", T, C)),
        T,
        U,
        blame=(1,),
    )
    turned = lambda T, U: (np.einsum("jk,ki->jik", U, C), grad(T, U)[1])
    yield wrong("einsum: first two axes exchanged", "permutation|transpose", f, turned, T, U, blame=(0,))
    X, s, col = r.normal(size=(5, 3)), 1.7, r.normal(size=(5, 1))
    scaled = lambda s, col: np.sum(np.sin(s * X + col))
    slopes = lambda s, col: (float(np.sum(X * np.cos(s * X + col))), np.cos(s * X + col).sum(1, keepdims=True))
    yield right("broadcasting", scaled, slopes, s, col)
    yield wrong(
        "broadcasting: mean for sum",
        "scale:0.3333333333",
        scaled,
        lambda s, c: (slopes(s, c)[0], slopes(s, c)[1] / 3),
        s,
        col,
        blame=(1,),
    )
    loose = lambda s, c: (slopes(s, c)[0], np.cos(s * X + c))
    yield wrong("broadcasting: not reduced", "wrong-axis", scaled, loose, s, col, blame=(1,))
    yield wrong(
        "broadcasting: axis not kept", "shape", scaled, lambda s, c: (slopes(s, c)[0], slopes(s, c)[1][:, 0]), s, col, blame=(1,)
    )
    yield wrong(
        "broadcasting: scalar not summed",
        "wrong-axis|shape",
        scaled,
        lambda s, c: (X * np.cos(s * X + c), slopes(s, c)[1]),
        s,
        col,
        blame=(0,),
    )
    b = r.normal(size=4)
    Y, D = r.normal(size=(4, 4)), r.normal(size=(4, 4))
    square = lambda b: np.sum(D * np.sin(Y + b))
    yield right("bias of a square", square, lambda b: (D * np.cos(Y + b)).sum(0), b)
    yield wrong("bias of a square: the other axis", "wrong-axis", square, lambda b: (D * np.cos(Y + b)).sum(1), b)
    P = r.normal(size=(5, 3))

    def spread(P):
        return np.sum(np.exp(-np.sum((P[:, None] - P[None]) ** 2, -1)))

    def pulled(P, share=4):
        off = P[:, None] - P[None]
        return -share * np.einsum("ij,ijk->ik", np.exp(-np.sum(off**2, -1)), off)

    yield right("pairwise", spread, pulled, P)
    yield wrong("pairwise: one side of each pair", "scale:0.5", spread, lambda P: pulled(P, 2), P)
    a, v = r.normal(size=5), r.normal(size=5)
    cosine = lambda a, v: a @ v / np.sqrt((a @ a) * (v @ v))

    def cosine_back(a, v):
        na, nv = np.linalg.norm(a), np.linalg.norm(v)
        return v / na / nv - a * (a @ v) / na**3 / nv, a / na / nv - v * (a @ v) / nv**3 / na

    yield right("cosine of an angle", cosine, cosine_back, a, v)
    held = lambda a, v: (v / np.linalg.norm(a) / np.linalg.norm(v), cosine_back(a, v)[1])
    yield wrong("cosine of an angle: length held", "missing-term", cosine, held, a, v, blame=(0,))
    y = r.permutation(6) + r.uniform(size=6) / 2
    c = np.arange(1.0, 7)
    ranked = lambda y: np.sort(y) @ c
    yield right("sort", ranked, lambda y: c[np.argsort(np.argsort(y))], y)
    ring = r.permutation([2.0, 0, 3, 1, 5, 4])
    order = np.array([2, 0, 3, 1, 5, 4])
    yield wrong(
        "sort: the permutation for its inverse", "permutation", ranked, lambda y: c[np.argsort(y)], np.r_[2.0, 0, 3, 1, 5, 4]
    )
    gathered = lambda y: np.sin(y)[order] @ c
    yield wrong("gather: not scattered back", "permutation|dense|missing-factor", gathered, lambda y: c[order] * np.cos(y), ring)
