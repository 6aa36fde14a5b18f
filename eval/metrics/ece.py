"""ece: expected calibration error, how far confidence is from the share that is right.

Samples fall into 15 bins of equal width by confidence; the gap of each bin is weighted by its size
(Guo et al. 2017). 0 is calibrated, lower is better. Always sure and always right: 0.0; always sure
and always wrong: 1.0. Estimated from few samples it is biased upwards.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.base import Metric, Values, columns
from eval.stats import Units

BINS = 15


def ece(units: Units) -> Values:
    """units: (..., n, 2), confidence in [0, 1] and 1 where right. A bin is closed above only."""
    confidence, right = units[..., 0], units[..., 1]
    bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1)
    gaps = [np.where(bins == b, confidence - right, 0.0).sum(axis=-1) for b in range(BINS)]
    return np.asarray(np.abs(gaps).sum(axis=0) / confidence.shape[-1])


METRIC = Metric(
    "ece", __name__, columns("confidence", "accuracy"), ece, higher_is_better=False, unit="score"
)
