"""auroc: the chance that an in-scope text has a higher in-scope score than an out-of-scope one.

The area under the ROC curve as Mann and Whitney's U (Hanley and McNeil 1982): ties count half. It
needs no threshold. Edge cases: all the same score: 0.5; in a resample with one kind alone: 0.5;
applies only where the data has both kinds; failures have the worst score of their kind.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.base import Metric, Values
from eval.metrics.oos_recall import both_kinds, read
from eval.stats import Units


def auroc(units: Units) -> Values:
    """units: (..., n, 2), 1 where out of scope, and the in-scope score."""
    from scipy.stats import rankdata  # here, since `list` imports every metric

    inside = units[..., 0] == 0
    ranks = rankdata(units[..., 1], axis=-1)
    n_in = inside.sum(axis=-1).astype(np.float64)
    pairs = n_in * (inside.shape[-1] - n_in)
    u = np.where(inside, ranks, 0.0).sum(axis=-1) - n_in * (n_in + 1) / 2
    return np.where(pairs > 0, u / np.where(pairs > 0, pairs, 1.0), 0.5)


METRIC = Metric("auroc", __name__, read, auroc, unit="score", applies=both_kinds)
