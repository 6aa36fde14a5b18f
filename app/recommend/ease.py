"""EASE (Steck, WWW 2019): the best linear item-to-item model with a zero diagonal, closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import lapack

from app.core.errors import TooLarge
from app.recommend.linear import Linear
from app.recommend.matrix import Vector

MAX_ITEMS = 20_000


class Ease(Linear):
    """Score: the profile times B, where B minimises |X - XB|^2 + l2 |B|^2 with diag(B) = 0.

    B = I - P diag(1 / diag(P)) with P = (X'X + l2 I)^-1, the inverse by Cholesky. Weights may be
    negative. An item nobody took scores 0. Needs 8 n_items^2 bytes; raises TooLarge above 20,000.
    """

    name = "ease"

    def __init__(self, l2: float = 100.0) -> None:
        self.l2 = l2

    def _learn(self) -> None:
        n = len(self.matrix.items)
        if n > MAX_ITEMS:
            raise TooLarge(
                f"EASE holds items x items numbers: found {n} items, expected at most {MAX_ITEMS}; "
                "take --system itemknn"
            )
        gram = (self.matrix.x.T @ self.matrix.x).toarray()
        gram[np.diag_indices(n)] += self.l2
        inverse = _inverse(gram)
        self.weights: Vector = inverse / -np.diag(inverse)
        self.weights[np.diag_indices(n)] = 0.0

    def contributions(self, profile: Sequence[int]) -> Vector:
        """(len(profile), n_items) rows of B."""
        return self.weights[list(profile)]


def _inverse(matrix: Vector) -> Vector:
    """The inverse of X'X + l2 I by Cholesky, as it is positive definite: half the usual work.

    Uses the memory of `matrix`, which is overwritten.
    """
    # Symmetric, so its transpose is itself in the order of columns, which LAPACK takes as it is.
    factor, _ = lapack.dpotrf(matrix.T, lower=False, overwrite_a=True)
    inverse, _ = lapack.dpotri(factor, lower=False, overwrite_c=True)
    upper: Vector = np.triu(inverse)
    return upper + np.triu(upper, 1).T
