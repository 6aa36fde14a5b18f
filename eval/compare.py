"""Two reports over the same samples, pair by pair: what changed, by how much, and on which
samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple, TypeVar

from app.core.config import Strict
from app.core.data import parse_ref
from app.core.errors import InputError
from eval.measure import DIGITS
from eval.metrics.base import Context, Metric, clustered
from eval.paired import holm
from eval.report import Loaded
from eval.samples import Row
from eval.stats import (
    CONFIDENCE,
    RESAMPLES,
    SEED,
    Difference,
    Groups,
    Units,
    detectable,
    difference,
)
from eval.task import Task


class Pairs(NamedTuple):
    """The samples that both reports hold, in the same order."""

    a: list[Row]
    b: list[Row]
    context: Context


class Change(Strict):
    """One metric of a and b, and their difference."""

    name: str
    a: float
    b: float
    difference: float
    """a - b."""
    low: float
    high: float
    n: int
    p: float
    """Two-sided, not adjusted for several metrics."""
    p_holm: float
    """Adjusted for all metrics of the comparison, or all slices (Holm 1979)."""
    test: str
    detectable: float | None = None
    """The smallest true difference that this n shows at 5 % with a chance of 80 %."""
    higher_is_better: bool


class SliceChange(Change):
    """The primary metric in one part of a slice."""

    slice: str
    of: str


class Flip(Strict):
    """A sample whose primary score changed."""

    id: str
    a: float
    b: float
    text: str | None = None
    """Only for the demo data; other texts stay where they lie."""


C = TypeVar("C", bound=Change)


class Comparison(Strict):
    """compare.json."""

    task: str
    data: str
    n: int
    seed: int
    confidence: float
    a: str
    """System of the first report."""
    b: str
    metrics: list[Change]
    slices: list[SliceChange]
    primary: str
    flips: list[Flip]
    left_out: int
    """Samples that one of the reports leaves out, since they overlap its training data."""
    samples_sha256: dict[str, str]


def pair(a: Loaded, b: Loaded) -> Pairs:
    """The common samples. Raises InputError for reports over other tasks, data or samples."""
    _same_subject(a, b)
    first, second = ({row.id: row for row in side.rows} for side in (a, b))
    out = {*a.report.left_out, *b.report.left_out}
    unmatched = [name for name in first.keys() ^ second.keys() if name not in out]
    changed = [
        name
        for name in first.keys() & second.keys()
        if first[name].text_sha256 != second[name].text_sha256
    ]
    if unmatched or changed:
        raise InputError(
            f"the reports are not over the same samples: {len(unmatched)} are in one only, "
            f"{len(changed)} have another text (e.g. {sorted(unmatched + changed)[0]}). Evaluate "
            "both on the same data with the same --limit"
        )
    common = [name for name in first if name in second]
    if not common:
        raise InputError("the reports have no sample in common once overlaps are left out")
    return Pairs([first[i] for i in common], [second[i] for i in common], a.report.context)


def inside(pairs: Pairs, name: str, part: str) -> Pairs:
    """The pairs of one part of a slice."""
    kept = [row.slices.get(name) == part for row in pairs.a]
    a, b = (list(compress(rows, kept)) for rows in (pairs.a, pairs.b))
    return Pairs(a, b, pairs.context)


def units(metric: Metric, pairs: Pairs) -> tuple[Units, Units, Groups | None] | None:
    """Rows of `metric` for a and b, pair by pair, and their clusters; None where there are none."""
    a, groups = clustered(metric, pairs.a, pairs.context)
    b, _ = clustered(metric, pairs.b, pairs.context)
    if a.shape != b.shape:
        raise InputError(
            f"{metric.name} applies to {len(a)} samples of one report and {len(b)} of the other: "
            "evaluate both again with the same code"
        )
    return (a, b, groups) if len(a) else None


def compare(task: Task, a: Loaded, b: Loaded) -> Comparison:
    """Every metric's paired difference, a minus b, and the flips of the task's first metric."""
    pairs = pair(a, b)
    changes = _adjusted([_change(metric, pairs) for metric in task.metrics])
    if not changes:
        raise InputError("no metric of the task applies to these samples: nothing to compare")
    primary = task.metric(changes[0].name)
    return Comparison(
        task=task.name,
        data=a.report.provenance.data.ref,
        n=len(pairs.a),
        seed=SEED,
        confidence=CONFIDENCE,
        a=a.report.provenance.system,
        b=b.report.provenance.system,
        metrics=changes,
        slices=_adjusted(list(_by_slice(primary, pairs))),
        primary=primary.name,
        flips=_flips(task, pairs, primary.name, a.report.provenance.data.ref),
        left_out=len({*a.report.left_out, *b.report.left_out}),
        samples_sha256={"a": a.report.samples_sha256, "b": b.report.samples_sha256},
    )


def _same_subject(a: Loaded, b: Loaded) -> None:
    one, two = a.report, b.report
    if one.task != two.task:
        raise InputError(f"the reports are of two tasks: {one.task} and {two.task}")
    if one.provenance.data.sha256 != two.provenance.data.sha256:
        raise InputError(
            f"the reports are over different data: {one.provenance.data.ref} (sha256 "
            f"{one.provenance.data.sha256[:12]}) and {two.provenance.data.ref} "
            f"({two.provenance.data.sha256[:12]}). Evaluate both on the same data"
        )
    if one.context != two.context:
        raise InputError("the reports were measured in different contexts, e.g. another catalogue")


def _change(metric: Metric, pairs: Pairs) -> Change | None:
    both = units(metric, pairs)
    if both is None:
        return None
    a, b, groups = both
    found = difference(
        a, b, metric.of, seed=SEED, confidence=CONFIDENCE, resamples=RESAMPLES, scale=metric.scale,
        groups=groups,
    )  # fmt: skip
    return Change(
        name=metric.name,
        a=round(float(metric.of(a)), DIGITS),
        b=round(float(metric.of(b)), DIGITS),
        higher_is_better=metric.higher_is_better,
        **_rounded(found),
    )


def _by_slice(metric: Metric, pairs: Pairs) -> Iterator[SliceChange | None]:
    """The metric in each part of each slice that has several."""
    for name in sorted({name for row in pairs.a for name in row.slices}):
        parts = sorted({row.slices[name] for row in pairs.a if name in row.slices})
        for part in parts if len(parts) > 1 else []:
            found = _change(metric, inside(pairs, name, part))
            yield SliceChange(slice=name, of=part, **found.model_dump()) if found else None


def _adjusted(changes: Sequence[C | None]) -> list[C]:
    """The changes there are, with p adjusted for all of them."""
    kept = [change for change in changes if change is not None]
    adjusted = holm([change.p for change in kept])
    return [
        change.model_copy(update={"p_holm": float(f"{p:.3g}")})
        for change, p in zip(kept, adjusted, strict=True)
    ]


def _rounded(found: Difference) -> dict[str, Any]:
    return {
        "difference": round(found.value, DIGITS),
        "low": round(found.low, DIGITS),
        "high": round(found.high, DIGITS),
        "n": found.n,
        "p": float(f"{found.p:.3g}"),
        "p_holm": float(f"{found.p:.3g}"),
        "detectable": round(detectable(found.error), DIGITS) if found.error else None,
        "test": found.test,
    }


def _flips(task: Task, pairs: Pairs, score: str, ref: str) -> list[Flip]:
    """Samples whose `score` changed, largest change first; texts joined from the demo data."""
    changed = [
        (one, two)
        for one, two in zip(pairs.a, pairs.b, strict=True)
        if one.scores.get(score) != two.scores.get(score)
    ]
    changed.sort(key=lambda p: (-abs(p[0].scores[score] - p[1].scores[score]), p[0].id))
    demo = parse_ref(ref).scheme == "demo" and changed
    texts = {s.id: s.text for s in task.read(ref).samples if s.text != s.id} if demo else {}
    return [
        Flip(id=one.id, a=one.scores[score], b=two.scores[score], text=texts.get(one.id))
        for one, two in changed
    ]
