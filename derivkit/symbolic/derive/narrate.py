"""From a reverse pass to steps: each line follows from the one before, and says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from operator import itemgetter

from derivkit.symbolic.derive.distinct import distinct
from derivkit.symbolic.derive.forms import polished
from derivkit.symbolic.derive.forward import Forward, Tangent
from derivkit.symbolic.derive.inline import Writer
from derivkit.symbolic.derive.reverse import Adjoint, Contribution, Pass, Stage, raw_product, reference
from derivkit.symbolic.derive.rewrite import rewrite
from derivkit.symbolic.derive.totals import Mean, mean_behind, without_centred
from derivkit.symbolic.elementary import divides
from derivkit.symbolic.expr import (
    ONE_EXPR,
    ZERO_EXPR,
    Add,
    Delta,
    Expr,
    Fn,
    Mul,
    Name,
    Num,
    Pow,
    Prim,
    Ref,
    Sum,
    key,
    references,
    walk,
)
from derivkit.symbolic.graph import Definition, Graph
from derivkit.symbolic.index import Index
from derivkit.symbolic.normal import delta, factors_of, mul, sum_over, terms_of
from derivkit.symbolic.ops import DEFINED, OPS
from derivkit.symbolic.rules import SENTENCES
from derivkit.symbolic.steps import Step

QUOTED_NODES = 200  # a longer line is not quoted again in every reason


class _Teller:
    """Numbers the steps, and remembers which derivative was shown in which."""

    def __init__(self, lemmas: Mapping[str, int]) -> None:
        self.lemmas = lemmas
        self.steps: list[Step] = []
        self.number: dict[Name, int] = {}
        self.lines: tuple[Definition, ...] = ()
        self.places: dict[Name, int] = {}
        self.moved: dict[Name, Set[Name]] = {}  # what depends on an input
        self.outputs: tuple[Index | None, ...] = ()
        self.named: dict[Name, tuple[int, Definition]] = {}  # the lines that may be folded to, with their places
        self.written: dict[Name, Definition] = {}
        self.writer = Writer({})
        self.graph: Graph | None = None
        self.found: Mapping[Name, Adjoint] = {}
        self.ended: dict[Name, Expr] = {}  # the forms that the steps of derivatives ended with: what later steps insert
        self.means: tuple[Mean, ...] = ()

    def begin(self, done: Pass | Forward) -> None:
        """Turn to the next pass; what the passes before it found is written out, too."""
        self.means = done.known.means
        told = (d for d in done.graph.definitions if not isinstance(d.rhs, Prim) or d.rhs.op == "solve")
        self.named = {d.name: (n, d) for n, d in enumerate(told)}
        self.graph, self.moved = done.graph, {}
        self.lines = done.graph.definitions
        self.places = {d.name: n for n, d in enumerate(self.lines)}
        if isinstance(done, Pass):
            self.outputs = done.outputs
            self.found = {a.of: a for a in done.adjoints}
            self.written |= {a.definition.name: a.definition for a in done.adjoints if a.contributions}
        self.writer = Writer(self.written)

    def among(self, names: Iterable[Name]) -> list[Definition]:
        """Return the lines of ``names`` that may be folded to, in the program's order."""
        return [d for _, d in sorted((self.named[n] for n in names if n in self.named), key=itemgetter(0))]

    def constants(self, d: Definition, of: Name) -> tuple[Expr, ...]:
        """Return what a line reads beside a name and what moves with it: held, in the line's own derivative by the name."""
        others = [n for n in references(d.rhs) if n != of and n not in self.graph.inputs] if self.graph is not None else []
        moving = self._moving(of, d.name) if others else frozenset()
        return tuple(Ref(n) for n in others if n in moving)

    def _moving(self, of: Name, until: Name) -> Set[Name]:
        """Return what depends on a name, as far as the line ``until`` can read it."""
        if of not in self.places:
            if of not in self.moved and self.graph is not None:
                self.moved[of] = self.graph.dependents(frozenset((of,)))
            return self.moved.get(of, frozenset())
        found = {of}
        for d in self.lines[self.places[of] : self.places[until]]:
            if not found.isdisjoint(references(d.rhs)):
                found.add(d.name)
        return found

    def tell(self, rule: str, before: Expr, lines: list[Step], cites: tuple[int, ...], lemma: int = 0) -> int:
        n = len(self.steps) + 1
        last = lines[-1]
        self.steps.append(Step(rule, before, last.after, lines[0].reason, tuple(lines), n, cites, lemma))
        return n


