"""Tests and bounds for two systems on the same samples, and the adjustment for several of them.

`groups` number the cluster of each row, where rows of one cluster are not independent (questions on
one document, turns of one conversation): a cluster is then swapped as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from eval.stats import CELLS, RESAMPLES, SEED, Groups, Statistic, Units, mean

Alternative = Literal["two-sided", "less", "greater"]


def binary(a: Units, b: Units, of: Statistic) -> bool:
    """Whether both systems' scores are 0 or 1 and their mean is the statistic."""
    return of is mean and bool(np.isin(np.hstack([a, b]), (0, 1)).all())


def discordant(a: Units, b: Units) -> tuple[int, int]:
    """(right in a alone, right in b alone) of scores that are 0 or 1."""
    return int((a > b)[:, 0].sum()), int((a < b)[:, 0].sum())


def mcnemar(gained: int, lost: int, alternative: Alternative = "two-sided") -> float:
    """Exact p that gains and losses are equally likely (McNemar 1947); neither: 1.

    alternative "less": that gains are rarer.
    """
    from scipy.stats import binomtest

    if not gained + lost:
        return 1.0
    return float(binomtest(gained, gained + lost, alternative=alternative).pvalue)


def tango(gained: int, lost: int, n: int, confidence: float) -> tuple[float, float]:
    """Bounds of a difference of paired shares by inverting the score test (Tango 1998).

    Its variance is that under the difference in question, not the one observed; therefore, unlike
    Wald's and the bootstrap's, it keeps its level where the fewer losses were drawn, the smaller
    the variance looks. n must be at least 1.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, value = float(norm.ppf((1 + confidence) / 2)), (gained - lost) / n

    def bound(end: float, side: float) -> float:
        def excess(delta: float) -> float:
            return side * _score(gained, lost, n, delta) - z

        # At the observed difference the score is 0; at the end of the range it may not reach z.
        near, far = value, end * (1 - 1e-9)
        if value == end or excess(far) < 0:
            return end
        return float(brentq(excess, near, far, xtol=1e-10))

    return bound(-1.0, 1.0), bound(1.0, -1.0)


def _score(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's score statistic for a true difference of `delta`."""
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    only_b = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * only_b + delta * (1 - delta))
    return float((gained - lost - n * delta) / np.sqrt(max(variance, 1e-12)))


def permutation(
    a: Units,
    b: Units,
    of: Statistic = mean,
    *,
    seed: int = SEED,
    resamples: int = RESAMPLES,
    groups: Groups | None = None,
    alternative: Alternative = "two-sided",
) -> float:
    """p of `of(a) - of(b)` under swapping the systems within pairs (Fisher 1935).

    Exact where 2 ** n <= resamples. alternative "less": that a is below b.
    """
    from scipy.stats import permutation_test

    clusters = np.arange(len(a)) if groups is None else groups
    everything, count = np.vstack([a, b]), int(clusters.max()) + 1

    # The test swaps the numbers c and c + count of a cluster; whether c stands first says where
    # its rows come from. Whole rows move, so that a statistic may read several columns at once.
    def statistic(x: Any, y: Any, axis: int) -> npt.NDArray[np.float64]:  # noqa: ARG001
        swapped = np.moveaxis(x, axis, -1) >= count
        rows = np.arange(len(a)) + len(a) * swapped[..., clusters]
        others = np.arange(len(a)) + len(a) * ~swapped[..., clusters]
        return of(everything[rows]) - of(everything[others])

    found = permutation_test(
        (np.arange(count), np.arange(count) + count),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        alternative=alternative,
        batch=max(1, CELLS // everything.size),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def p_value(
    a: Units,
    b: Units,
    of: Statistic = mean,
    *,
    seed: int = SEED,
    resamples: int = RESAMPLES,
    groups: Groups | None = None,
    alternative: Alternative = "two-sided",
) -> tuple[float, str]:
    """(p, test): McNemar's for independent scores of 0 or 1, else by permutation."""
    if (a == b).all():
        return 1.0, "no sample differs"
    if groups is None and binary(a, b, of):
        return mcnemar(*discordant(a, b), alternative), "McNemar"
    test = "sign-flip" if of is mean else "permutation"
    p = permutation(
        a, b, of, seed=seed, resamples=resamples, groups=groups, alternative=alternative
    )
    return p, test if groups is None else f"{test} of clusters"


def holm(ps: Sequence[float]) -> list[float]:
    """Each p adjusted for all of them (Holm 1979), in the order given; at most 1."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted
