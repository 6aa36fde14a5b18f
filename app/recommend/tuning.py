"""Which mixture ranks best: tried on what each person took last among what may be learnt from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.recommend.base import Row
from app.recommend.linear import Linear
from app.recommend.matrix import Vector
from app.recommend.split import leave_last_out

MIN_USERS = 30
"""With fewer people to try on, the grid would fit noise: the default is taken."""
_USERS = 1_000  # at most so many are tried, evenly spread over the ids
_K = 10


class Mixture(NamedTuple):
    """Weights of the parts, each part divided by the spread of its scores."""

    ease: float
    itemknn: float
    content: float
    popular: float


DEFAULT = Mixture(0.5, 0.5, 0.25, 0.1)
GRID = [
    Mixture(ease, 1.0 - ease, content, popular)
    for popular, content, ease in itertools.product(
        (0.0, 0.1, 0.25, 0.5), (0.0, 0.1, 0.25, 0.5, 1.0), (0.0, 0.5, 1.0)
    )
]


class Choice(NamedTuple):
    """What was chosen, and on what grounds."""

    mixture: Mixture
    ndcg: float | None
    """NDCG@10 of that mixture on the validation items; None where the default was taken."""
    users: int
    """How many people it was tried on."""


def choose(parts: Sequence[Linear], interactions: Sequence[Row], items: Sequence[Row]) -> Choice:
    """The mixture of GRID with the best NDCG@10 when the last item of each person is held out.

    parts: in the order of Mixture; they are fitted here, without those items. Of equals, the first
    in the grid wins: the one with less prior and less content.
    """
    split = leave_last_out(interactions)
    users = sorted(split.held)
    if len(users) < MIN_USERS:
        return Choice(DEFAULT, None, len(users))
    for part in parts:
        part.fit(split.train, items)
    users = users[:: -(-len(users) // _USERS)]
    weights = np.array(GRID)
    units = spreads(parts)
    gains = [_gains(parts, weights / units, user, split.held[user]) for user in users]
    mean = np.mean(gains, axis=0).round(6)
    best = int(mean.argmax())
    return Choice(GRID[best], float(mean[best]), len(users))


def spreads(parts: Sequence[Linear]) -> Vector:
    """(len(parts),) mean over users of the standard deviation of a part's scores; 1 where it is 0.

    Fixed numbers and not a rescaling of each list, so that a mixture stays linear in the profile.
    """
    matrix = parts[0].matrix
    users = matrix.users[:: max(1, len(matrix.users) // 200)]
    profiles = [matrix.of_user(user) for user in users]
    found = [np.mean([part.scores(p).std() for p in profiles] or [0.0]) for part in parts]
    return np.array([value if value > 0 else 1.0 for value in found])


def _gains(parts: Sequence[Linear], weights: Vector, user: str, held: str) -> NDArray[np.float64]:
    """(len(weights),) NDCG@10 for one user; items with an equal score count as ahead."""
    matrix = parts[0].matrix
    target = matrix.column(held)
    if target is None:
        return np.zeros(len(weights))
    profile = matrix.of_user(user)
    scores = weights @ np.stack([part.scores(profile) for part in parts])
    scores[:, profile] = -np.inf
    ahead = (scores >= scores[:, [target]]).sum(axis=1) - 1
    return np.where(ahead < _K, 1.0 / np.log2(ahead + 2.0), 0.0)