def narrate(passes: Iterable[Pass | Forward], lemmas: Mapping[str, int]) -> tuple[Step, ...]:
    """Return the numbered steps of the passes, in order; ``lemmas`` are the numbers of the lemmas, by operation."""
    teller = _Teller(lemmas)
    for done in passes:
        teller.begin(done)
        if isinstance(done, Forward):
            for tangent in done.tangents:
                _tell_tangent(teller, tangent)
            continue
        for adjoint in done.adjoints:
            if not adjoint.contributions:
                continue
            for c in adjoint.contributions:
                if not c.linear and not c.seed and local_name(c, adjoint) not in teller.number:
                    _tell_local(teller, c, adjoint)
            _tell_adjoint(teller, adjoint)
    return tuple(teller.steps)


# -- local derivatives ---------------------------------------------------------------------------------------------------


def local_name(c: Contribution, adjoint: Adjoint) -> Name:
    """Return the name ∂consumer/∂node."""
    return Name("local", "", of=c.consumer.name, output=adjoint.of)


def _local_ref(c: Contribution, adjoint: Adjoint, teller: _Teller) -> Ref:
    rank = len(teller.outputs)
    positions = c.adjoint.subs[rank:]
    own = reference(adjoint.of, adjoint.definition.indices[rank:]).subs
    return Ref(local_name(c, adjoint), positions + own)


def _tell_local(teller: _Teller, c: Contribution, adjoint: Adjoint) -> None:
    name = local_name(c, adjoint)
    op = c.consumer.rhs.op if isinstance(c.consumer.rhs, Fn | Prim) else ""
    before = _local_ref(c, adjoint, teller)
    after = polished(c.local)
    why, about = _why_local(c, op, teller.constants(c.consumer, adjoint.of))
    line = Step("local derivative", before, after, why, about=about)
    teller.number[name] = teller.tell("local derivative", before, [line], (), teller.lemmas.get(op, 0))


def _why_local(c: Contribution, op: str, held: tuple[Expr, ...]) -> tuple[str, tuple[Expr, ...]]:
    reason, about = (OPS[op].reason, ()) if op else (SENTENCES["differentiate"], (c.consumer.ref(), c.consumer.rhs))
    listed = ", ".join(f"{{{len(about) + n}}}" for n in range(len(held)))
    return f"{reason}, {SENTENCES['held'].format(listed)}" if held else reason, (*about, *held)


# -- tangents -------------------------------------------------------------------------------------------------------------


def _tell_tangent(teller: _Teller, tangent: Tangent) -> None:
    before = tangent.definition.ref()
    op = tangent.of.rhs.op if isinstance(tangent.of.rhs, Fn | Prim) else ""
    reason, about = (OPS[op].reason, ()) if op else (SENTENCES["differentiate"], (tangent.of.ref(), tangent.of.rhs))
    formal = isinstance(tangent.of.rhs, Prim)  # an operation along an axis has a Jacobian, any other a slope
    lines = [Step("local derivative", before, tangent.product, reason, about=about)] if formal else []
    for n, stage in enumerate(tangent.stages):
        if n:
            past = tangent.stages[n - 1].expr
            why, what = _stage_reason(teller, stage, past, past, stage.expr)
        else:
            why, what = _normal_reason(tangent.product, stage.expr) if formal else (reason, about)
        facts = (stage.fact.sentence,) if stage.fact is not None else ()
        lines.append(Step(stage.rule, before, stage.expr, why, about=what, facts=facts))
    cites = tuple(sorted({n for p in tangent.parts if (n := teller.number.get(p.tangent.name, 0))}))
    lemma = teller.lemmas.get(op, 0)
    teller.number[tangent.definition.name] = teller.tell("forward", before, distinct(lines), cites, lemma)


# -- adjoints -------------------------------------------------------------------------------------------------------------


def _tell_adjoint(teller: _Teller, adjoint: Adjoint) -> None:
    before = adjoint.definition.ref()
    cites = _cites(teller, adjoint)
    lines = distinct(_formal(teller, adjoint, before) + _worked(teller, adjoint, before, cites))
    rule = "chain rule" if any(not c.seed for c in adjoint.contributions) else "local derivative"
    teller.number[adjoint.definition.name] = teller.tell(rule, before, lines, cites)
    teller.ended[adjoint.definition.name] = lines[-1].after


def _cites(teller: _Teller, adjoint: Adjoint) -> tuple[int, ...]:
    used = []
    for c in adjoint.contributions:
        used += [teller.number.get(c.adjoint.name, 0), teller.number.get(local_name(c, adjoint), 0)]
    return tuple(sorted({n for n in used if n}))


