"""recall@k: the share of gold items among the first k of a ranking.

Edge cases: no gold item: does not apply (the caller leaves the score out); an empty ranking: 0.0.
With two gold articles recall@1 is at most 0.5.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from eval.metrics.base import Metric, columns


def recall(ranked: Sequence[str], gold: Collection[str], k: int) -> float:
    """|gold in the first k| / |gold|. `ranked`: best first, no item twice; gold: not empty."""
    return len(set(ranked[:k]) & set(gold)) / len(set(gold))


def metric(k: int) -> Metric:
    """The metric recall@k."""
    return Metric(f"recall@{k}", __name__, columns(f"recall@{k}"), unit="score")
