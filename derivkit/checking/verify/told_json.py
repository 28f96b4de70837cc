"""A verification as data: JSON of the schema ``derivkit.verify/1`` there and back, and what Gradescope reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from derivkit.checking.verify.findings import COUNTED, STATUSES, Claim, Document, Verification
from derivkit.checking.verify.told import VERDICTS, counterexample, flat, pointed, reason, tally
from derivkit.errors import DerivkitError, echo

SCHEMA = "derivkit.verify/1"
#: The causes of a wrong relation.
CAUSES = (
    "sign",
    "transpose",
    "factor",
    "diagonal",
    "missing-sum",
    "index-reused",
    "index-swapped",
    "wrong-variable",
    "range",
    "parenthesis",
    "exponent",
    "power",
    "other",
)
_NESTING = 100
_BY_NAME = {"sizes", "values", "at"}  # the parts of a counterexample that are mappings
_NAME, _ROOM = 100, 100  # characters of a test's name and of a line in its output


def to_json(verification: Verification) -> dict[str, Any]:
    """Return a verification as JSON data, the keys always in this order.

    ``files`` has a document each, in the order in which they were given: ``path``, ``assumptions`` (sentences) and ``claims``, in
    reading order: ``line``, ``column`` (from 1: where the right side stands), ``text`` (the relation as written), ``status``, and
    ``cause``, ``needs``, ``correction``, ``counterexample`` and ``message`` as in
    :class:`~derivkit.checking.verify.findings.Claim`.  Numbers that are not finite become ``None``.

    >>> made = to_json(Verification((Document("notes.tex", (), (Claim(3, 6, "y = y", "right"),)),)))
    >>> made["files"][0]["claims"][0]["status"]
    'right'
    """
    return {"schema": SCHEMA, "files": [_file(document) for document in verification.files]}


def _file(document: Document) -> dict[str, Any]:
    return {
        "path": _valid(document.path),
        "assumptions": [_valid(assumption) for assumption in document.assumptions],
        "claims": [_entry(claim) for claim in document.claims],
    }


def _entry(claim: Claim) -> dict[str, Any]:
    return {
        "line": claim.line,
        "column": claim.column,
        "text": _valid(claim.text),
        "status": claim.status,
        "cause": claim.cause,
        "needs": [_valid(need) for need in claim.needs],
        "correction": None if claim.correction is None else _valid(claim.correction),
        "counterexample": None if claim.counterexample is None else _plain(claim.counterexample),
        "message": _valid(claim.message),
    }


def _valid(text: str) -> str:
    """Return a text that every reader of JSON takes: a lone surrogate, which a file name may have, is none."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: arrays as nested lists, numbers that are not finite as ``None``."""
    value = value.tolist() if hasattr(value, "tolist") else value
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {_valid(str(key)): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return _valid(str(value))


# -- and back ------------------------------------------------------------------------------------------------------------


def from_json(data: object) -> Verification:
    """Return the verification that :func:`to_json` wrote, from its data or from JSON text.

    Keys that are not known are passed over: a later version may add some.  Raises DerivkitError (DK040), which names the place,
    for anything else.

    >>> from_json('{"schema": "derivkit.verify/1", "files": []}')
    <Verification of 0 files: no formula>
    """
    if isinstance(data, (str, bytes)):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DerivkitError(f"a report is JSON, and this is none: {echo(error)}", code="DK040") from error
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        seen = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
        raise DerivkitError(f"a report has the schema '{SCHEMA}', not '{echo(seen)}'", code="DK040")
    files = _get(data, "files", list, "report")
    return Verification(tuple(_document(file, f"files[{n}]") for n, file in enumerate(files)))


def _document(file: object, place: str) -> Document:
    path, assumptions = _get(file, "path", str, place), _texts(file, "assumptions", place)
    claims = _get(file, "claims", list, place)
    return Document(path, assumptions, tuple(_claim(claim, f"{place}.claims[{n}]") for n, claim in enumerate(claims)))


def _claim(claim: object, place: str) -> Claim:
    status = _get(claim, "status", str, place)
    cause = _get(claim, "cause", str, place, optional=True)
    for name, value, known in (("status", status, STATUSES), ("cause", cause, (None, *CAUSES))):
        if value not in known:
            raise DerivkitError(f"{place}.{name} cannot be '{echo(value)}'", code="DK040")
    example = _get(claim, "counterexample", dict, place, optional=True)
    if example is not None:
        _check_example(example, f"{place}.counterexample")
    return Claim(
        line=_get(claim, "line", int, place),
        column=_get(claim, "column", int, place),
        text=_get(claim, "text", str, place),
        status=status,
        cause=cause,
        needs=_texts(claim, "needs", place),
        correction=_get(claim, "correction", str, place, optional=True),
        counterexample=example,
        message=_get(claim, "message", str, place),
    )


def _check_example(example: Mapping[str, Any], place: str) -> None:
    for key in _BY_NAME & set(example):
        _get(example, key, dict, place)
    if _depth(example) > _NESTING:
        raise DerivkitError(f"{place} is nested too deep", code="DK003")


def _get(holder: object, key: str, kind: type, place: str, *, optional: bool = False) -> Any:
    if not isinstance(holder, Mapping):
        raise DerivkitError(f"{place} is a JSON object, not {type(holder).__name__}", code="DK040")
    if key not in holder:
        raise DerivkitError(f"{place} has no '{key}'", code="DK040")
    value = holder[key]
    if (value is None and optional) or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise DerivkitError(f"{place}.{key} cannot be {echo(json.dumps(value, default=str))}", code="DK040")


def _texts(holder: object, key: str, place: str) -> tuple[str, ...]:
    texts = _get(holder, key, list, place)
    if not all(isinstance(text, str) for text in texts):
        raise DerivkitError(f"{place}.{key} is a list of texts", code="DK040")
    return tuple(texts)


def _depth(value: object) -> int:
    """Return how deep containers are nested, looking no further than the limit."""
    depth, layer = 0, [value]
    while layer and depth <= _NESTING:
        held = [item.values() if isinstance(item, Mapping) else item for item in layer if isinstance(item, (Mapping, list))]
        depth += bool(held)
        layer = [inner for items in held for inner in items]
        if not held:
            break
    return depth


# -- Gradescope ----------------------------------------------------------------------------------------------------------


def to_gradescope(verification: Verification, *, points: float = 1.0) -> dict[str, Any]:
    """Return what Gradescope reads as ``results.json``: the share of right lines, times ``points``, and a test for each relation.

    A line that follows from a wrong one costs nothing: it is shown, and so is one that was not decided or not read.  Definitions
    are not shown.  Everything is plain text: nothing that a document holds is read as HTML.  Raises DerivkitError (DK010)
    unless ``points`` is positive.

    >>> found = Verification((Document("hw.tex", (), (Claim(3, 6, "y = x", "right"), Claim(4, 6, "y = -x", "wrong", "sign"))),))
    >>> made = to_gradescope(found, points=10)
    >>> made["score"], [test["name"] for test in made["tests"]]
    (5.0, ['line 3: right: y = x', 'line 4: wrong: y = -x'])
    """
    if isinstance(points, bool) or not isinstance(points, (int, float)) or not (math.isfinite(points) and points > 0):
        raise DerivkitError(f"points is a positive number, not {echo(points)}", code="DK010")
    share = verification.share
    decided = sum(verification.counts.get(status, 0) for status in COUNTED)
    return {
        "score": round(points * (share or 0.0), 6),
        "output": "\n".join(_summary(verification)),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "tests": [
            _test(claim, document.path if len(verification.files) > 1 else "", points / max(decided, 1))
            for document in verification.files
            for claim in document.claims
            if claim.status != "definition"
        ],
    }


def _summary(verification: Verification) -> Iterator[str]:
    for document in verification.files:
        yield f"{flat(document.path)}: {tally(document)}"
        yield from (f"assumed: {flat(assumption)}" for assumption in document.assumptions)
    if verification.share is None:
        yield "Nothing could be decided: grade it by hand."


def _test(claim: Claim, path: str, worth: float) -> dict[str, Any]:
    where = f"{flat(path)}, line {claim.line}" if path else f"line {claim.line}"
    name = echo(f"{where}: {VERDICTS[claim.status]}: {flat(claim.text)}", _NAME)
    test: dict[str, Any] = {"name": name, "visibility": "visible"}
    if claim.status in COUNTED:
        right = COUNTED[claim.status]
        test |= {"score": worth if right else 0.0, "max_score": worth, "status": "passed" if right else "failed"}
    output = "\n".join(_explained(claim))
    return {**test, "output": output} if output else test


def _explained(claim: Claim) -> Iterator[str]:
    """Yield what a student is told beside the verdict."""
    if claim.status not in ("right", "right_if"):
        yield from filter(None, (reason(claim),))
        yield from islice(pointed(claim, _ROOM), 2)
    if claim.needs:
        yield f"needs {' and '.join(map(flat, claim.needs))}"
    if claim.correction:
        yield f"instead: {flat(claim.correction)}"
    if claim.counterexample:
        yield counterexample(claim.counterexample)
