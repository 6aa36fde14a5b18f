"""as_expected: the share of scenarios that turn out as they are marked.

One marked `pass` does where all of its runs pass; one marked `fail` where at least one run fails,
and neither where the product raised an error. Below 1.0 either something broke, or something works
by now and its scenario must be marked so. Rows are scenarios; one with fewer runs than SEEDS has
none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.metrics.base import Context, Metric
from eval.metrics.pass_k import SCORE, runs
from eval.samples import Row
from eval.stats import Units

SEEDS = 8
CRASHED = "crashed"
"""Score of one run: 1 where the product raised an error."""


def as_expected(group: Sequence[Row]) -> bool:
    """Whether the runs of one scenario turned out as its mark (their gold) says."""
    passed = all(row.scores[SCORE] == 1 for row in group)
    crashed = any(row.scores[CRASHED] == 1 for row in group)
    return not crashed and passed == (group[0].gold == "pass")


def _units(rows: Sequence[Row], context: Context) -> Units:  # noqa: ARG001
    values = [as_expected(group) for group in runs(rows).values() if len(group) >= SEEDS]
    return np.array(values, dtype=np.float64).reshape(len(values), 1)


METRIC = Metric("as_expected", __name__, _units)
