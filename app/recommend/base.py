"""The seam for recommenders: fit on interactions, rank the catalogue, say which item tipped it.

Every system here is linear in what a person has (their profile), so that a reason is arithmetic
and not a guess: score(item) = prior(item) + sum over the profile of contribution(liked, item).
Taking the item named by `because` out of the profile lowers the score by exactly its contribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

Row = Mapping[str, Any]


class Scored(NamedTuple):
    """A recommended item."""

    item: str
    score: float
    """Higher is better; scales differ between systems."""


class Recommender(Protocol):
    """Ranks the whole catalogue for a person."""

    @property
    def name(self) -> str:
        """What --system calls it."""
        ...

    def fit(self, interactions: Sequence[Row], items: Sequence[Row]) -> None:
        """Learn from {user, item} rows, each meaning "took it"; keep only good ratings beforehand.

        items: the catalogue {item, title, text, category}; may be empty. An item that is only in
        one of the two is ranked all the same.
        """
        ...

    def recommend(self, user: str | None, k: int) -> list[Scored]:
        """At most k items that the user has not taken, best first; popular ones for a stranger."""
        ...

    def recommend_for(self, liked: Sequence[str], k: int) -> list[Scored]:
        """The same for a list of liked items, which are left out; unknown ids are ignored."""
        ...

    def because(self, user: str, item: str) -> str | None:
        """The item of the user's that contributed most to `item`; None where none contributed."""
        ...

    def because_for(self, liked: Sequence[str], item: str) -> str | None:
        """The same for a list of liked items."""
        ...
