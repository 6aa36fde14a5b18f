"""mrr: the mean reciprocal rank of the first gold item: 1 where it leads, 1/2 where it is second.

Edge case: no gold item in the ranking: 0.0. The ranking is as long as the task gives it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from eval.metrics.base import Metric, columns


def reciprocal_rank(ranked: Sequence[str], gold: Collection[str]) -> float:
    """1 / rank of the first gold item. `ranked`: best first, no item twice."""
    return next((1 / rank for rank, item in enumerate(ranked, 1) if item in gold), 0.0)


METRIC = Metric("mrr", __name__, columns("mrr"), unit="score")
