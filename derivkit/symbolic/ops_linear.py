"""The rows of linear algebra: operations on matrices, most of them given by the equation that they solve.

``A[p,q]`` is an entry of the matrix, ``i`` and ``j`` are the positions read, ``k`` is bound.
"""

from __future__ import annotations

from derivkit.symbolic.ops_row import Op

LINEAR = (
    Op(
        "inv",
        "A",
        folded=("-y[i,p]*y[q,j]",),
        group="linear algebra",
        reason="A Z = I for the inverse Z, so dZ = −Z dA Z",
        equation=("sum[k](A[i,k]*y[k,j])", "delta[i,j]"),
        at="i,j",
        by=("p,q",),
    ),
    Op(
        "solve",
        "A, b",
        folded=("-inv(A)[i,p]*y[q]", "inv(A)[i,p]"),
        group="linear algebra",
        reason="A x = b, so A dx = db − dA x",
        equation=("sum[k](A[i,k]*y[k])", "b[i]"),
        at="i",
        by=("p,q", "p"),
    ),
    Op(
        "det",
        "A",
        folded=("y*inv(A)[q,p]",),
        group="linear algebra",
        latex=r"\det({A})",
        reason="Jacobi's formula: d det A = det A · tr(A⁻¹ dA)",
        at="",
        by=("p,q",),
    ),
    Op(
        "logdet",
        "A",
        "log(abs(det(A)))",
        ("inv(A)[q,p]",),
        group="linear algebra",
        latex=r"\log \lvert \det({A}) \rvert",
        reason="d log |det A| = tr(A⁻¹ dA)",
        at="",
        by=("p,q",),
    ),
)

#: The operations that bind a row and a column of their (first) argument.
MATRICES: frozenset[str] = frozenset(op.name for op in LINEAR)
