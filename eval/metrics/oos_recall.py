"""oos_recall: the share of out-of-scope texts that are found at 5 % false alarms.

A text is found where its in-scope score is below a bound, the highest one that takes at most 5 % of
the in-scope texts with it; the bound is set on the very samples that are measured, so that systems
are compared at equal cost, whatever their own threshold. Edge cases: a text at the bound is not
found, so that ties never buy recall; a failure scores 1 out of scope and 0 in scope; applies only
where the data has both kinds; in a resample without in-scope texts everything is found.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.base import Metric, Values, columns, share
from eval.stats import Units

FALSE_ALARMS = 0.05
read = columns("oos", "in_scope_score")


def oos_recall(units: Units) -> Values:
    """units: (..., n, 2), 1 where out of scope, and the in-scope score."""
    oos, score = units[..., 0] > 0, units[..., 1]
    inside = np.sort(np.where(oos, np.inf, score), axis=-1)
    place = np.floor(FALSE_ALARMS * (~oos).sum(axis=-1)).astype(np.intp)
    bound = np.take_along_axis(inside, place[..., np.newaxis], axis=-1)
    return share((oos & (score < bound)).sum(axis=-1).astype(np.float64), oos.sum(axis=-1))


def both_kinds(units: Units) -> bool:
    """Whether texts in scope and out of it were asked."""
    return len(np.unique(units[:, 0])) == 2


METRIC = Metric("oos_recall", __name__, read, oos_recall, applies=both_kinds)
