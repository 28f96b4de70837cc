"""The reader: precedence, places, refusals, and texts that mean harm."""

import ast
import dataclasses
import pathlib
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timing import patience

from derivkit import limits
from derivkit.errors import DerivkitError
from derivkit.symbolic import parse
from derivkit.symbolic.parse import parse_declaration, parse_program, syntax
from derivkit.symbolic.parse.lexer import GREEK, HINTS, SIGNS, tokenize

FUNCTIONS = frozenset(
    {"sum", "mean", "max", "min", "prod", "exp", "softmax", "where", "reshape", "gelu", "zeros", "stack", "einsum"}
)


def read(text, **options):
    return parse_program(text, FUNCTIONS, **options)


def expression(text):
    statement = read(text).statements[-1]
    return statement.value


def refused(text, **options):
    with pytest.raises(DerivkitError) as caught:
        read(text, **options)
    return caught.value


def shown(node):
    """Print a tree with all its parentheses, to compare with Python's own reading."""
    match node:
        case syntax.Number(value):
            return str(value)
        case syntax.Name(name):
            return name
        case syntax.Unary(op, operand):
            return f"({op}{shown(operand)})"
        case syntax.Binary(op, left, right) | syntax.Compare(op, left, right):
            return f"({shown(left)}{op}{shown(right)})"
        case syntax.Call(function, args, keywords):
            return f"{function}({','.join([shown(a) for a in args] + [f'{k.name}={shown(k.value)}' for k in keywords])})"
        case syntax.Subscript(base, items):
            return f"{shown(base)}[{','.join(map(shown, items))}]"
        case syntax.Slice(start, stop, step):
            return ":".join("" if part is None else shown(part) for part in (start, stop, step))
        case syntax.Attribute(base, name):
            return f"{shown(base)}.{name}"
        case syntax.Tuple(items):
            return f"({','.join(map(shown, items))};)"
        case syntax.List(items):
            return f"[{','.join(map(shown, items))}]"
        case syntax.String(value) | syntax.Boolean(value):
            return repr(value)
        case syntax.NoneItem():
            return "None"
    raise AssertionError(node)


OPERATORS = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Pow: "**", ast.MatMult: "@"},
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.USub: "-", ast.UAdd: "+"},
}


def python_shown(node):
    """Print Python's tree in the same way."""
    match node:
        case ast.Constant(value):
            return repr(value) if isinstance(value, bool | str | None) else str(Fraction(repr(value)))
        case ast.Name(name):
            return name
        case ast.UnaryOp(op, operand):
            return f"({OPERATORS[type(op)]}{python_shown(operand)})"
        case ast.BinOp(left, op, right) | ast.Compare(left, [op], [right]):
            return f"({python_shown(left)}{OPERATORS[type(op)]}{python_shown(right)})"
        case ast.Call(ast.Name(function), args, keywords):
            named = [f"{k.arg}={python_shown(k.value)}" for k in keywords]
            return f"{function}({','.join([*map(python_shown, args), *named])})"
        case ast.Subscript(base, ast.Tuple(items)):
            return f"{python_shown(base)}[{','.join(map(python_shown, items))}]"
        case ast.Subscript(base, item):
            return f"{python_shown(base)}[{python_shown(item)}]"
        case ast.Slice(start, stop, step):
            return ":".join("" if part is None else python_shown(part) for part in (start, stop, step))
        case ast.Attribute(base, name):
            return f"{python_shown(base)}.{name}"
        case ast.Tuple(items):
            return f"({','.join(map(python_shown, items))};)"
        case ast.List(items):
            return f"[{','.join(map(python_shown, items))}]"
    raise AssertionError(ast.dump(node))


