"""What a candidate must not harm beside the primary metric: secondary metrics and protected slices.

Each is tested one-sided for harm, candidate below baseline; the family is adjusted by Holm (1979),
so that with nothing harmed the chance of any alarm is at most `guard_alpha`. A harm blocks; no
guard ever ships.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.core.config import Strict
from app.core.errors import InputError
from eval.compare import Pairs, inside, units
from eval.measure import DIGITS
from eval.metrics.base import Metric
from eval.paired import holm, p_value
from eval.policy import Rule
from eval.task import Task

LEAST = 20
"""A slice of fewer samples is not judged: one of a dozen samples says nothing."""


class Guard(Strict):
    """One guarded number."""

    name: str
    """A metric, or the primary one on a slice, such as `accuracy on language zh`."""
    n: int
    difference: float
    """candidate - baseline, higher being better."""
    p: float
    """One-sided, for no harm."""
    adjusted: float
    """By Holm, over all guards of this verdict."""
    harmed: bool


class _Asked(NamedTuple):
    name: str
    metric: Metric
    pairs: Pairs


def guards(task: Task, pairs: Pairs, rule: Rule) -> list[Guard]:
    """Every guard of the rule that applies to at least one sample, in the rule's order."""
    found = [_tested(asked, rule) for asked in _asked(task, pairs, rule)]
    kept = [one for one in found if one is not None]
    adjusted = holm([p for _, _, _, p in kept])
    return [
        Guard(
            name=name, n=n, difference=round(value, DIGITS), p=float(f"{p:.3g}"),
            adjusted=float(f"{by:.3g}"), harmed=by <= rule.guard_alpha,
        )
        for (name, n, value, p), by in zip(kept, adjusted, strict=True)
    ]  # fmt: skip


def _asked(task: Task, pairs: Pairs, rule: Rule) -> Iterator[_Asked]:
    for name in rule.guards:
        yield _Asked(name, task.metric(name), pairs)
    primary = task.metric(rule.metric)
    for name in rule.protected:
        parts = sorted({row.slices[name] for row in pairs.a if name in row.slices})
        if not parts:
            known = sorted({key for row in pairs.a for key in row.slices})
            raise InputError(
                f"the policy protects the slice {name!r}, which these reports do not have; they "
                f"have: {', '.join(known) or 'none'}"
            )
        for part in parts if len(parts) > 1 else []:
            chosen = inside(pairs, name, part)
            if len(chosen.a) >= LEAST:
                yield _Asked(f"{rule.metric} on {name} {part}", primary, chosen)


def _tested(asked: _Asked, rule: Rule) -> tuple[str, int, float, float] | None:
    """(name, n, difference with higher being better, p)."""
    metric = asked.metric
    both = units(metric, asked.pairs)
    if both is None:
        return None
    a, b, groups = both
    sign = 1.0 if metric.higher_is_better else -1.0
    p, _ = p_value(
        a, b, metric.of, seed=rule.seed, resamples=rule.resamples, groups=groups,
        alternative="less" if metric.higher_is_better else "greater",
    )  # fmt: skip
    return asked.name, len(a), sign * float(metric.of(a) - metric.of(b)), p
