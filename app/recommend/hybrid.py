"""EASE, item neighbours, texts and popularity in one score, mixed by what validation says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.models.encoder import TextEncoder
from app.recommend.content import Content, Remembering
from app.recommend.ease import Ease
from app.recommend.itemknn import ItemKNN
from app.recommend.linear import Linear
from app.recommend.matrix import Vector
from app.recommend.popular import Popular
from app.recommend.tuning import DEFAULT, Choice, choose, spreads


class Hybrid(Linear):
    """Score: weighted sum of the parts' scores, each divided by its mean spread over users.

    The weights are chosen at each fit, on the last item of each person within the interactions
    given (never on a test item), and kept in `choice`. An item nobody has taken is ranked by its
    text.
    """

    name = "hybrid"
    choice = Choice(DEFAULT, None, 0)

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = Remembering(encoder)

    def _learn(self) -> None:
        self.choice = choose(self.new_parts(), self.interactions, self.catalogue)
        self.parts = self.new_parts()
        for part in self.parts:
            part.fit(self.interactions, self.catalogue)
        self._weights = np.array(self.choice.mixture) / spreads(self.parts)

    def prior(self) -> Vector:
        """(n_items,) the weighted priors of the parts."""
        priors = np.stack([part.prior() for part in self.parts])
        return np.asarray(self._weights @ priors)

    def contributions(self, profile: Sequence[int]) -> Vector:
        """(len(profile), n_items) the weighted contributions of the parts."""
        total = np.zeros((len(profile), len(self.matrix.items)))
        for weight, part in zip(self._weights, self.parts, strict=True):
            if weight:
                total += weight * part.contributions(profile)
        return total

    def new_parts(self) -> list[Linear]:
        """The parts, not fitted, in the order of `Mixture`."""
        return [Ease(), ItemKNN(), Content(self._encoder), _Prior()]


class _Prior(Popular):
    """Popularity on a logarithmic scale: bestsellers must not drown the rest."""

    def prior(self) -> Vector:
        """(n_items,) log(1 + count)."""
        return np.log1p(self.counts)
