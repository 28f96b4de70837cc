"""``derivkit verify``: the formulas of documents, line by line."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from derivkit.checking.verify import explain, notes
from derivkit.checking.verify.findings import Claim, Document, Verification
from derivkit.checking.verify.told import NARROWEST
from derivkit.cli.arguments import Arguments, usage
from derivkit.cli.derive import read_pairs
from derivkit.cli.documents import Source, read_documents
from derivkit.errors import DerivkitError, echo

RIGHT, WRONG = 0, 1
MOST_JOBS = 256
#: Progress is shown when this much time has passed, and then so often.
PATIENCE, AGAIN = 1.0, 0.1
WIDEST = 160
_EXAMPLE = "derivkit verify notes.tex, or a directory, or - for standard input"


def run(arguments: Arguments) -> tuple[str, int]:
    """Return the report, and 1 if something is wrong (with --strict also if something was not decided), else 0."""
    if arguments.positional is None:
        raise usage("no document given", _EXAMPLE)
    style = arguments.get("--format") or "text"
    points, jobs = _points(arguments, style), _whole(arguments, "--jobs", 1, MOST_JOBS)
    shapes = read_pairs(arguments, "--shape", "NAME=KIND SIZES", "--shape W=K,M or --shape 't=onehot K'")
    sources = read_documents([arguments.positional, *arguments.others])
    if arguments.has("--explain"):
        return _explained(arguments, sources, shapes)
    found = _verified(sources, shapes, jobs)
    if not any(claim.status != "unread" for document in found.files for claim in document.claims):
        raise _nothing(found)
    return _written(found, style, points, arguments.get("--output") in (None, "-")), _status(found, arguments.has("--strict"))


def _status(found: Verification, strict: bool) -> int:
    unclear = any(not document.claims or {"undecided", "unread"} & set(document.counts) for document in found.files)
    return WRONG if not found.ok or (strict and unclear) else RIGHT


def _written(found: Verification, style: str, points: float, printed: bool) -> str:
    match style:
        case "json":
            return json.dumps(found.to_json(), indent=1)
        case "gradescope":
            return json.dumps(found.gradescope(points=points), indent=1)
        case "html":
            return found.html()
    if not printed or sys.stdout is None or not sys.stdout.isatty():
        return found.text()
    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    return found.text(width=width, colour=not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def _nothing(found: Verification) -> DerivkitError:
    """Return the error for documents of which nothing can be read: the first reason, with its place."""
    for document in found.files:
        for claim in document.claims:
            message = f"nothing in '{echo(document.path)}' can be read: {claim.message}"
            return DerivkitError(message, code="DK007", line=claim.line, column=claim.column, source=claim.source or None)
    path = found.files[0].path if len(found.files) == 1 else f"{len(found.files)} files"
    hint = r"formulas stand between $...$, $$...$$, \(...\), \[...\], or in an environment such as align"
    return DerivkitError(f"no formula in '{echo(path)}'", code="DK007", hint=hint)


# -- the work ------------------------------------------------------------------------------------------------------------


def _verified(sources: Sequence[Source], shapes: dict[str, str], jobs: int) -> Verification:
    """Return what is said of all documents, in their order; of those that could not be read, why."""
    readable = [(source.path, source.text) for source in sources if not source.why]
    with _progress() as progress, _executor(min(jobs, len(readable))) as executor:
        found = notes.verify_documents(readable, shapes=shapes or None, executor=executor, progress=progress)
    documents = iter(found.files)
    return Verification(tuple(_unreadable(source) if source.why else next(documents) for source in sources))


def _unreadable(source: Source) -> Document:
    return Document(source.path, (), (Claim(1, 1, "", "unread", message=source.why),))


@contextmanager
def _executor(jobs: int) -> Iterator[Executor | None]:
    """Yield the executor of ``--jobs``; ``None`` for a single job, which needs no other process."""
    if jobs < 2:
        yield None
        return
    # A server that has imported everything once starts each worker in no time.
    server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        context.set_forkserver_preload(["derivkit.checking.verify.notes"])
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise
    executor.shutdown()


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """Yield what is told of progress, a line on a terminal from the first second on; ``None`` where there is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    start, told, width = time.monotonic(), 0.0, 0

    def tell(done: int, number: int) -> None:
        nonlocal told, width
        now = time.monotonic()
        if now - start > PATIENCE and now - told > AGAIN:
            line = f"verified {done} of {number}"
            told, width = now, max(width, len(line))
            print(f"\r{line:{width}}", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if width:
            print(f"\r{'':{width}}\r", end="", file=sys.stderr, flush=True)


# -- options -------------------------------------------------------------------------------------------------------------


def _explained(arguments: Arguments, sources: Sequence[Source], shapes: dict[str, str]) -> tuple[str, int]:
    """Return derivkit's own derivation of one line."""
    for name in ("--format", "--points", "--strict", "--jobs"):
        if arguments.has(name):
            raise usage(f"{name} has no meaning with --explain")
    if len(sources) != 1:
        raise usage(f"--explain is for one document, not {len(sources)}", "derivkit verify notes.tex --explain 12")
    line = _whole(arguments, "--explain", 0, 10**9)
    (source,) = sources
    if source.why:
        raise DerivkitError(source.why, code="DK042")
    return explain.explain_line(source.text, line, path=source.path, shapes=shapes), RIGHT


def _whole(arguments: Arguments, name: str, otherwise: int, most: int) -> int:
    text = arguments.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise usage(f"{name} must be a whole number from 1 to {most}, not '{echo(text)}'", f"{name} 4")
    return int(text)


def _points(arguments: Arguments, style: str) -> float:
    text = arguments.get("--points")
    if text is None:
        return 1.0
    if style != "gradescope":
        raise usage(f"--points has no meaning with --format {style}", "--format gradescope --points 10")
    try:
        value = float(text) if text.isascii() else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise usage(f"--points must be a positive number, not '{echo(text)}'", "--points 10")
    return value
