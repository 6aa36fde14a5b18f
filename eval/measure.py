"""From samples to metrics with intervals, over all samples and over each slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import FiniteFloat

from app.core.config import Strict
from eval.metrics.base import Context, Metric, clustered
from eval.samples import Row
from eval.stats import SEED, interval

DIGITS = 6
"""Reports are rounded: beyond, processors and library versions differ."""


class Value(Strict):
    """A metric with its 95 % interval."""

    name: str
    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    n: int
    """Samples that the metric applies to."""
    unit: str
    higher_is_better: bool


class Slice(Strict):
    """The metrics over the samples of one slice."""

    slice: str
    """What is sliced by, e.g. language."""
    of: str
    """Which part, e.g. zh."""
    n: int
    metrics: list[Value]


def measure(
    metrics: Iterable[Metric], rows: Sequence[Row], context: Context, seed: int = SEED
) -> list[Value]:
    """Each metric that applies to at least one of `rows`, in the order given."""
    values = (_value(metric, rows, context, seed) for metric in metrics)
    return [value for value in values if value is not None]


def by_slice(
    metrics: Sequence[Metric], rows: Sequence[Row], context: Context, seed: int = SEED
) -> list[Slice]:
    """`measure` for each part of each slice; a slice with one part says nothing and is left out."""
    sliced = [metric for metric in metrics if metric.by_sample]
    found = []
    for name in sorted({name for row in rows for name in row.slices}):
        parts = sorted({row.slices[name] for row in rows if name in row.slices})
        for part in parts if len(parts) > 1 else []:
            inside = [row for row in rows if row.slices.get(name) == part]
            values = measure(sliced, inside, context, seed)
            found.append(Slice(slice=name, of=part, n=len(inside), metrics=values))
    return found


def _value(metric: Metric, rows: Sequence[Row], context: Context, seed: int) -> Value | None:
    units, groups = clustered(metric, rows, context)
    if not len(units):
        return None
    found = interval(units, metric.of, seed=seed, scale=metric.scale, groups=groups)
    return Value(
        name=metric.name,
        value=round(found.value, DIGITS),
        low=round(found.low, DIGITS),
        high=round(found.high, DIGITS),
        n=found.n,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
    )
