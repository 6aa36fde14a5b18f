"""macro_f1: the mean over classes of each class's F1, so that rare classes count as much.

A class is what occurs as gold or prediction. F1 = 2 TP / (2 TP + FP + FN). A sample without a
prediction is a miss of its gold class and nothing else. Edge case: one class, always right: 1.0.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from eval.metrics.base import Context, Metric, Values, share
from eval.samples import Row
from eval.stats import Units

NOTHING = -1.0


def code(label: str | None) -> float:
    """A number for a label, the same in every report (crc32 fits a float exactly)."""
    return NOTHING if label is None else float(zlib.crc32(label.encode()))


def macro_f1(units: Units) -> Values:
    """units: (..., n, 2), codes of gold and predicted label."""
    gold, predicted = units[..., 0], units[..., 1]
    scores, occurs = [], []
    for c in np.unique(units[units != NOTHING]):
        is_gold, is_said = gold == c, predicted == c
        seen = (is_gold.sum(axis=-1) + is_said.sum(axis=-1)).astype(np.float64)
        scores.append(share(2.0 * (is_gold & is_said).sum(axis=-1), seen))
        occurs.append(seen > 0)
    return share(np.sum(scores, axis=0), np.sum(occurs, axis=0).astype(np.float64))


def _units(rows: Sequence[Row], context: Context) -> Units:  # noqa: ARG001
    pairs = [[code(row.gold), code(row.prediction["label"])] for row in rows]
    return np.array(pairs, dtype=np.float64).reshape(len(pairs), 2)


METRIC = Metric("macro_f1", __name__, _units, macro_f1, unit="score")
