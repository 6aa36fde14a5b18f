"""A metric: which numbers it reads from each sample, and how they become one.

The numbers are rows of `units`, (n, k) floats, that the bootstrap draws again. Most metrics are
the mean of one score; F1 and its like read several columns. Samples that a metric does not apply
to have no row, so each metric states its own n. Whether it applies hangs on the sample and never
on the system (an answer declined has its zeros), so that two systems can be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eval.samples import Row
from eval.stats import UNIT, Groups, Scale, Statistic, Units, mean

Context = Mapping[str, Any]
"""What a report holds beside its samples, e.g. {"catalogue": [item ids]}."""
Values = npt.NDArray[np.float64]
"""One for each set of units, (...)."""
Read = Callable[[Sequence[Row], Context], Units]


@dataclass(frozen=True)
class Metric:
    """A named number over samples."""

    name: str
    """As in reports: lower case, e.g. ndcg@10."""
    module: str
    """`__name__` of its file, which belongs to the code hash of a report."""
    units: Read
    """(n, k); n = 0 where the metric applies to no sample."""
    of: Statistic = mean
    """(..., n, k) -> (...); called with n >= 1."""
    higher_is_better: bool = True
    unit: Literal["share", "score", "number"] = "share"
    """A share of samples (or items), a score between 0 and 1, or a number on a scale of its own."""
    scale: Scale = UNIT
    """Where it lies; [0, 1] for shares and scores."""
    applies: Callable[[Units], bool] = lambda _: True
    """Whether all units of a report or slice say enough, e.g. hold both kinds of questions."""
    by_sample: bool = True
    """Whether a row belongs to a sample; else the metric has no slices."""


def clustered(metric: Metric, rows: Sequence[Row], context: Context) -> tuple[Units, Groups | None]:
    """The metric's units with the number of each one's cluster, or None where all are their own.

    No units where the metric does not apply to these rows as a whole.
    Units come cluster by cluster, in the order in which the clusters first occur; so those of two
    reports over the same samples are still pairs.
    """
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row.id if row.cluster is None else f"cluster:{row.cluster}", []).append(
            row
        )
    if not metric.by_sample or len(parts) == len(rows):
        units = metric.units(rows, context)
        return (units if len(units) and metric.applies(units) else units[:0]), None
    present = [u for part in parts.values() if len(u := metric.units(part, context))]
    every = np.concatenate(present) if present else np.empty((0, 1))
    if not len(every) or not metric.applies(every):
        return every[:0], None
    return every, np.repeat(np.arange(len(present)), [len(u) for u in present])


def columns(*names: str) -> Read:
    """Units with these scores as columns, of the samples that have them all."""

    def units(rows: Sequence[Row], context: Context) -> Units:  # noqa: ARG001
        kept = [
            [row.scores[name] for name in names]
            for row in rows
            if all(name in row.scores for name in names)
        ]
        return np.array(kept, dtype=np.float64).reshape(len(kept), len(names))

    return units


def ratio(units: Units) -> Values:
    """Sum of the first column over the sum of the second; 0.0 where that is 0."""
    return share(units[..., 0].sum(axis=-1), units[..., 1].sum(axis=-1))


def share(part: Values, whole: Values) -> Values:
    """part / whole; 0.0 where whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0)