def _formal(teller: _Teller, adjoint: Adjoint, before: Expr) -> list[Step]:
    """Return the line Σ_k ∂E/∂y_k · ∂y_k/∂z_l, when some local derivative was worth a step of its own."""
    if all(c.linear or c.seed for c in adjoint.contributions):
        return []
    if len(adjoint.contributions) == 1 and adjoint.contributions[0].slope is not None:
        return []
    terms = []
    for c in adjoint.contributions:
        if c.seed:
            terms.append(_direct(c, len(teller.outputs)))
            continue
        shown: Expr = c.local if c.linear else _local_ref(c, adjoint, teller)
        body: Expr = Mul((c.adjoint, *factors_of(shown)))
        terms.append(Sum(c.over, body) if c.over else body)
    after = terms[0] if len(terms) == 1 else Add(tuple(terms))
    return [Step("chain rule", before, after, _through(adjoint), about=_consumers(adjoint))]


def _direct(c: Contribution, rank: int) -> Expr:
    """Return what the output's own line adds: its local derivative, at the output's position where that has axes."""
    here = zip(c.adjoint.subs[:rank], c.adjoint.subs[rank:], strict=True)
    return polished(sum_over(c.over, mul((ONE_EXPR, *(delta(out, own) for out, own in here), c.local))))


def _through(adjoint: Adjoint) -> str:
    names = [f"{{{n}}}" for n in range(len(_consumers(adjoint)))]
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    directly = ", and directly" if any(c.seed for c in adjoint.contributions) else ""
    return f"chain rule through {listed}{directly}"


def _consumers(adjoint: Adjoint) -> tuple[Expr, ...]:
    return tuple(Ref(c.consumer.name) for c in adjoint.contributions if not c.seed)


def _worked(teller: _Teller, adjoint: Adjoint, before: Expr, cites: tuple[int, ...]) -> list[Step]:
    reason, about = _first_reason(adjoint, cites)
    lines = []
    shown = [polished(teller.writer.written_out(stage.expr)) for stage in adjoint.stages]
    if any(not c.linear and not c.seed for c in adjoint.contributions):
        product = teller.writer.quoted(_inserted(teller, adjoint), teller.ended)
        lines.append(Step("substitute", before, product, reason, about=about))
        reason, about = _normal_reason(product, shown[0])
    for n, stage in enumerate(adjoint.stages):
        why, what = reason, about
        if n:
            why, what = _stage_reason(teller, stage, adjoint.stages[n - 1].expr, shown[n - 1], shown[n])
        facts = (stage.fact.sentence,) if stage.fact is not None else ()
        lines.append(Step(stage.rule, before, shown[n], why, about=what, facts=facts))
    return lines


def _inserted(teller: _Teller, adjoint: Adjoint) -> Expr:
    """Return the product of the chain rule, in which what was said of other steps' derivatives is what those ended with."""
    read = [c.adjoint.name for c in adjoint.contributions if not c.seed and teller.writer.writes(c.adjoint.name)]
    deep = {n for n in read if teller.written.keys() & references(teller.written[n].best)}
    return raw_product(adjoint.contributions, teller.found, adjoint.substituted, deep) if deep else adjoint.product


def _first_reason(adjoint: Adjoint, cites: tuple[int, ...]) -> tuple[str, tuple[Expr, ...]]:
    if all(c.seed for c in adjoint.contributions):
        d = adjoint.contributions[0].consumer
        called = _called(d.text)
        if called in DEFINED and DEFINED[called].reason:
            return DEFINED[called].reason, ()
        if isinstance(d.rhs, Fn | Prim):
            return OPS[d.rhs.op].reason, ()
        return _quoted(SENTENCES["differentiate"], d)
    if all(c.linear or c.seed for c in adjoint.contributions):
        if len(adjoint.contributions) == 1:
            d = adjoint.contributions[0].consumer
            return _quoted("chain rule through {0} = {1}", d)
        return _through(adjoint), _consumers(adjoint)
    return ("by " + ", ".join(map(str, cites)) if cites else _through(adjoint)), () if cites else _consumers(adjoint)


def _quoted(sentence: str, d: Definition) -> tuple[str, tuple[Expr, ...]]:
    """Return a sentence about a definition, by its name alone when its right side is longer than a line or two."""
    if d.rhs.nodes > QUOTED_NODES:
        return sentence.removesuffix(" = {1}"), (Ref(d.name),)
    return sentence, (d.ref(), d.rhs)


