"""ndcg@10: gold items count by 1 / log2(rank + 1), divided by the best that is possible.

Järvelin and Kekäläinen 2002, with gains of 0 and 1. Edge cases: no gold item: does not apply; none
of them in the first ten: 0.0; all of them in front: 1.0, however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from eval.metrics.base import Metric, columns


def ndcg(ranked: Sequence[str], gold: Collection[str], k: int = 10) -> float:
    """DCG of the first k over the ideal. `ranked`: best first, no item twice; gold: not empty."""
    found = sum(_discount(rank) for rank, item in enumerate(ranked[:k], 1) if item in gold)
    best = sum(_discount(rank) for rank in range(1, min(k, len(set(gold))) + 1))
    return found / best


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)


METRIC = Metric("ndcg@10", __name__, columns("ndcg@10"), unit="score")