PRECEDENCE = """
a + b * c | a * b + c | a - b - c | a / b / c | a // b * c | a @ b * c | a * b @ c | a + b @ c.T
-a ** 2 | -a * b | a * -b | a ** -b | a ** -b ** c | a ** b ** c | (a ** b) ** c | -a.T | a.T ** 2 | - - a | +a - -b
2 ** -1 * a | a ** 2 * b | a * b ** 2 | -2 ** 2 | (-2) ** 2 | -(a + b) | -a @ b | a < b + c | a + b >= c * d | -a == b | a != -b
a[1] ** 2 | a[b + c, 1:2, :, ::2, None] | a[:, None] @ b | a[-1] | a[1:] | a[:1] | a[b[c]] | a.T[0] | a[0].T | exp(a)[0].T ** 2
exp(-a) ** 2 | -exp(a) | where(a > 0, a, -b) | sum(a, axis=0, keepdims=True) | sum(a, axis=(0, 1)) | reshape(a, (2, -3))
zeros(()) | stack([a, b], axis=-1) | einsum('ij,jk->ik', a, b) | gelu(a, approximate="tanh") | exp(a,) | a[1,]
(a) | ((a + b)) | zeros((2,))
1e-5 * a | .5 * a | 1. + a | 1.5E+3 | a * (b + c) * d | a - (b - c) | (a < b) * (b < c) | softmax(a @ b + c, axis=-1)
"""


@pytest.mark.parametrize("text", [t.strip() for line in PRECEDENCE.strip().splitlines() for t in line.split("|")])
def test_reads_as_python_reads(text):
    assert shown(expression(text)) == python_shown(ast.parse(text, mode="eval").body)


_LEAVES = st.sampled_from(["a", "b", "W", "1", "2.5", "1e-3", "exp(a)", "a[1]", "b.T"])


def _grown(children):
    pair = st.tuples(children, st.sampled_from(["+", "-", "*", "/", "//", "@", "<", ">=", "=="]), children)
    return st.one_of(
        pair.map(lambda p: f"({p[0]}) {p[1]} ({p[2]})" if p[1] in ("<", ">=", "==", "//", "/") else f"{p[0]} {p[1]} {p[2]}"),
        children.map(lambda c: f"-{c}"),
        children.map(lambda c: f"({c})"),
        children.map(lambda c: f"a ** {c}" if not set(c) & set("0123456789*") else c),
        st.tuples(children, children).map(lambda p: f"where({p[0]}, {p[1]})"),
    )


_SHALLOW = st.one_of(_LEAVES, _grown(_LEAVES))


@given(st.one_of(_SHALLOW, _grown(_SHALLOW), _grown(_grown(_SHALLOW))))
@settings(max_examples=150, deadline=None)
def test_reads_as_python_reads_what_hypothesis_writes(text):
    tree = ast.parse(text, mode="eval").body
    if any(isinstance(node, ast.Compare) and len(node.ops) > 1 for node in ast.walk(tree)):
        return
    try:
        read_tree = expression(text)
    except DerivkitError as error:
        assert error.code == "DK005"  # noqa: PT017 - a literal division may be out of bounds
        return
    assert shown(read_tree) == python_shown(tree)


def test_typographic_signs_mean_their_ascii():
    same = {
        "α·x": "alpha*x",
        "a × b − c": "a * b - c",
        "x²": "x**2",
        "x¹²": "x**12",
        "Wᵀ": "W.T",
        "a ≤ b": "a <= b",
        "λ": "lamda",
        "(Wᵀ)²": "(W.T)**2",
        "σ_1 + θ2": "sigma_1 + theta2",
        "x_α": "x_alpha",
        "2·x²·y": "2*x**2*y",
        "-x²": "-x**2",
        "x²ᵀ": "(x**2).T",
    }
    for text, meant in same.items():
        assert expression(text) == expression(meant), text
    assert expression("x²**2") == expression("(x**2)**2")
    for letter, name in GREEK.items():
        assert expression(letter) == expression(name) == syntax.Name(name, place=None)


def test_statements():
    text = "x: D\nW1: M, 2*D+1\nb:\nt: onehot K\nk: label K, N\nh = W1 @ x\ny[i,j] = sum[k,l](w[k,l]*x[i+k,2*j-l])\ny[0,0]"
    program = read(text)
    kinds = [type(s).__name__ for s in program.statements]
    assert kinds == ["Declaration"] * 5 + ["Definition", "IndexDefinition", "Output"]
    declared = [(s.name, s.kind, [shown(size) for size in s.sizes]) for s in program.statements[:5]]
    assert declared == [
        ("x", "real", ["D"]),
        ("W1", "real", ["M", "((2*D)+1)"]),
        ("b", "real", []),
        ("t", "onehot", ["K"]),
        ("k", "label", ["K", "N"]),
    ]
    indexed = program.statements[6]
    assert (indexed.name, [i.id for i in indexed.indices]) == ("y", ["i", "j"])
    assert isinstance(indexed.value, syntax.IndexedReduce)
    assert (indexed.value.name, [i.id for i in indexed.value.indices]) == ("sum", ["k", "l"])
    assert shown(indexed.value.body) == "(w[k,l]*x[(i+k),((2*j)-l)])"
    assert program.source == text


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min"])
def test_reductions_over_named_indices(name):
    node = expression(f"y = {name}[k](x[k])**2")
    assert node.left == syntax.IndexedReduce(name, (syntax.Name("k", place=None),), node.left.body, place=None)


