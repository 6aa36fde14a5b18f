"""What all systems share: score, rank, leave out what is taken, say what tipped an item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from app.recommend.base import Row, Scored
from app.recommend.matrix import Matrix, Vector

_DIGITS = 9  # scores that differ by less are equal: rounding must not decide a rank


class Linear(ABC):
    """A recommender whose score is prior + sum of contributions of the profile.

    Ties go to the item that more people took, then to the smaller id. A person without a known item
    gets the popular ones.
    """

    name: str
    interactions: Sequence[Row]
    catalogue: Sequence[Row]
    matrix: Matrix
    counts: Vector
    """(n_items,) how many users took each item."""

    def fit(self, interactions: Sequence[Row], items: Sequence[Row]) -> None:
        """Learn from {user, item} rows, over the catalogue `items`."""
        self.interactions, self.catalogue = interactions, items
        self.matrix = Matrix(interactions, items)
        self.counts = self.matrix.counts
        self._learn()

    @abstractmethod
    def _learn(self) -> None:
        """Learn from self.matrix and self.catalogue."""

    @abstractmethod
    def contributions(self, profile: Sequence[int]) -> Vector:
        """(len(profile), n_items): what each item of the profile adds to each item's score."""

    def prior(self) -> Vector:
        """(n_items,) what an item scores for everybody."""
        return np.zeros(len(self.matrix.items))

    def scores(self, profile: Sequence[int]) -> Vector:
        """(n_items,) scores for a person who has the items at these columns."""
        total: Vector = self.prior() + self.contributions(profile).sum(axis=0)
        return total

    def recommend(self, user: str | None, k: int) -> list[Scored]:
        """At most k items that the user has not taken, best first."""
        return self._top(self.matrix.of_user(user), k)

    def recommend_for(self, liked: Sequence[str], k: int) -> list[Scored]:
        """The same for a list of liked items; unknown ids are ignored."""
        return self._top(self.matrix.columns(liked), k)

    def because(self, user: str, item: str) -> str | None:
        """The user's item that contributed most to `item`; None where none contributed."""
        return self._because(self.matrix.of_user(user), item)

    def because_for(self, liked: Sequence[str], item: str) -> str | None:
        """The same for a list of liked items."""
        return self._because(self.matrix.columns(liked), item)

    def _top(self, profile: list[int], k: int) -> list[Scored]:
        scores = self.scores(profile) if profile else self.counts
        seen = set(profile)
        # Stable: equal scores and counts stay in the order of ids.
        order = np.lexsort((-self.counts, -scores.round(_DIGITS)))
        best = [int(column) for column in order if column not in seen][:k]
        return [Scored(self.matrix.items[c], float(scores[c])) for c in best]

    def _because(self, profile: list[int], item: str) -> str | None:
        column = self.matrix.column(item)
        if column is None or not profile:
            return None
        added = self.contributions(profile)[:, column].round(_DIGITS)
        best = int(added.argmax())
        return self.matrix.items[profile[best]] if added[best] > 0 else None
