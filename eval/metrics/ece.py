"""ece: expected calibration error, how far confidence is from the share that is right.

Samples fall into 15 bins of equal width by confidence; the gap of each bin is weighted by its size
(Guo et al. 2017). 0 is calibrated, lower is better. Always sure and always right: 0.0; always sure
and always wrong: 1.0. Estimated from few samples it is biased upwards.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.base import Metric, columns
from eval.stats import Units

BINS = 15


def ece(units: Units) -> float:
    """units: (n, 2), confidence in [0, 1] and 1 where right. A bin is open below, closed above."""
    confidence, right = units[:, 0], units[:, 1]
    bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
    gaps = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(units))


METRIC = Metric(
    "ece", __name__, columns("confidence", "accuracy"), ece, higher_is_better=False, unit="score"
)