def test_delta_is_kronecker_unless_it_is_a_variable():
    assert isinstance(expression("delta[i,j]"), syntax.DeltaTerm)
    assert isinstance(expression("δ[i,j+1]"), syntax.DeltaTerm)
    assert isinstance(expression("delta[k]"), syntax.Subscript)
    assert isinstance(expression("delta = W @ x\ndelta[i,j]"), syntax.Subscript)
    assert isinstance(expression("delta: M, N\ndelta[i,j]"), syntax.Subscript)
    assert isinstance(read("delta[i,j] = x[i]*x[j]\n1").statements[0], syntax.IndexDefinition)


def test_sizes_are_surface_expressions():
    sizes = {"2*R+1": "((2*R)+1)", "L-2*R": "(L-(2*R))", "M*F": "(M*F)", "(L-2*R+1)//2": "(((L-(2*R))+1)//2)", "7": "7"}
    for text, meant in sizes.items():
        declaration = parse_declaration("x", f"positive {text}, K")
        assert (declaration.kind, [shown(s) for s in declaration.sizes]) == ("positive", [meant, "K"])
    assert parse_declaration("b", "").sizes == ()
    assert parse_declaration("b", "mask").kind == "mask"
    assert parse_declaration("α", "N").name == "alpha"
    assert parse_declaration("t", "onehot K", FUNCTIONS) == read("t: onehot K\nt").statements[0]


def test_literals_are_exact():
    literals = {"0.1": Fraction(1, 10), "1e-5": Fraction(1, 10**5), ".5": Fraction(1, 2), "1.": 1, "1.5E+3": 1500, "0": 0}
    for text, value in literals.items():
        assert expression(text) == syntax.Number(Fraction(value), text, place=None)
    expression("1" * 40)
    expression("1e308")
    expression("1e-308")
    expression("2**64 + x**64 + (x**8)**8 + 2**-0.5 + (x**8)**0.5 + x**(1/3) + x**(64/1)")


@pytest.mark.parametrize(
    "text",
    [
        "\n  x: D\n  sum(x)\n",
        "x: D\n    sum(x)\n",
        "x: D\r\nsum(x)",
        "```\nx: D\nsum(x)\n```",
        "\n  ```python\n  x: D\n\n  sum(x)\n  ```\n",
        "\tx: D\n\tsum(x)",
        "# é 数 # ok\nx: D # a\n   # b\nsum(\n  x # c\n    \n)",
        "\n\n\nx: D\n\nsum(x)\n\n",
    ],
)
def test_blocks_are_pasted_as_they_are(text):
    assert read(text) == read("x: D\nsum(x)")


def test_the_body_of_a_function():
    program = read("h = np.exp(x)\nreturn np.sum(h[:, np.newaxis])", modules={"np"}, returns=True)
    assert program == read("h = exp(x)\nsum(h[:, None])")
    assert refused("return x").hint == "the last line is the output"
    assert refused("return x\ny = x", returns=True).line == 1
    assert refused("np.exp(x)").hint == "write exp(...)"


