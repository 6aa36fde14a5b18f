"""refusal_precision, refusal_recall, refusal_f1: declining what the articles do not answer.

Positive is "not answerable" (no gold article); a refusal is a declined question. Precision: of the
declined, the share that had no answer. Recall: of those without an answer, the share declined. F1
is their harmonic mean. Edge cases: nothing declined: precision 0.0; declining everything has
recall 1.0 and the precision of chance. Applies only where the data has both kinds of questions.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.base import Metric, Values, columns, share
from eval.stats import Units

_read = columns("unanswerable", "declined")


def precision(units: Units) -> Values:
    """units: (..., n, 2), 1 where unanswerable and 1 where declined."""
    return share(_both(units), units[..., 1].sum(axis=-1))


def recall(units: Units) -> Values:
    """units: (..., n, 2), as in `precision`."""
    return share(_both(units), units[..., 0].sum(axis=-1))


def f1(units: Units) -> Values:
    """2 TP / (2 TP + FP + FN), which is 2 TP / (positives + declined). units: (..., n, 2)."""
    return share(2 * _both(units), units.sum(axis=(-2, -1)))


def _both(units: Units) -> Values:
    return np.asarray(units.prod(axis=-1).sum(axis=-1))


def both_kinds(units: Units) -> bool:
    """Whether answerable and unanswerable questions were asked."""
    return len(np.unique(units[:, 0])) == 2


PRECISION = Metric("refusal_precision", __name__, _read, precision, applies=both_kinds)
RECALL = Metric("refusal_recall", __name__, _read, recall, applies=both_kinds)
F1 = Metric("refusal_f1", __name__, _read, f1, unit="score", applies=both_kinds)
