"""The floors of the house, drawn from the import statements: imports go down or to the left, and never round in a circle.

The table of rooms is :data:`ROOMS`.  A new file needs a row there (most patterns already cover it); a new floor or wing
needs a record in docs/decisions first.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "derivkit"
MOST_LINES = 400

GROUND, DOORS = 0, 5
OPTIONAL = {"matplotlib", "scipy", "cloudpickle"}
NUMPY, SYMPY = {"numpy"}, {"numpy", "sympy"}


class Room(NamedTuple):
    """A row of the table.  ``order``: a room may import from its own floor and wing up to its own place, never to the right.

    The wings: ``symbolic``, ``checking``, ``both`` (where they meet), ``shared`` (NumPy only; both wings stand on it).
    """

    pattern: str
    floor: int
    wing: str
    order: int
    needs: set[str]


def rooms(floor: int, wing: str, needs: set[str], *places: str) -> list[Room]:
    """Return one row for each pattern; the patterns written in one place, with blanks between, may import each other."""
    return [Room(f"derivkit.{p}", floor, wing, order, needs) for order, place in enumerate(places) for p in place.split()]


def in_folder(folder: str, *tables: list[Room]) -> list[Room]:
    """Return the rows with their patterns put below ``folder``."""
    return [room._replace(pattern=f"derivkit.{folder}.{room.pattern.removeprefix('derivkit.')}") for t in tables for room in t]


KERNEL = tuple(f"numeric.{name}" for name in "exponentials kernel bound sgd trace cost lambdify".split())
ROOMS = [
    *rooms(GROUND, "shared", set(), "collector errors limits texts", "layout"),
    *rooms(GROUND, "shared", set(), "symbolic numeric checking"),  # the folders' own __init__: nothing but a docstring
    *in_folder(
        "symbolic",
        rooms(
            1,
            "symbolic",
            SYMPY,
            "sizes",
            "index",
            "ranges",
            "names",
            "nodes",
            "deltas",
            "expr",
            "elementary",
            "normal",
            "plans",
            "graph",
            "ops ops_*",
            "rules",
            "steps",
        ),
        rooms(
            2,
            "symbolic",
            SYMPY,
            "parse parse.*",
            "given",
            "evaluate",
            "arrays arrays.*",
            "derive derive.*",
            "notes notes.*",
            "gallery gallery.*",
        ),
    ),
    *rooms(3, "symbolic", SYMPY, "symbolic.render symbolic.render.*", "numeric.codegen numeric.codegen.*", *KERNEL),
    *rooms(4, "symbolic", NUMPY, "numeric.train_check", "numeric.train"),
    *rooms(1, "shared", NUMPY, "numeric.finite_difference", "numeric.data_files", "numeric.data"),
    *in_folder(
        "checking",
        rooms(1, "checking", NUMPY, "report libraries sending", "trees plot notebook", "spelled"),
        rooms(
            2,
            "checking",
            NUMPY,
            "calls line",
            "residual",
            "measured",
            "places factors",
            "diagnose",
            "problem",
            "directions",
            "quick",
            "evidence",
            "shapes",
            "contract",
            "kinks precision resolution narrow",
            "check",
            "many",
        ),
        rooms(3, "checking", NUMPY | {"hypothesis"}, "strategies"),
        rooms(4, "both", SYMPY | {"hypothesis"}, "strategies_programs"),
        rooms(4, "both", SYMPY, "verify verify.*"),
        rooms(
            4,
            "both",
            NUMPY,
            "structured.columns",
            "structured.routes",
            "structured.measured",
            "structured.verdict",
            "structured.words",
            "structured.flow",
            "structured.faults",
            "structured.blamed",
            "structured structured.door",
        ),
    ),
]
#: The doors see everything; only what each may load from outside is limited.  The front door is ``derivkit`` itself.
ROOMS += [
    Room("derivkit", DOORS, "both", 0, set()),
    *rooms(DOORS, "both", NUMPY, "cli cli.*", "__main__"),
    *rooms(DOORS, "both", {"pytest"}, "pytest_plugin"),
    *rooms(DOORS, "both", {"hypothesis"}, "strategies"),
]

#: Thin forwards: a record's method may import one verb when it is called.  (importing module, imported module)
FORWARDS = [
    ("derivkit.checking.report", "derivkit.checking.plot"),
    ("derivkit.checking.report", "derivkit.checking.notebook"),
    ("derivkit.checking.verify.findings", "derivkit.checking.verify.told*"),
    ("derivkit.symbolic.steps", "derivkit.symbolic.render*"),
    ("derivkit.symbolic.steps", "derivkit.symbolic.derive*"),
    ("derivkit.symbolic.derive*", "derivkit.symbolic.render*"),
    ("derivkit.symbolic.steps", "derivkit.numeric.trace"),
    ("derivkit.symbolic.derive*", "derivkit.checking.verify*"),
    ("derivkit.symbolic.steps", "derivkit.checking.verify*"),
    ("derivkit.numeric.kernel", "derivkit.checking.structured"),
    ("derivkit.numeric.kernel", "derivkit.numeric.bound"),
    ("derivkit.numeric.kernel", "derivkit.numeric.sgd"),
    ("derivkit.numeric.kernel", "derivkit.numeric.cost"),
    ("derivkit.numeric.kernel", "derivkit.numeric.train"),
]


class Import(NamedTuple):
    """One import: what is imported, in which line, inside a function (and is that function thin), for type checkers only."""

    target: str
    line: int
    hidden: bool
    thin: bool
    typing_only: bool


def room_of(module: str) -> Room | None:
    """Return the room of ``module``; of several patterns that fit, the longest."""
    fitting = [room for room in ROOMS if fnmatchcase(module, room.pattern)]
    return max(fitting, key=lambda room: len(room.pattern), default=None)


def sources(package: Path) -> dict[str, Path]:
    """Return every module of the package, by name."""
    return {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(package.rglob("*.py"))
    }


def imports_of(module: str, path: Path, known: set[str]) -> Iterator[Import]:
    """Yield every import of one file, wherever it stands."""
    own_package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def targets(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = own_package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                # "from package import module" imports the module, "from module import name" the name's module.
                yield f"{source}.{alias.name}" if f"{source}.{alias.name}" in known else source
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
            yield "?"

    def walk(node: ast.AST, function: ast.AST | None, typing_only: bool) -> Iterator[Import]:
        for target in targets(node):
            line = getattr(node, "lineno", 0)
            yield Import(target, line, function is not None, function is not None and is_thin(function), typing_only)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            function = node
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for child in node.body:
                yield from walk(child, function, typing_only=True)
            for child in node.orelse:
                yield from walk(child, function, typing_only)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, function, typing_only)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), None, False)


def is_thin(function: ast.AST) -> bool:
    """Return whether a function is one import and one statement, after its docstring."""
    body = list(getattr(function, "body", []))
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return len(body) == 2 and isinstance(body[0], ast.ImportFrom | ast.Import)


def goes_down_or_left(source: Room, target: Room) -> bool:
    if source.floor == DOORS:
        return target.floor < DOORS or target.order <= source.order
    same_wing = target.wing in {source.wing, "shared"} or source.wing == "both"
    if target.floor == source.floor:
        return target.wing == source.wing and target.order <= source.order
    return target.floor < source.floor and same_wing


def complaint(module: str, room: Room, found: Import) -> str | None:
    """Return what is wrong with one import, or ``None``."""
    target = found.target
    if target == "?":
        return None if room.floor == DOORS else "imports by a name made at run time"
    if target.split(".")[0] != "derivkit":
        return outside(room, found)
    there = room_of(target)
    if there is None:
        return f"imports {target}, which has no room"
    forward = any(fnmatchcase(module, source) and fnmatchcase(target, verb) for source, verb in FORWARDS)
    if found.hidden:
        if not forward:
            return f"imports {target} inside a function"
        return None if found.thin else f"forwards to {target} from a function that is more than one import and one call"
    if goes_down_or_left(room, there) or (found.typing_only and (forward or room.floor == DOORS)):
        return None
    if there.wing != room.wing and "both" not in {there.wing, room.wing} and "shared" not in {there.wing, room.wing}:
        return f"imports {target} from the other wing"
    return f"imports {target}, which is {'above' if there.floor > room.floor else 'to the right'}"


def outside(room: Room, found: Import) -> str | None:
    """Return what is wrong with an import of somebody else's package, or ``None``."""
    package = found.target.split(".")[0]
    if package in sys.stdlib_module_names:
        return None
    if found.hidden:
        return None if package in OPTIONAL else f"imports {package} inside a function"
    return None if package in room.needs or found.typing_only else f"imports {package}, which this room does not need"