def test_places_are_exact():
    text = "W: M, D\n# comment\nh = (W @\n     x) + alpha*bb[i, 2:3].T\ny[i] = -foo(h, axis=1)**2"
    program = read(text)
    lines = text.split("\n")
    found = {}

    def visit(node):
        if isinstance(node, tuple):
            for part in node:
                visit(part)
        elif dataclasses.is_dataclass(node):
            what = next((getattr(node, f) for f in ("op", "id", "function", "text", "name") if hasattr(node, f)), "?")
            at = lines[node.place.line - 1][node.place.column - 1 :]
            found.setdefault(type(node).__name__, []).append((what, at))
            for field in dataclasses.fields(node):
                if field.name != "place":
                    visit(getattr(node, field.name))

    visit(program.statements)
    for kind in ("Unary", "Binary", "Name", "Call", "Number", "Keyword", "Declaration", "Definition", "IndexDefinition"):
        assert found[kind], kind
        for what, at in found[kind]:
            assert at.startswith(what), (kind, what, at)
    assert found["Attribute"] == [("T", ".T")]
    assert found["Subscript"][0][1].startswith("[i, 2:3]")
    assert found["Slice"][0][1].startswith("2:3]")


def test_places_of_tokens_in_unusual_text():
    tokens = tokenize("# c\r\n\r\n```\n".replace("```\n", "") + "  α·x²ᵀ")
    assert [(t.text, t.line, t.column, t.offset) for t in tokens[:6]] == [
        ("alpha", 3, 3, 9),
        ("*", 3, 4, 10),
        ("x", 3, 5, 11),
        ("2", 3, 6, 12),
        (".", 3, 7, 13),
        ("T", 3, 7, 13),
    ]


