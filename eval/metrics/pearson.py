"""pearson: the linear correlation of predicted and gold scores, from -1 to 1.

It asks for the right order and proportions and forgives a wrong level or spread, which rmse sees.
Edge cases: one sample, or predictions (or golds) that are all the same: 0.0, as nothing is said
about order. A failure counts as the far end of the scale.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.base import Metric, Values, columns
from eval.stats import Scale, Units

_FLAT = 1e-12
"""A spread below this is rounding, not signal."""


def pearson(units: Units) -> Values:
    """units: (..., n, 2), gold and predicted scores."""
    centred = units - units.mean(axis=-2, keepdims=True)
    spread = np.sqrt(np.square(centred).sum(axis=-2))
    flat = (spread < _FLAT).any(axis=-1)
    together = centred.prod(axis=-1).sum(axis=-1)
    return np.where(flat, 0.0, together / np.where(flat, 1.0, spread.prod(axis=-1)))


METRIC = Metric(
    "pearson", __name__, columns("gold", "said"), pearson, unit="number", scale=Scale(-1.0, 1.0)
)
