"""Intervals, paired differences and sample sizes; scipy does the arithmetic.

`units` are one row a sample, (n, k) floats. A statistic maps (..., n, k) -> (...), so that
thousands of resamples are one call; its `Scale` says where it lies, most often in [0, 1]. Seeded:
the same input gives the same output to the last digit.

- Interval: BCa bootstrap over samples (Efron 1987). Where every resample gives one value (all
  right, all wrong), the exact bound of Clopper and Pearson (1934) takes its place: with 0 of n
  samples that say otherwise, their share is at most 1 - (alpha / 2) ** (1 / n), here by the
  whole range of the mean that the statistic is made of. Exact for such statistics; for others
  (F1, correlations) a stand-in.
- Difference of two systems on the same samples: the same on pairs of rows; p from eval.paired.
- Clusters: rows that are not independent (questions on one document, turns of one conversation) are
  drawn together; n still counts rows, `clusters` what was drawn.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Units = npt.NDArray[np.float64]
Statistic = Callable[[Units], npt.NDArray[np.float64]]
Groups = npt.NDArray[np.int64]

SEED = 17
RESAMPLES = 2000
CONFIDENCE = 0.95
CELLS = 2_000_000
"""Resampled numbers in memory at once (16 MB for each array that a statistic makes)."""


class Scale(NamedTuple):
    """Where a statistic lies, and the mean that it is made of: rmse is the root of one."""

    low: float = 0.0
    high: float = 1.0
    mean: Callable[[float], float] = lambda value: value
    """From the statistic to that mean; rises with it."""
    back: Callable[[float], float] = lambda value: value
    """Its inverse."""


UNIT = Scale()


class Interval(NamedTuple):
    """A value with its interval; n is how many samples it rests on."""

    value: float
    low: float
    high: float
    n: int


class _Drawn(NamedTuple):
    """What the bootstrap says."""

    low: float
    high: float
    error: float


class Difference(NamedTuple):
    """a minus b over the same samples."""

    value: float
    low: float
    high: float
    n: int
    error: float
    """Standard error of the value; 0 where no resample differs."""
    p: float
    """Two-sided, for no difference; not adjusted for several metrics."""
    test: str


def mean(units: Units) -> npt.NDArray[np.float64]:
    """The mean of the first column."""
    return np.asarray(units[..., 0].mean(axis=-1))


def interval(
    units: Units,
    of: Statistic = mean,
    *,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    scale: Scale = UNIT,
    groups: Groups | None = None,
) -> Interval:
    """`of(units)` with its two-sided interval. n must be at least 1.

    groups: the number of each row's cluster, 0 and up; None: each row is its own.
    """
    drawn = _bca(units, of, seed, confidence, resamples, groups)
    value, n = float(of(units)), len(units)
    if drawn is not None:
        return Interval(value, drawn.low, drawn.high, n)
    low, high = _exact(value, _independent(n, groups), confidence, scale)
    return Interval(value, low, high, n)


def difference(
    a: Units,
    b: Units,
    of: Statistic = mean,
    *,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    scale: Scale = UNIT,
    groups: Groups | None = None,
) -> Difference:
    """`of(a) - of(b)` for paired rows, with interval and p. a and b have the same shape."""
    from eval.paired import p_value

    if a.shape != b.shape:
        raise ValueError(f"paired rows differ in shape: {a.shape} and {b.shape}")
    n, k = a.shape
    pairs = np.hstack([a, b])

    def between(rows: Units) -> npt.NDArray[np.float64]:
        return of(rows[..., :k]) - of(rows[..., k:])

    drawn = _bca(pairs, between, seed, confidence, resamples, groups)
    if drawn is None:
        count = _independent(n, groups)
        drawn = _Drawn(*_apart(float(of(a)), float(of(b)), count, confidence, scale), 0.0)
    p, test = p_value(a, b, of, seed=seed, resamples=resamples, groups=groups)
    return Difference(float(between(pairs)), drawn.low, drawn.high, n, drawn.error, p, test)


def n_needed(n: int, error: float, gap: float, alpha: float, power: float) -> int:
    """Samples at which a true distance `gap` from the bound is seen with probability `power`.

    error: standard error at `n` samples; it falls with the root of n. One-sided level alpha.
    """
    from scipy.stats import norm

    z = float(norm.ppf(1 - alpha) + norm.ppf(power))
    return math.ceil(n * (z * error / gap) ** 2)


def detectable(error: float, alpha: float = 1 - CONFIDENCE, power: float = 0.8) -> float:
    """The smallest true difference that this n shows (two-sided alpha) with probability `power`.

    error: standard error of the difference at this n.
    """
    from scipy.stats import norm

    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) * error


def _independent(n: int, groups: Groups | None) -> int:
    return n if groups is None else len(np.unique(groups))


def _exact(value: float, n: int, confidence: float, scale: Scale) -> tuple[float, float]:
    """Bounds where n of n samples agree."""
    others = 1 - ((1 - confidence) / 2) ** (1 / n)
    found, lowest, highest = map(scale.mean, (value, scale.low, scale.high))
    low, high = found - (found - lowest) * others, found + (highest - found) * others
    return scale.back(low), scale.back(high)


def _apart(a: float, b: float, n: int, confidence: float, scale: Scale) -> tuple[float, float]:
    """Bounds of a - b where the difference is the same in all resamples: each at its worst."""
    low_a, high_a = _exact(a, n, confidence, scale)
    low_b, high_b = _exact(b, n, confidence, scale)
    return low_a - high_b, high_a - low_b


def _bca(
    units: Units,
    of: Statistic,
    seed: int,
    confidence: float,
    resamples: int,
    groups: Groups | None,
) -> _Drawn | None:
    """BCa bounds; None where all resamples give one value."""
    from scipy.stats import bootstrap

    count = _independent(len(units), groups)
    if count == 1 or (units == units[0]).all():
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a degenerate distribution gives NaN, handled below
        found = bootstrap(
            (np.arange(count),),
            _of_rows(units, of) if groups is None else _of_clusters(units, of, groups),
            vectorized=groups is None,
            n_resamples=resamples,
            confidence_level=confidence,
            method="BCa",
            batch=_batch(units),
            rng=np.random.default_rng(seed),
        )
    if np.ptp(found.bootstrap_distribution) == 0:
        return None
    low, high = map(float, found.confidence_interval)
    if math.isnan(low) or math.isnan(high):
        # BCa cannot correct where the value lies at an end of all resamples; percentiles can.
        tail = (1 - confidence) / 2
        low, high = map(float, np.quantile(found.bootstrap_distribution, [tail, 1 - tail]))
    return _Drawn(low, high, float(found.standard_error))


def _of_rows(units: Units, of: Statistic) -> Callable[..., Any]:
    return lambda rows, axis: of(units[np.moveaxis(rows, axis, -1)])


def _of_clusters(units: Units, of: Statistic, groups: Groups) -> Callable[..., Any]:
    """Clusters differ in size, so that resamples cannot be computed together."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return lambda drawn: of(units[np.concatenate([members[int(i)] for i in drawn])])


def _batch(units: Units) -> int:
    return max(1, CELLS // units.size)