def circles(edges: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield the circles that a depth-first walk along the imports meets, each as its list of modules."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
            return
        if module in done:
            return
        for target in sorted(edges.get(module, ())):
            yield from walk(target, [*path, module])
        done.add(module)

    for module in sorted(edges):
        yield from walk(module, [])


def violations(package: Path) -> list[str]:
    """Return every way in which the files below ``package`` break the rules of the house."""
    modules = sources(package)
    found: list[str] = []
    edges: dict[str, set[str]] = {}
    for module, path in modules.items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            found.append(f"{module}: {lines} lines, more than {MOST_LINES}")
        room = room_of(module)
        if room is None:
            found.append(f"{module}: has no room in the table of floors")
            continue
        try:
            imports = list(imports_of(module, path, set(modules)))
        except SyntaxError as error:
            found.append(f"{module}:{error.lineno}: this Python cannot read it ({error.msg})")
            continue
        found += [f"{module}:{i.line}: {what}" for i in imports if (what := complaint(module, room, i))]
        edges[module] = {i.target for i in imports if i.target in modules and not i.hidden and not i.typing_only}
    return found + [f"{circle[0]}: a circle, {' -> '.join(circle)}" for circle in circles(edges)]


def test_the_house_stands() -> None:
    assert violations(PACKAGE) == []


def test_the_checking_wing_needs_numpy_alone() -> None:
    wing = [m for m in sources(PACKAGE) if (room := room_of(m)) and room.wing == "checking" and room.needs <= NUMPY]
    code = f"import sys\nfor m in {wing!r}: __import__(m)\nsys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PLANTED = {
    "upward": ({"symbolic/expr.py": "from derivkit.symbolic.derive import derive"}, "which is above"),
    "upward, relative": ({"symbolic/expr.py": "from .render.text import text"}, "which is above"),
    "upward, to the door": ({"symbolic/expr.py": "import derivkit"}, "which is above"),
    "to the right": ({"symbolic/index.py": "from derivkit.symbolic import rules", "symbolic/rules.py": ""}, "to the right"),
    "across": ({"checking/check.py": "from derivkit.symbolic.expr import Ref"}, "from the other wing"),
    "across, back": ({"numeric/train.py": "from derivkit.checking.check import check_gradient"}, "from the other wing"),
    "ground is bare": ({"errors.py": "import numpy"}, "which this room does not need"),
    "checking pays for SymPy": ({"checking/report.py": "import sympy.core"}, "which this room does not need"),
    "hidden": (
        {"symbolic/derive/record.py": "def f():\n    from derivkit.symbolic.expr import Ref\n    return Ref"},
        "inside a function",
    ),
    "hidden, not ours": (
        {"numeric/kernel.py": "def f():\n    import sympy\n    return sympy"},
        "imports sympy inside a function",
    ),
    "hidden, by name": ({"numeric/kernel.py": "import importlib\nx = importlib.import_module('a')"}, "made at run time"),
    "thick forward": (
        {"symbolic/derive/record.py": "def f(x):\n    from derivkit.symbolic.render.text import g\n    x += 1\n    return g(x)"},
        "more than one import and one call",
    ),
    "for type checkers": (
        {"symbolic/expr.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from derivkit.symbolic.steps import Step"},
        "to the right",
    ),
    "no room": ({"symbolic/helpers.py": ""}, "has no room"),
    "no room there": ({"symbolic/expr.py": "import derivkit.utils.misc"}, "which has no room"),
    "circle": (
        {
            "symbolic/parse/lexer.py": "from . import pratt",
            "symbolic/parse/pratt.py": "from derivkit.symbolic.parse import lexer",
        },
        "a circle, derivkit.symbolic.parse.lexer -> derivkit.symbolic.parse.pratt -> derivkit.symbolic.parse.lexer",
    ),
    "newer syntax": ({"symbolic/expr.py": "x = ="}, "this Python cannot read it"),
    "long": ({"symbolic/expr.py": "x = 1\n" * (MOST_LINES + 1)}, "more than 400"),
}