# Each refusal: text, code, line, column, a word of the message, a word of the hint.
REFUSALS = [
    ("", "DK007", 1, 1, "empty", None),
    ("# only\n\n", "DK007", 3, 1, "empty", None),
    ("x: D", "DK007", 1, 1, "last line is a declaration", "output"),
    ("x + 1\ny = x", "DK007", 1, 1, "only the last line", "name"),
    ("y = x\ny = 2*y", "DK011", 2, 1, "'y' is defined twice", "line 1"),
    ("x: D\nx: D\nx", "DK011", 2, 1, "'x' is declared twice", "line 1"),
    ("y[i] = x[i]\ny = x", "DK011", 2, 1, "'y' is defined twice", "line 1"),
    ("y = ", "DK007", 1, 5, "expected an expression, saw the end of the line", None),
    ("y = x +", "DK007", 1, 8, "expected an expression", None),
    ("y = x\n    + z", "DK007", 2, 5, "unexpected indentation", "parentheses"),
    ("  y = x\n z = y", "DK007", 2, 2, "unexpected indentation", "alike"),
    ("  x: D\n  y = x\n    z = y", "DK007", 3, 5, "unexpected indentation", "parentheses"),
    ("y = a = b", "DK007", 1, 7, "saw '='", "one definition a line"),
    ("x, y = z", "DK007", 1, 2, "saw ','", "one value a line"),
    ("y = 2 x", "DK007", 1, 7, "saw 'x'", "a product"),
    ("y = 2x", "DK007", 1, 5, "'2x' is neither", "a product"),
    ("y = 1_000", "DK007", 1, 5, "'1_000' is neither", None),
    ("y = 0x10", "DK007", 1, 5, "'0x10' is neither", None),
    ("y = 1e", "DK007", 1, 5, "'1e' is neither", None),
    ("y = 2(x)", "DK007", 1, 6, "only a function is called", "a product"),
    ("y = (a + b)(c)", "DK007", 1, 12, "only a function is called", "a product"),
    ("y = 2[0]", "DK007", 1, 6, "a number has no subscripts", None),
    ("y = exp", "DK006", 1, 5, "'exp' is a function", "write exp(...)"),
    ("exp = x", "DK006", 1, 1, "'exp' is a function", "another name"),
    ("exp: D\nx", "DK006", 1, 1, "'exp' is a function", "another name"),
    ("x: exp\nx", "DK006", 1, 4, "'exp' is a function", None),
    ("lambda = 3", "DK006", 1, 1, "'lambda' is a word of Python", "lamda"),
    ("y = x if x else 2", "DK007", 1, 7, "saw 'if'", "where("),
    ("y = not x", "DK006", 1, 5, "'not' is a word of Python", "where("),
    ("class(x)", "DK006", 1, 1, "'class' is a word of Python", None),
    ("pi = 3", "DK006", 1, 1, "'pi' is a constant", "pi_"),
    ("π = 3", "DK006", 1, 1, "'pi' is a constant", None),
    ("inf[i] = x[i]", "DK006", 1, 1, "'inf' is a constant", "inf_"),
    ("_x = 1", "DK006", 1, 1, "'_x' begins with _", "letter"),
    ("y = x.__class__", "DK006", 1, 7, "begins with _", None),
    ("a__b = 1", "DK006", 1, 1, "two _ together", "one _"),
    ("αx = 1", "DK006", 1, 1, "Greek", "α*x"),
    ("y = dα", "DK006", 1, 5, "Greek", "α*x"),
    ("a" * 65, "DK006", 1, 1, "more than 64 characters", None),
    ("θ_" + "a" * 60, "DK006", 1, 1, "more than 64 characters", None),
    ("y = \u0445", "DK004", 1, 5, "U+0445 (CYRILLIC SMALL LETTER HA)", "ASCII"),
    ("y = \u03bf", "DK004", 1, 5, "U+03BF", "Greek"),
    ("y = \uff58", "DK004", 1, 5, "U+FF58", "ASCII"),
    ("y = x\u00a0+ 1", "DK004", 1, 6, "U+00A0", "no-break"),
    ("\ufeffy = x", "DK004", 1, 1, "U+FEFF", "byte order mark"),
    ("y = x  # \u202e evil", "DK004", 1, 10, "U+202E", None),
    ("y = 1\ny2 = '\u200b'", "DK004", 2, 7, "U+200B", None),
    ("y = x\x00", "DK004", 1, 6, "U+0000", None),
    ("y = x\ry", "DK004", 1, 6, "U+000D", None),
    ("y = x\x0cy", "DK004", 1, 6, "U+000C", None),
    ("y = \ud800", "DK004", 1, 5, "U+D800", None),
    ("y = x\u2028z", "DK004", 1, 6, "U+2028", None),
    ("y = x^2", "DK004", 1, 6, "'^' is not allowed", "**"),
    ("y = x^T A x", "DK004", 1, 6, "'^T' is not allowed", ".T"),
    ("y = x^Tau", "DK004", 1, 6, "'^' is not allowed", "**"),
    ("E = ‖x‖²", "DK004", 1, 5, "U+2016", "norm(x)"),
    ("y = W₁ @ x", "DK004", 1, 6, "U+2081", "W1"),
    ("y = x; z = y", "DK004", 1, 6, "';'", "one statement a line"),
    ("y = x + \\\n z", "DK004", 1, 9, "'\\'", "parentheses"),
    ("y = x – z", "DK004", 1, 7, "U+2013", "-"),
    ("y = x⁻¹", "DK004", 1, 6, "U+207B", "1/x"),
    ("y = x[...]", "DK007", 1, 7, "'...'", "axes"),
    ("y = x'", "DK007", 1, 6, "never closed", ".T"),
    ("y = exp('abc)", "DK007", 1, 9, "never closed", None),
    ("y = exp('a;b')", "DK004", 1, 9, "in quotes", None),
    ("y = exp('" + "a" * 101 + "')", "DK007", 1, 9, "100 characters in quotes", None),
    ("y = 'abc'", "DK007", 1, 5, "a string is no value here", "argument"),
    ("y = 1 + None", "DK007", 1, 9, "None is no value here", None),
    ("y = -(1, 2)", "DK007", 1, 6, "a tuple is no value here", None),
    ("y = [a, b]", "DK007", 1, 5, "a list is no value here", None),
    ("y = True", "DK007", 1, 5, "a truth value is no value here", None),
    ("y = x[[0, 1]]", "DK007", 1, 7, "a list is no value here", None),
    ("y = ()", "DK007", 1, 5, "a tuple is no value here", None),
    ("y = (x", "DK007", 1, 5, "'(' is never closed", "')'"),
    ("y = x)", "DK007", 1, 6, "')' closes nothing", None),
    ("y = (x]", "DK007", 1, 7, "']' closes '(' of line 1, column 5", "')'"),
    ("y = x[1", "DK007", 1, 6, "'[' is never closed", None),
    ("y = x[]", "DK007", 1, 7, "expected an expression", None),
    ("y = x[1:2:3:4]", "DK007", 1, 12, "expected ']'", None),
    ("y = exp(x z)", "DK007", 1, 11, "expected ','", None),
    ("y = exp(a=1, x)", "DK010", 1, 14, "without a name", None),
    ("y = exp(a=1, a=2)", "DK010", 1, 14, "'a' is given twice", None),
    ("y = x.sum()", "DK007", 1, 7, "after the dot", "write sum(...)"),
    ("y = x.shape", "DK007", 1, 7, "after the dot", ".T"),
    ("y = a < b < c", "DK007", 1, 11, "do not chain", "(a < b) * (b < c)"),
    ("y = a and b", "DK007", 1, 7, "saw 'and'", "product"),
    ("y = (a = b)", "DK007", 1, 8, "expected ','", None),
    ("y := 3", "DK007", 1, 4, "expected an expression", None),
    ("y += 1", "DK007", 1, 4, "expected an expression", None),
    ("a + b = c", "DK007", 1, 1, "only a name", "y = ..."),
    ("y[i+1] = x[i]", "DK019", 1, 4, "bare index", None),
    ("y[i:] = x[i]", "DK019", 1, 3, "bare index", None),
    ("y[i,i] = x[i]", "DK019", 1, 5, "twice", None),
    ("y[0] = x[0]", "DK019", 1, 3, "bare index", None),
    ("sum[k] x[k]", "DK007", 1, 8, "expected '('", "sum[k](...)"),
    ("sum[](x)", "DK019", 1, 1, "names no index", None),
    ("sum[k+1](x[k])", "DK019", 1, 6, "bare index", None),
    ("sum[k,k](x[k])", "DK019", 1, 7, "twice", None),
    ("sum[k](x[k], 2)", "DK007", 1, 12, "expected ')'", None),
    ("y = delta[i,j,k]", "DK019", 1, 5, "two subscripts", None),
    ("t: onehto K\nt", "DK014", 1, 4, "unknown kind 'onehto'", "'onehot'"),
    ("t: blah K\nt", "DK014", 1, 4, "unknown kind 'blah'", "one of"),
    ("t: onehot\nt", "DK014", 1, 4, "'onehot' needs a size", "onehot K"),
    ("x: (M, D)\nx", "DK007", 1, 4, "without brackets", "x: M, D"),
    ("x: [M]\nx", "DK007", 1, 4, "without brackets", "x: M, D"),
    ("x: M/2\nx", "DK020", 1, 5, "'/' is not for sizes", "//"),
    ("x: M**2\nx", "DK020", 1, 5, "'**' is not for sizes", None),
    ("x: 1.5\nx", "DK020", 1, 4, "an integer", None),
    ("x: 3000000000\nx", "DK020", 1, 4, "an integer up to 2147483648", None),
    ("x: 2*2000000000\nx", "DK020", 1, 5, "from 1 to 2147483648", None),
    ("x: 0\nx", "DK020", 1, 4, "from 1", None),
    ("x: pi\nx", "DK020", 1, 4, "names and integers", None),
    ("x: D,\nx", "DK007", 1, 6, "expected an expression", None),
    ("x: D E\nx", "DK014", 1, 4, "unknown kind 'D'", "commas"),
    ("x: A,A,A,A,A,A,A,A,A\nx", "DK017", 1, 1, "more than 8 axes", None),
    ("y = x[1,1,1,1,1,1,1,1,1]", "DK017", 1, 6, "more than 8", None),
    ("y = " + "1" * 41, "DK005", 1, 5, "more than 40 digits", None),
    ("y = 1e309", "DK005", 1, 5, "beyond 308", None),
    ("y = 1e-99999999999999999999", "DK005", 1, 5, "beyond 308", None),
    ("y = 12345e308", "DK005", 1, 5, "beyond 1e±308", None),
    ("y = 1e300*1e300", "DK005", 1, 10, "beyond 1e±308", None),
    ("y = 007", "DK005", 1, 5, "begins with 0", None),
    ("y = x/0 + 1/0", "DK005", 1, 12, "division by zero", None),
    ("y = 0**-1", "DK005", 1, 6, "division by zero", None),
    ("y = 2**65", "DK015", 1, 6, "beyond 64", None),
    ("y = x**(-65)", "DK015", 1, 6, "beyond 64", None),
    ("y = x**(60+60)", "DK015", 1, 6, "beyond 64", None),
    ("y = x²³⁴", "DK015", 1, 6, "beyond 64", None),
    ("y = 2**2**2", "DK015", 1, 6, "tower", None),
    ("y = x**2**3", "DK015", 1, 6, "tower", None),
    ("y = (2**2)**2", "DK015", 1, 11, "tower", None),
    ("y = (x**64)**64", "DK015", 1, 12, "nested powers", "name"),
    ("y = ((2*x)**9 + 1)**9", "DK015", 1, 19, "nested powers", "name"),
    ("y = 10**64*10**64*10**64*10**64*10**64", "DK005", 1, 32, "beyond 1e±308", None),
    ("```\ny = x", "DK007", 1, 1, "fence", None),
    ("```\ny = x\n```\nz", "DK007", 4, 1, "after the closing", None),
    ("y = x\n```", "DK004", 2, 1, "'`'", "fence"),
    ("np.exp(x)", "DK007", 1, 4, "after the dot", "exp"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "column", "message", "hint"), REFUSALS, ids=lambda v: repr(v)[:40])
