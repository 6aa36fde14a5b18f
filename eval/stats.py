"""Intervals, paired differences and sample sizes; scipy does the arithmetic.

`units` are one row a sample, (n, k) floats. A statistic maps (..., n, k) -> (...), so that
thousands of resamples are one call; it lies in [0, 1], as all our metrics do. Seeded: the same
input gives the same output to the last digit.

- Interval: BCa bootstrap over samples (Efron 1987). Where every resample gives one value (all
  right, all wrong), the exact bound of Clopper and Pearson (1934) takes its place: with 0 of n
  samples that say otherwise, their share is at most 1 - (alpha / 2) ** (1 / n), here by the
  statistic's whole range.
- Difference of two systems on the same samples: the same on pairs of rows; p by McNemar's exact
  test where scores are 0 or 1, else by swapping the systems within pairs at random (permutation;
  for means this is the sign-flip test).
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

SEED = 17
RESAMPLES = 2000
CONFIDENCE = 0.95
_CELLS = 2_000_000
"""Resampled numbers in memory at once (16 MB for each array that a statistic makes)."""


class Interval(NamedTuple):
    """A value with its interval; n is how many samples it rests on."""

    value: float
    low: float
    high: float
    n: int


class Difference(NamedTuple):
    """a minus b over the same samples."""

    value: float
    low: float
    high: float
    n: int
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
) -> Interval:
    """`of(units)` with its two-sided interval. n must be at least 1."""
    drawn = _bca(units, of, seed, confidence, resamples)
    value, n = float(of(units)), len(units)
    low, high = drawn or _exact(value, n, confidence, lowest=0.0)
    return Interval(value, low, high, n)


def difference(
    a: Units,
    b: Units,
    of: Statistic = mean,
    *,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Difference:
    """`of(a) - of(b)` for paired rows, with interval and p. a and b have the same shape."""
    if a.shape != b.shape:
        raise ValueError(f"paired rows differ in shape: {a.shape} and {b.shape}")
    n, k = a.shape
    pairs = np.hstack([a, b])

    def between(rows: Units) -> npt.NDArray[np.float64]:
        return of(rows[..., :k]) - of(rows[..., k:])

    drawn = _bca(pairs, between, seed, confidence, resamples)
    value = float(between(pairs))
    low, high = drawn or _exact(value, n, confidence, lowest=-1.0)
    p, test = _p(a, b, of, seed, resamples)
    return Difference(value, low, high, n, p, test)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p that gains and losses are equally likely (McNemar 1947); neither: 1."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def permutation(
    a: Units,
    b: Units,
    of: Statistic = mean,
    *,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> float:
    """Two-sided p of `of(a) - of(b)` under swapping the systems within pairs (Fisher 1935).

    Exact where 2 ** n <= resamples.
    """
    from scipy.stats import permutation_test

    everything = np.vstack([a, b])
    rows = np.arange(len(a))

    # Swapping row numbers instead of rows lets a statistic read several columns at once.
    def statistic(x: Any, y: Any, axis: int) -> npt.NDArray[np.float64]:
        first, second = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
        return of(everything[first]) - of(everything[second])

    found = permutation_test(
        (rows, rows + len(a)),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=_batch(everything),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def n_needed(n: int, error: float, gap: float, alpha: float, power: float) -> int:
    """Samples at which a true distance `gap` from the bound is seen with probability `power`.

    error: standard error at `n` samples; it falls with the root of n. One-sided level alpha.
    """
    from scipy.stats import norm

    z = float(norm.ppf(1 - alpha) + norm.ppf(power))
    return math.ceil(n * (z * error / gap) ** 2)


def _exact(value: float, n: int, confidence: float, lowest: float) -> tuple[float, float]:
    """Bounds where n of n samples agree; `lowest` to 1 is the statistic's range."""
    others = 1 - ((1 - confidence) / 2) ** (1 / n)
    return value - (value - lowest) * others, value + (1 - value) * others


def _bca(
    units: Units, of: Statistic, seed: int, confidence: float, resamples: int
) -> tuple[float, float] | None:
    """BCa bounds; None where all resamples give one value."""
    from scipy.stats import bootstrap

    if (units == units[0]).all():
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a degenerate distribution gives NaN, handled below
        found = bootstrap(
            (np.arange(len(units)),),
            lambda rows, axis: of(units[np.moveaxis(rows, axis, -1)]),
            vectorized=True,
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
    return low, high


def _batch(units: Units) -> int:
    return max(1, _CELLS // units.size)


def _p(a: Units, b: Units, of: Statistic, seed: int, resamples: int) -> tuple[float, str]:
    if (a == b).all():
        return 1.0, "no sample differs"
    if of is mean and np.isin(np.hstack([a, b]), (0, 1)).all():
        gained, lost = int((a > b)[:, 0].sum()), int((a < b)[:, 0].sum())
        return mcnemar(gained, lost), "McNemar"
    test = "sign-flip" if of is mean else "permutation"
    return permutation(a, b, of, seed=seed, resamples=resamples), test
