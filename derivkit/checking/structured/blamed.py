"""The report's cause: what is wrong nearest to the loss, since whatever comes before it on the way back follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derivkit.checking.structured.faults import BOUNDS, faults
from derivkit.checking.structured.flow import CLOSE, Fault, Flow
from derivkit.checking.structured.measured import Measurement
from derivkit.checking.structured.verdict import Judged, cause
from derivkit.checking.structured.words import Words, listed
from derivkit.numeric.codegen.lift import Program
from derivkit.symbolic.expr import Name

Floats = NDArray[np.float64]

#: What a leaf tells by itself with certainty: no line of the program is asked.
CERTAIN = ("zero", "sign", "scale", "swapped-args", "transpose", "permutation", "few-entries", "block", "regulariser")
#: Words of a sentence on one leaf and on several.
SINGULAR = {"has": "has", "lack": "lacks", "is": "is", "hold": "holds"}
PLURAL = {"has": "have", "lack": "lack", "is": "are", "hold": "hold"}


@dataclass(frozen=True, slots=True)
class Blame:
    """The code and the sentence of the cause, the lines that support it, and what each wrong leaf is called."""

    code: str
    sentence: str
    evidence: tuple[str, ...]


def blame(
    program: Program,
    m: Measurement,
    words: Words,
    judged: Sequence[Judged],
    leaves: Mapping[str, Name],
    claims: Mapping[str, Floats],
) -> Blame:
    """Return the cause of what is wrong among ``judged``; the right ones of them speak against suspects."""
    flow = Flow(program, m, judged, leaves)
    wrong = flow.backwards([j for j in judged if np.any(j.wrong)])
    told = {j.name: _alone(j, [c for word, c in claims.items() if word != j.name], claims) for j in wrong}
    fault, explained, multiple = None, list[str](), 0.0
    if any(not _is_certain(code) for code, _ in told.values()):
        fault, explained, multiple = _convicted(flow, words, told)
    if fault is not None:
        code, sentence = _spoken(fault, multiple, _together(flow, explained))
        told |= dict.fromkeys(explained, (code, sentence))
    else:
        code, sentence = _by_itself(flow, told)
    alike = {code for code, _ in told.values()} == {code} != {"dense"}
    evidence = [_way(flow, words, wrong, fault, explained, alike)] if len(judged) > 1 else []
    evidence += _beside(flow, words, wrong)
    evidence += [_share(j, told[j.name][0] if len(wrong) > 1 else "") for j in wrong]
    return Blame(code, sentence, tuple(evidence))


def _alone(j: Judged, others: Sequence[Floats], claims: Mapping[str, Floats]) -> tuple[str, str]:
    """Return the cause that a leaf tells by itself; to what it was clipped, where it was."""
    code, sentence = cause(j, others)
    bound = float(np.max(np.abs(j.claim), initial=0.0))
    if code == "dense" and np.sum(np.abs(j.claim) == bound) > 1 and bool(np.all(j.near(np.clip(j.found.value, -bound, bound)))):
        return "mask", f"{j.name}'s gradient is clipped to ±{bound:.7g}"
    if code.startswith("scale"):
        of = {"its norm": [j.claim], "the norm of all gradients": list(claims.values())}
        norms = {who: float(np.sqrt(sum(np.sum(c * c) for c in some))) for who, some in of.items()}
        clipped = next((who for who, norm in norms.items() if any(abs(norm / b - 1) < CLOSE for b in BOUNDS)), None)
        if clipped is not None:
            return code, f"{sentence.split(':')[0]}: {clipped} is {norms[clipped]:.7g}, was it clipped to that?"
    return code, sentence


def _is_certain(code: str) -> bool:
    return code.split(":")[0] in CERTAIN


def _convicted(flow: Flow, words: Words, told: Mapping[str, tuple[str, str]]) -> tuple[Fault | None, list[str], float]:
    """Return the fault that explains most of the wrong leaves, one at least that does not tell by itself.

    Of equals it is the nearest to the loss; of mere factors the farthest, since a line hands one on to the next.
    """
    best: tuple[Fault | None, list[str], float] = (None, [], 0.0)
    for fault in faults(flow, words):
        names, multiple = flow.explains(fault)
        handed_on = best[0] is not None and best[0].is_scale and fault.is_scale and names == best[1]
        if handed_on or (len(names) > len(best[1]) and not all(_is_certain(told[word][0]) for word in names)):
            best = (fault, names, multiple)
            if len(names) == len(told) and not fault.is_scale:
                break
    return best


def _spoken(fault: Fault, multiple: float, names: Sequence[str]) -> tuple[str, str]:
    """Return code and sentence, the multiple put in."""
    factor = 1 + multiple
    short = f"{factor:.7g}"
    fields = {
        "factor": short,
        "inverse": f"{1 / factor:.7g}",
        "other": f"{multiple:.4g}",
        "of": "times" if abs(factor) > 1 else "of",
    }
    verbs = PLURAL if len(names) > 1 else SINGULAR
    code = fault.code.format(factor=short)
    code = "sign" if code == "scale:-1" else code
    return code, f"{_whose(names)} {fault.said.format(**verbs, **fields)}".rstrip(",").replace(",:", ":")


def _whose(names: Sequence[str]) -> str:
    return f"{listed([f'{n}' + chr(39) + 's' for n in names])} gradient{'s' if len(names) > 1 else ''}"


def _together(flow: Flow, names: Sequence[str]) -> list[str]:
    """Return the first of some leaves, given in the order of the way back, and what is met together with it."""
    return [n for n in names if flow.met(n) == flow.met(names[0])]


def _by_itself(flow: Flow, told: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """Return the cause that leaves tell by themselves, the nearest to the loss first."""
    known = next((t for t in told.values() if t[0] != "dense"), None)
    if known is not None:
        return known
    first = _together(flow, list(told))
    return "dense", f"{_whose(first)} {'are' if len(first) > 1 else 'is'} wrong in no recognised way"


def _way(flow: Flow, words: Words, wrong: Sequence[Judged], fault: Fault | None, explained: Sequence[str], alike: bool) -> str:
    """Return the line that says where the way back from the loss goes wrong first, and what follows from that."""
    first = _together(flow, [j.name for j in wrong])
    rest = [j.name for j in wrong if j.name not in first]
    before = {j.name for j in flow.judged if flow.met(j.name) < flow.met(first[0])}
    follow = ""
    if rest and set(rest) <= set(explained) and first[0] in explained:
        follow = " (all before them follow)" if set(rest) == before else f" ({', '.join(rest)} follow)"
    elif rest:
        how = "are wrong in the same way" if alike else "are wrong, too"
        follow = f" (all before them {how})" if set(rest) == before else f" (then {', '.join(rest)})"
    place = flow.program.definitions[flow.met(first[0])].name
    there = ""
    if fault is not None and first[0] in explained and fault.at in _from(flow, place):
        there = f"; {words.slope(place)} is wrong already"
    return f"first wrong on the way back: {', '.join(first)}{follow}{there}"


def _from(flow: Flow, place: Name) -> set[Name]:
    """Return a definition and those behind it, but for the result."""
    names = [d.name for d in flow.program.definitions]
    return set(names[names.index(place) :]) - {flow.program.value}


def _beside(flow: Flow, words: Words, wrong: Sequence[Judged]) -> list[str]:
    """Return what is right beside the first wrong leaf: the slopes that both come from are right then."""
    names = [j.name for j in wrong]
    right = [j.name for j in flow.judged if j.name not in names and flow.met(j.name) == flow.met(names[0])]
    place = flow.program.definitions[flow.met(names[0])].name
    if not right or len(flow.readers(flow.leaves[names[0]])) > 1 or place == flow.program.value:
        return []
    return [f"{listed(right)}, from the same {words.slope(place)}, {'are' if len(right) > 1 else 'is'} right"]


def _share(j: Judged, code: str) -> str:
    return f"{j.name}: {int(j.wrong.sum())} of {j.claim.size} entries are wrong{f'; {code}' if code else ''}"
