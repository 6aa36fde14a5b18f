"""What most people took: the baseline that every other system has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.recommend.linear import Linear
from app.recommend.matrix import Vector


class Popular(Linear):
    """Score: how many users took the item. Nothing in a profile contributes."""

    name = "popular"

    def _learn(self) -> None:
        """The counts are there already."""

    def prior(self) -> Vector:
        """(n_items,) counts."""
        return self.counts

    def contributions(self, profile: Sequence[int]) -> Vector:
        """(len(profile), n_items) zeros."""
        return np.zeros((len(profile), len(self.matrix.items)))
