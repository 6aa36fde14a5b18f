"""rmse: the root of the mean squared error of a score, in the score's own unit; lower is better.

Scores lie in [-4, 4], so an rmse lies in [0, 8]. Beside it stands what always saying 0 would give:
the root of the mean squared gold score. Edge cases: always right: 0.0; a failure counts as the far
end of the scale. Ratings that are not finite are refused when the data is read.
"""

from __future__ import annotations

import math

import numpy as np

from eval.metrics.base import Metric, Values, columns
from eval.stats import Scale, Units

LOWEST, HIGHEST = -4.0, 4.0
SCALE = Scale(0.0, HIGHEST - LOWEST, mean=lambda value: value * value, back=math.sqrt)


def error(gold: float, said: float | None) -> float:
    """|said - gold|, the rmse of one sample; without a prediction the largest there could be."""
    if said is None:
        return max(gold - LOWEST, HIGHEST - gold)
    return abs(said - gold)


def rmse(units: Units) -> Values:
    """units: (..., n, 1), errors of either sign."""
    return np.asarray(np.sqrt(np.square(units[..., 0]).mean(axis=-1)))


METRIC = Metric(
    "rmse", __name__, columns("rmse"), rmse, higher_is_better=False, unit="number", scale=SCALE
)