ALLOWED = {
    "down": {
        "symbolic/derive/engine.py": "import sympy\nfrom derivkit.symbolic.expr import Ref\nfrom derivkit.errors import echo"
    },
    "to the left": {
        "symbolic/rules.py": "from derivkit.symbolic.ops_loss import OPS",
        "symbolic/ops_loss.py": "from .ops import Op",
    },
    "shared": {"checking/check.py": "from derivkit.numeric.finite_difference import jacobian"},
    "meeting": {
        "checking/verify.py": "from derivkit.symbolic.parse import parse\nfrom derivkit.checking.check import check_gradient"
    },
    "thin forward": {
        "symbolic/derive/record.py": "class D:\n    def f(self):\n        '''Doc.'''\n"
        "        from derivkit.symbolic.render.text import g\n        return g(self)"
    },
    "optional": {"numeric/train.py": "def plot():\n    import matplotlib.pyplot as plt\n    return plt.figure()"},
    "door": {
        "cli/derive.py": "import derivkit as dk\nfrom derivkit.checking.verify import verify\nfrom derivkit.cli.files import read"
    },
}


def plant(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "derivkit"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


@pytest.mark.parametrize(("files", "reason"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_seen_for_its_reason(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    found = violations(plant(tmp_path, files))
    assert len(found) == 1, found
    assert reason in found[0]


@pytest.mark.parametrize("files", ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_passes(tmp_path: Path, files: dict[str, str]) -> None:
    assert violations(plant(tmp_path, files)) == []