def test_refusals(text, code, line, column, message, hint):
    error = refused(text)
    assert (error.code, error.line, error.column) == (code, line, column), str(error)
    assert message in error.message
    assert hint is None or (error.hint is not None and hint in error.hint), error.hint
    assert error.source == text.split("\n")[line - 1].removesuffix("\r")
    assert len(error.report().splitlines()) <= 4


def test_every_character_hint_is_reachable():
    for character in HINTS:
        error = refused(f"x{character}")
        assert (error.code, error.column) == ("DK004", 2), character
        assert error.hint == HINTS[character]
    for sign in SIGNS:
        tokenize(sign)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("x y", "D", "DK006"),
        ("exp", "D", "DK006"),
        ("", "D", "DK006"),
        ("x", "D\nE", "DK007"),
        ("x", "D = 2", "DK007"),
        ("x", "onehto K", "DK014"),
        ("x\n", "D", None),
        ("x", "A,A,A,A,A,A,A,A,A", "DK017"),
        ("pi", "", "DK006"),
        ("x", ": D", "DK007"),
    ],
)
def test_declarations_from_outside(name, text, code):
    if code is None:
        assert parse_declaration(name, text, FUNCTIONS).name == "x"
        return
    with pytest.raises(DerivkitError) as caught:
        parse_declaration(name, text, FUNCTIONS)
    assert caught.value.code == code


