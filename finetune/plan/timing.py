"""Seconds of a whole run from a few timed steps: a cost a step and a cost a token, bootstrapped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]
RESAMPLES = 1000


class Timed(NamedTuple):
    """One step, or one batch of dev, that was timed."""

    tokens: int
    seconds: float


class Estimate(NamedTuple):
    """A value with the 95 % interval of its bootstrap."""

    value: float
    low: float
    high: float


def seconds(timed: list[Timed], steps: float, tokens: float) -> Array:
    """Time for `steps` steps over `tokens` tokens in all: (1 + RESAMPLES,), the estimate first.

    seconds = a + b * tokens by least squares with a, b >= 0; each resample draws as many of the
    timed steps again, with replacement (Efron 1979), always in the same way. One timed step alone
    gives its share of tokens.
    """
    if not timed or not steps:
        return np.zeros(1 + RESAMPLES)
    found = np.array(timed, dtype=np.float64)
    draws = np.random.default_rng(0).integers(len(found), size=(RESAMPLES, len(found)))
    chosen = [found, *(found[draw] for draw in draws)]
    return np.array([_fitted(sample) @ np.array([steps, tokens]) for sample in chosen])


def estimate(values: Array) -> Estimate:
    """The estimate and the middle 95 % of its resamples."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high))


def _fitted(sample: Array) -> Array:
    """(seconds a step, seconds a token); where all steps are equally long, by tokens alone."""
    tokens, taken = sample[:, 0], sample[:, 1]
    if np.ptp(tokens) == 0:
        return np.array([0.0, taken.mean() / tokens.mean()])
    return np.asarray(nnls(np.column_stack([np.ones_like(tokens), tokens]), taken)[0])
