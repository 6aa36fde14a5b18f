"""Items that the same people take (Sarwar et al. 2001), with shrinkage (Bell & Koren 2007)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from app.recommend.linear import Linear
from app.recommend.matrix import Vector

Index = NDArray[np.int64]
_ROWS = 512  # similarities are made for so many items at once, to bound the memory


class ItemKNN(Linear):
    """Score: sum of cosine(j, i) over the profile's items j, among the k neighbours nearest to i.

    cosine(j, i) = both / (sqrt(n_j n_i) + shrinkage), where n counts users: two items that met once
    are less alike than two that met often. An item nobody took has no neighbours and scores 0.
    """

    name = "itemknn"

    def __init__(self, k: int = 100, shrinkage: float = 10.0) -> None:
        self.k = k
        self.shrinkage = shrinkage

    def _learn(self) -> None:
        n = len(self.matrix.items)
        blocks = [self._neighbours(start) for start in range(0, max(n, 1), _ROWS)]
        rows, columns, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
        shape = (n, n)
        # Row j, column i: what having j adds to i; the k largest of each column are kept.
        self.weights = csr_array(coo_array((values, (columns, rows)), shape=shape))

    def contributions(self, profile: Sequence[int]) -> Vector:
        """(len(profile), n_items) similarities."""
        dense: Vector = self.weights[list(profile)].toarray()
        return dense

    def _neighbours(self, start: int) -> tuple[Index, Index, Vector]:
        """(item, neighbour, similarity) triples for the items from `start` on."""
        x, counts = self.matrix.x, self.counts
        together = (x[:, start : start + _ROWS].T @ x).toarray()
        own = np.arange(len(together))
        together[own, own + start] = 0.0
        norms = np.sqrt(np.outer(counts[start : start + _ROWS], counts)) + self.shrinkage
        similar = together / np.maximum(norms, 1e-12)
        order = np.argsort(-similar.round(12), axis=1, kind="stable")[:, : self.k]
        rows = np.repeat(own, order.shape[1])
        values = similar[rows, order.ravel()]
        kept = values > 0
        return rows[kept] + start, order.ravel()[kept], values[kept]