def _called(text: str) -> str:
    """Return the operation whose call is the whole right side of a line, else nothing.

    >>> _called("E = cross_entropy(t, y)"), _called("E = cross_entropy(t, y) + norm(x)")
    ('cross_entropy', '')
    """
    head, _, rest = text.partition("=")[2].strip().partition("(")
    depth = 1
    for n, character in enumerate(rest):
        depth += (character == "(") - (character == ")")
        if not depth:
            return head.strip() if n == len(rest) - 1 else ""
    return ""


def _normal_reason(product: Expr, result: Expr) -> tuple[str, tuple[Expr, ...]]:
    """Say what normalising did: which δ was contracted, what cancelled."""
    gone = {key(n): n for n in walk(product) if isinstance(n, Delta)}
    for node in walk(result):
        gone.pop(key(node), None)
    cancelled = _cancelled(product)
    parts, about = [], []
    if cancelled:
        parts.append(SENTENCES["cancel"].format(", ".join(f"{{{n}}}" for n in range(len(cancelled)))))
        about += cancelled
    if gone:
        parts.append(SENTENCES["contract"].format(", ".join(f"{{{len(about) + n}}}" for n in range(len(gone)))))
        about += gone.values()
    return "; ".join(parts) or SENTENCES["open"], tuple(about)


def _cancelled(product: Expr) -> list[Expr]:
    found: dict[int, Expr] = {}
    for node in walk(product):
        if not isinstance(node, Mul):
            continue
        flat: list[Expr] = []
        for f in node.args:
            flat += factors_of(f)
        up = {key(f) for f in flat if not isinstance(f, Pow | Num)}
        for f in flat:
            if divides(f) and key(f.base) in up:
                found[key(f.base)] = f.base
    return list(found.values())


def _stage_reason(teller: _Teller, stage: Stage, raw: Expr, before: Expr, after: Expr) -> tuple[str, tuple[Expr, ...]]:
    """Say what leads from one line to the next, as they are shown; ``raw`` is what the first was made of."""
    if stage.fact is not None:
        return stage.fact.sentence, (stage.total,) if stage.total is not None else ()
    gone = _vanished(before, after, teller.means)
    if gone:
        return ", ".join(f"{{{n}}} = 0" for n in range(len(gone))), gone
    if after == ZERO_EXPR and (d := mean_behind(before, teller.means)) is not None:
        return "{0} = {1}", (d.ref(), d.rhs)
    d = _folded(teller, before, after)
    if d is not None:
        return SENTENCES["fold"], (d.rhs, d.ref())
    seen, left = set(references(before)), set(references(after))
    changed = seen ^ left
    for d in teller.among(changed):  # a name that went, for what it stands for or against it
        if len(changed) > 1 and changed <= {d.name, *references(d.rhs)}:
            return "{0} = {1}", (d.ref(), d.rhs)
    if any(name.told for name in left - seen):  # several folds at once
        return SENTENCES["names"], ()
    _, rules = rewrite(raw)
    if rules:
        return "; ".join(r.sentence for r in rules), ()
    if isinstance(after, Mul) and isinstance(before, Add):
        return SENTENCES["factor"], ()
    if isinstance(after, Add) and isinstance(before, Mul | Sum):
        return SENTENCES["open"], ()
    return SENTENCES["simplify"], ()


def _folded(teller: _Teller, before: Expr, after: Expr) -> Definition | None:
    """Return the definition that was folded to: its name is read more often, something of its right side less often.

    No other name may come or go: then there were several folds, or none.
    """
    seen, left = _reads(before), _reads(after)
    changed = seen.keys() ^ left.keys()
    for d in teller.among(left):  # no other is read more often
        inner = references(d.rhs)
        fewer = not inner or any(left[n] < seen[n] for n in inner)
        more = left[d.name] > seen[d.name] or (left[d.name] == seen[d.name] > 0 and changed == {*inner})  # joined a like term
        if more and fewer and changed <= {d.name, *inner}:
            return d
    return None


def _reads(expr: Expr) -> Counter[Name]:
    """Count each name as often as it is written."""
    counts: Counter[Name] = Counter()
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Ref):
            counts[node.name] += 1
        stack.extend(node.children)
    return counts


def _vanished(before: Expr, after: Expr, means: Sequence[Mean]) -> tuple[Expr, ...]:
    """Return what must be 0 when ``after`` is ``before`` without one of its terms: a centred Σ in it, else all of it."""
    left, seen = {key(t) for t in terms_of(after)}, terms_of(before)
    if not isinstance(before, Add) or not left < {key(t) for t in seen}:
        return ()
    gone = [t for t in seen if key(t) not in left]
    if len(gone) != 1:
        return ()
    centred = [f for f in factors_of(gone[0]) if isinstance(f, Sum) and without_centred(f, means) == ZERO_EXPR]
    return ((centred or gone)[0],)