HOSTILE = {
    "parentheses in text": ("(" * 30_000, "DK003"),
    "a hundred thousand parentheses": ("(" * 100_000, "DK001"),
    "nested parentheses": ("(" * 101 + "x" + ")" * 101, "DK003"),
    "nested calls": ("exp(" * 101 + "x" + ")" * 101, "DK003"),
    "nested brackets": ("x[" * 101 + "0" + "]" * 101, "DK003"),
    "a million characters": ("x" * 1_000_000, "DK001"),
    "a million bytes in few characters": ("# " + "数" * 40_000, "DK001"),
    "signs": ("-" * 4_000 + "x", "DK003"),
    "signs and parentheses": ("-(" * 99 + "-" * 50 + "x" + ")" * 99, "DK003"),
    "signs after powers": ("x" + "**-x" * 1_200, "DK003"),
    "powers": ("x" + "**x" * 2_000, "DK003"),
    "literal powers": ("9" + "**9" * 2_000, "DK003"),
    "short tower": ("9**9**9**9", "DK015"),
    "tower of squares": ("(" * 20 + "x" + "**9)" * 20, "DK015"),
    "superscripts": ("x" + "²" * 20_000, "DK005"),
    "superscript towers": ("x" + "² " * 2_000, "DK015"),
    "transposes": ("x" + ".T" * 2_000, "DK003"),
    "typeset transposes": ("x" + "ᵀ" * 2_000, "DK003"),
    "subscripts": ("x" + "[0]" * 1_500, "DK003"),
    "digits": ("1" * 5_000, "DK005"),
    "digits after the point": ("0." + "0" * 5_000 + "1", "DK005"),
    "exponent digits": ("1e" + "9" * 50_000, "DK005"),
    "tokens": ("x+" * 2_500 + "x", "DK002"),
    "lines": ("a\n" * 3_000, "DK002"),
    "names": ("\n".join(f"x{k}: 3" for k in range(400)) + "\nx1", "DK016"),
    "a long name": ("x" * 60_000, "DK006"),
    "a long Greek name": ("α" * 30_000, "DK006"),
    "underscores": ("x" + "_" * 60_000, "DK006"),
    "a long string": ("exp('" + "a" * 60_000 + "')", "DK007"),
    "an open string": ("exp('" + "a" * 60_000, "DK007"),
    "many quotes": ("'" * 60_001, "DK002"),
    "fences": ("```\n" * 15_000, "DK007"),
    "growing fractions": ("y = " + "+".join(f"1/{k * 97 + 10**30}" for k in range(1, 1_200)), None),
    "growing products": ("y = " + "*".join(["1e300", "1e-300"] * 1_200), None),
    "a long sum": ("y = " + "+".join(["x"] * 2_400), None),
    "a long product of powers": ("y = " + "*".join(["x**2"] * 1_200), None),
    "many blank lines": ("\n" * 60_000 + "x", None),
    "many comments": ("#\n" * 30_000 + "x", None),
    "NUL": ("x\x00", "DK004"),
    "bidi": ("\u202ex", "DK004"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_texts_are_refused_or_read_quickly(case):
    text, code = HOSTILE[case]
    start = time.process_time()
    try:
        read(text)
        seen = None
    except DerivkitError as error:
        seen = error.code
        report = error.report()
    else:
        report = ""
    assert len(report) < 1_000
    assert time.process_time() - start < patience()
    assert seen == code


def test_nothing_but_text():
    for wrong in (None, b"x", 3, ["x"]):
        with pytest.raises(DerivkitError) as caught:
            read(wrong)
        assert caught.value.code == "DK060"


def test_limits_are_read_when_called(monkeypatch):
    read("(((x)))")
    for limit, value, code, text in [
        ("NESTING", 2, "DK003", "(((x)))"),
        ("TOKENS", 2, "DK002", "x+y"),
        ("TEXT_BYTES", 3, "DK001", "x + y"),
        ("NAMES", 1, "DK016", "x+y"),
        ("NAME_LENGTH", 2, "DK006", "xyz"),
        ("LITERAL_DIGITS", 2, "DK005", "123"),
        ("LITERAL_EXPONENT", 2, "DK005", "1e3"),
        ("LITERAL_POWER", 2, "DK015", "x**3"),
        ("RANK", 1, "DK017", "x[1,2]"),
        ("SIZE", 9, "DK020", "x: 10\nx"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(limits, limit, value)
            error = refused(text)
            assert error.code == code
            assert str(value) in error.message


def test_a_stack_that_is_nearly_full(monkeypatch):
    monkeypatch.setattr(limits, "NESTING", 100_000)
    assert refused("(" * 2_000 + "x" + ")" * 2_000).code == "DK003"


def _reads_or_refuses(text):
    try:
        program = read(text)
    except DerivkitError as error:
        seen = error.report()
    else:
        seen = program.statements
    assert seen


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text):
    _reads_or_refuses(text)


@given(st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(text):
    _reads_or_refuses(text)


_PIECES = [
    *"()[],:=.+-*/@<>'\"#\n \t²ᵀα·x1",
    "**",
    "//",
    "==",
    "sum[k](",
    "delta[i,j]",
    "x[",
    "0.5",
    "1e",
    "None",
    "exp(",
    "x: ",
    "onehot ",
    "```",
    "\n  ",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=40).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_tokens_are_read_or_refused(text):
    _reads_or_refuses(text)


def test_the_reader_holds_no_door_to_python():
    folder = pathlib.Path(parse.__file__).parent
    for name in ("lexer", "syntax", "bounds", "pratt", "statements"):
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__", "getattr", "setattr"}, name
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not {m.split(".")[0] for m in modules if m} & {"ast", "sympy", "numpy", "importlib", "builtins"}, name


def test_spine_walks_a_long_chain_in_a_loop():
    first, steps = syntax.spine(expression("a" + "+b*c" * 1_000))
    assert shown(first) == "a"
    assert len(steps) == 1_000
    assert {shown(step.right) for step in steps} == {"(b*c)"}
