"""The table of operations: a row each, and everything else follows from the row.

``formula`` is the operation's definition in the program language over the arguments of ``signature`` (for an array
operation in index notation: ``x[i]`` an entry, ``i`` the position that is read, ``k`` bound); an empty formula means
that SymPy knows the function under its own name.  ``folded`` gives for each argument the derivative as a textbook
prints it, in terms of the arguments and of the output ``y``; a sweep proves it equal to the derivative of ``formula``.
``numpy`` is the stable NumPy form of an elementwise operation; without one the kernel computes the formula.
"""

from __future__ import annotations

from derivkit.symbolic.ops_linear import LINEAR
from derivkit.symbolic.ops_products import PRODUCTS
from derivkit.symbolic.ops_row import Op
from derivkit.symbolic.ops_tensor import TENSOR

_POSITIVE = (0.3, 0.8, 1.4, 2.5)

_SELU_A, _SELU_L = "1.6732632423543772", "1.0507009873554805"

_ELEMENTWISE = (
    Op("exp", "x", folded=("y",), numpy="np.exp({x})", latex=r"e^{{{x}}}", reason="d eˣ = eˣ dx"),
    Op(
        "log",
        "x",
        folded=("1/x",),
        numpy="np.log({x})",
        latex=r"\log {x}",
        reason="d log x = dx / x",
        domain=(0.0, float("inf")),
        samples=_POSITIVE,
    ),
    Op(
        "log1p",
        "x",
        "log(1 + x)",
        ("1/(1 + x)",),
        "np.log1p({x})",
        r"\log(1 + {x})",
        "d log(1 + x) = dx / (1 + x)",
        domain=(-1.0, float("inf")),
        samples=(-0.6, -0.1, 0.4, 2.0),
    ),
    Op("expm1", "x", "exp(x) - 1", ("exp(x)",), "np.expm1({x})", r"(e^{{{x}}} - 1)", "d (eˣ − 1) = eˣ dx"),
    Op(
        "abs",
        "x",
        folded=("sign(x)",),
        numpy="np.abs({x})",
        latex=r"\lvert {x} \rvert",
        reason="|x|' = sign x (0 at 0)",
        kinks=(0.0,),
        convention="abs'(0) = 0",
    ),
    Op(
        "sign",
        "x",
        folded=("0",),
        numpy="np.sign({x})",
        latex=r"\operatorname{{sign}} {x}",
        reason="sign is flat",
        kinks=(0.0,),
        convention="sign'(0) = 0",
    ),
    Op(
        "step",
        "x",
        "where(x > 0, 1, 0)",
        ("0",),
        "np.greater({x}, 0)",
        r"\operatorname{{step}}({x})",
        "step is flat; step(0) = 0",
        kinks=(0.0,),
        convention="step(0) = 0",
    ),
    Op("sin", "x", folded=("cos(x)",), numpy="np.sin({x})", latex=r"\sin {x}", reason="sin' = cos"),
    Op("cos", "x", folded=("-sin(x)",), numpy="np.cos({x})", latex=r"\cos {x}", reason="cos' = −sin"),
    Op("tan", "x", "sin(x)/cos(x)", ("1 + y**2",), "np.tan({x})", r"\tan {x}", "tan' = 1 + tan²", samples=(-1.1, -0.4, 0.6, 1.2)),
    Op("sinh", "x", "(exp(x) - exp(-x))/2", ("cosh(x)",), "np.sinh({x})", r"\sinh {x}", "sinh' = cosh"),
    Op("cosh", "x", "(exp(x) + exp(-x))/2", ("sinh(x)",), "np.cosh({x})", r"\cosh {x}", "cosh' = sinh"),
    Op("tanh", "x", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", ("1 - y**2",), "np.tanh({x})", r"\tanh {x}", "tanh' = 1 − tanh²"),
    Op("arctan", "x", folded=("1/(1 + x**2)",), numpy="np.arctan({x})", latex=r"\arctan {x}", reason="arctan' = 1 / (1 + x²)"),
    Op(
        "erf",
        "x",
        folded=("2/sqrt(pi)*exp(-x**2)",),
        numpy="special.erf({x})",
        latex=r"\operatorname{{erf}} {x}",
        reason="erf' = 2 exp(−x²) / √π",
        needs="scipy",
    ),
    Op(
        "erfc",
        "x",
        "1 - erf(x)",
        ("-2/sqrt(pi)*exp(-x**2)",),
        "special.erfc({x})",
        r"\operatorname{{erfc}} {x}",
        "erfc' = −2 exp(−x²) / √π",
        needs="scipy",
    ),
    Op("sigmoid", "x", "1/(1 + exp(-x))", ("y*(1 - y)",), "np.tanh({x} * 0.5) * 0.5 + 0.5", r"\sigma({x})", "σ' = σ (1 − σ)"),
    Op(
        "softplus",
        "x",
        "log(1 + exp(x))",
        ("sigmoid(x)",),
        "np.log1p(np.exp(-np.abs({x}))) + np.maximum({x}, 0)",
        r"\operatorname{{softplus}}({x})",
        "softplus' = σ",
    ),
    Op(
        "relu",
        "x",
        "where(x > 0, x, 0)",
        ("step(y)",),
        "np.maximum({x}, 0)",
        r"\operatorname{{relu}}({x})",
        "relu' = step (0 at 0)",
        kinks=(0.0,),
        convention="relu'(0) = step(0) = 0",
    ),
    Op(
        "leaky_relu",
        "x, slope=0.01",
        "where(x > 0, x, slope*x)",
        ("where(x > 0, 1, slope)", "where(x > 0, 0, x)"),
        latex=r"\operatorname{{leaky\_relu}}({x})",
        reason="slope 1 above 0, else the leak",
        kinks=(0.0,),
        convention="leaky_relu'(0) = the slope below 0",
    ),
    Op(
        "elu",
        "x, alpha=1",
        "where(x > 0, x, alpha*expm1(minimum(x, 0)))",
        ("where(x > 0, 1, alpha*exp(minimum(x, 0)))", "where(x > 0, 0, expm1(minimum(x, 0)))"),
        latex=r"\operatorname{{elu}}({x})",
        reason="elu' = 1 above 0, α eˣ below",
        kinks=(0.0,),
        convention="elu'(0) = its value from below, alpha",
    ),
    Op(
        "selu",
        "x",
        f"{_SELU_L}*where(x > 0, x, {_SELU_A}*expm1(minimum(x, 0)))",
        (f"{_SELU_L}*where(x > 0, 1, {_SELU_A}*exp(minimum(x, 0)))",),
        latex=r"\operatorname{{selu}}({x})",
        reason="selu' = λ above 0, λ α eˣ below",
        kinks=(0.0,),
        convention="selu'(0) = its value from below",
    ),
    Op(
        "gelu",
        "x",
        "x*erfc(-x/sqrt(2))/2",  # erfc, since 1 + erf has no digit left far below 0
        ("erfc(-x/sqrt(2))/2 + x*exp(-x**2/2)/sqrt(2*pi)",),
        latex=r"\operatorname{{gelu}}({x})",
        reason="gelu' = Φ(x) + x φ(x)",
        needs="scipy",
    ),
    Op(
        "gelu_tanh",
        "x",
        "x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))/2",
        latex=r"\operatorname{{gelu}}_{{\tanh}}({x})",
        reason="product rule on x (1 + tanh u)/2",
    ),
    Op(
        "silu",
        "x",
        "x*sigmoid(x)",
        ("sigmoid(x) + y*(1 - sigmoid(x))",),
        latex=r"\operatorname{{silu}}({x})",
        reason="(x σ)' = σ + x σ (1 − σ)",
    ),
    Op(
        "mish",
        "x",
        "x*tanh(softplus(x))",
        ("tanh(softplus(x)) + x*sigmoid(x)*(1 - tanh(softplus(x))**2)",),
        latex=r"\operatorname{{mish}}({x})",
        reason="product rule on x tanh(softplus x)",
    ),
    Op(
        "hardtanh",
        "x",
        "where(x >= 1, 1, where(x <= -1, -1, x))",
        ("(x > -1)*(x < 1)",),
        "np.clip({x}, -1, 1)",
        r"\operatorname{{hardtanh}}({x})",
        "1 strictly inside (−1, 1), else 0",
        kinks=(-1.0, 1.0),
        convention="hardtanh'(±1) = 0",
    ),
    Op(
        "minimum",
        "a, b",
        "where(a <= b, a, b)",
        ("(a <= b)", "(a > b)"),
        "np.minimum({a}, {b})",
        r"\min({a}, {b})",
        "the smaller one passes; ties give the first",
        kinks=(0.0,),
        against=("b",),
        convention="minimum passes to its first argument at a tie",
    ),
    Op(
        "maximum",
        "a, b",
        "where(a >= b, a, b)",
        ("(a >= b)", "(a < b)"),
        "np.maximum({a}, {b})",
        r"\max({a}, {b})",
        "the larger one passes; ties give the first",
        kinks=(0.0,),
        against=("b",),
        convention="maximum passes to its first argument at a tie",
    ),
    Op(
        "clip",
        "x, lo, hi",
        "minimum(maximum(x, lo), hi)",  # as in NumPy: hi wherever lo is above it
        ("(x >= lo)*(x <= hi)", "(x < lo)*(lo <= hi)", "(maximum(x, lo) > hi)"),
        "np.clip({x}, {lo}, {hi})",
        r"\operatorname{{clip}}({x}, {lo}, {hi})",
        "1 inside the limits, else 0",
        kinks=(-1.0, 1.0),
        against=("lo", "hi"),
        convention="clip'(x) = 1 at the limits",
    ),
    Op(
        "where",
        "c, a, b",
        folded=("0", "where(c, 1, 0)", "where(c, 0, 1)"),
        numpy="np.where({c}, {a}, {b})",
        latex=r"\operatorname{{where}}({c}, {a}, {b})",
        reason="only the chosen branch passes",
    ),
    Op("greater", "a, b", folded=("0", "0"), numpy="np.greater({a}, {b})", latex="[{a} > {b}]", reason="a comparison is flat"),
    Op("less", "a, b", folded=("0", "0"), numpy="np.less({a}, {b})", latex="[{a} < {b}]", reason="a comparison is flat"),
    Op(
        "greater_equal",
        "a, b",
        folded=("0", "0"),
        numpy="np.greater_equal({a}, {b})",
        latex=r"[{a} \ge {b}]",
        reason="a comparison is flat",
    ),
    Op(
        "less_equal",
        "a, b",
        folded=("0", "0"),
        numpy="np.less_equal({a}, {b})",
        latex=r"[{a} \le {b}]",
        reason="a comparison is flat",
    ),
    Op("equal", "a, b", folded=("0", "0"), numpy="np.equal({a}, {b})", latex="[{a} = {b}]", reason="a comparison is flat"),
    Op(
        "not_equal",
        "a, b",
        folded=("0", "0"),
        numpy="np.not_equal({a}, {b})",
        latex=r"[{a} \ne {b}]",
        reason="a comparison is flat",
    ),
)

# Primitives on whole axes.  In a formula, x is the argument along the bound axes, i the position read, j the entry
# with respect to which is differentiated, y the output (y[i] where it has a position).
_PRIMITIVES = (
    Op(
        "softmax",
        "x, axis=-1",
        "exp(x[i])/sum[k](exp(x[k]))",
        ("y[i]*(delta[i,j] - y[j])",),
        group="softmax",
        latex=r"\operatorname{{softmax}}({x})",
        reason="softmax Jacobian",
    ),
    Op(
        "log_softmax",
        "x, axis=-1",
        "x[i] - log(sum[k](exp(x[k])))",
        ("delta[i,j] - softmax(x)[j]",),
        group="softmax",
        latex=r"\operatorname{{log\,softmax}}({x})",
        reason="log-softmax Jacobian",
    ),
    Op(
        "logsumexp",
        "x, axis=None, keepdims=False",
        "log(sum[k](exp(x[k])))",
        ("softmax(x)[j]",),
        group="reduction",
        latex=r"\operatorname{{logsumexp}}({x})",
        reason="the gradient of logsumexp is softmax",
    ),
    Op(
        "max",
        "x, axis=None, keepdims=False",
        folded=("first_max(x)[j]",),
        group="reduction",
        latex=r"\max {x}",
        reason="max passes to its first maximum",
        convention="max passes to the first maximum",
    ),
    Op(
        "min",
        "x, axis=None, keepdims=False",
        folded=("first_max(-x)[j]",),
        group="reduction",
        latex=r"\min {x}",
        reason="min passes to its first minimum",
        convention="min passes to the first minimum",
    ),
    Op("argmax", "x, axis=None", folded=("0",), group="reduction", latex=r"\arg\max {x}", reason="argmax is flat"),
    Op(
        "first_max",
        "x, axis=-1",
        folded=("0",),
        group="softmax",
        latex=r"\operatorname{{first\,max}}({x})",
        reason="1 at the first maximum, else 0: a selection is flat",
    ),
    *PRODUCTS,
    Op(
        "norm",
        "x, axis=None, keepdims=False",
        "sqrt(sum[k](x[k]**2))",
        ("x[j]/y",),
        group="reduction",
        latex=r"\lVert {x} \rVert",
        reason="r² = Σ x², so r dr = Σ x dx",
        equation=("y**2", "sum[k](x[k]**2)"),
        convention="norm has no derivative at 0",
    ),
)

# Operations defined in the language by others; the reader replaces the call by the formula.
_DEFINED = (
    Op("square", "x", "x**2"),
    Op("sqrt", "x", "x**0.5", domain=(0.0, float("inf")), samples=_POSITIVE),
    Op("mean", "x, axis=None, keepdims=False", group="reduction"),
    Op("sum", "x, axis=None, keepdims=False", group="reduction"),
    Op(
        "var",
        "x, axis=None, keepdims=False",
        "mean((x - mean(x, axis=axis, keepdims=True))**2, axis=axis, keepdims=keepdims)",
        group="reduction",
    ),
    Op("std", "x, axis=None, keepdims=False", "sqrt(var(x, axis=axis, keepdims=keepdims))", group="reduction"),
    Op("cross_entropy", "t, y", "-sum(t*log(y), axis=-1)", group="loss", reason="cross entropy, d log y = dy / y"),
    Op("softmax_cross_entropy", "t, z", "-sum(t*log_softmax(z), axis=-1)", group="loss"),
    Op("binary_cross_entropy", "t, p", "-sum(t*log(p) + (1 - t)*log(1 - p), axis=-1)", group="loss"),
    Op("squared_error", "y, t", "sum((y - t)**2, axis=-1)", group="loss"),
    Op("kl_div", "p, q", "sum(p*log(p/q), axis=-1)", group="loss"),
    Op("huber", "y, t, c=1", "sum(where(abs(y - t) <= c, (y - t)**2/2, c*(abs(y - t) - c/2)), axis=-1)", group="loss"),
    Op("hinge", "t, s", "sum(maximum(0, 1 - t*s), axis=-1)", group="loss"),
    Op("linear", "x, W, b", "x @ W.T + b", group="layer"),
    Op("dot", "a, b", "a @ b", group="linear algebra"),
    Op("outer", "a, b", "a[:, None]*b[None, :]", group="linear algebra"),
    Op("inner", "a, b", "sum(a*b)", group="linear algebra"),
    Op("diag", "x", group="linear algebra"),
    Op("trace", "A", group="linear algebra"),
    Op("eye", "n", group="linear algebra"),
    Op("zeros", "n", group="linear algebra"),
    Op("ones", "n", group="linear algebra"),
    Op("einsum", "spec", group="linear algebra"),
    Op("stack", "x, axis=0", group="structure"),
    Op("onehot", "k, K", group="structure"),
    Op("transpose", "x", group="structure"),
)

__all__ = ["COMPARISONS", "DEFINED", "ELEMENTWISE", "FUNCTIONS", "OPS", "PRIMITIVES", "Op"]

ELEMENTWISE: dict[str, Op] = {op.name: op for op in _ELEMENTWISE}
PRIMITIVES: dict[str, Op] = {op.name: op for op in (*_PRIMITIVES, *LINEAR)}
DEFINED: dict[str, Op] = {op.name: op for op in (*_DEFINED, *TENSOR)}
OPS: dict[str, Op] = {**ELEMENTWISE, **PRIMITIVES, **DEFINED}

#: The names that the reader knows as functions (those made only by derivatives stay hidden).
FUNCTIONS: frozenset[str] = frozenset(n for n, op in OPS.items() if op.group != "hidden")

#: The comparison signs of the language and the operations that they stand for.
COMPARISONS: dict[str, str] = {
    ">": "greater",
    "<": "less",
    ">=": "greater_equal",
    "<=": "less_equal",
    "==": "equal",
    "!=": "not_equal",
}
