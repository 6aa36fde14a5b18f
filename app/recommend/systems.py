"""The recommenders by name."""

from __future__ import annotations

from collections.abc import Callable

from app.core.errors import InputError, nearest
from app.models.encoder import TextEncoder
from app.recommend.base import Recommender
from app.recommend.content import Content
from app.recommend.ease import Ease
from app.recommend.hybrid import Hybrid
from app.recommend.itemknn import ItemKNN
from app.recommend.popular import Popular

SYSTEMS: dict[str, Callable[[TextEncoder], Recommender]] = {
    "popular": lambda _: Popular(),
    "itemknn": lambda _: ItemKNN(),
    "ease": lambda _: Ease(),
    "content": Content,
    "hybrid": Hybrid,
}
NAMES = tuple(SYSTEMS)


def build(name: str, encoder: TextEncoder) -> Recommender:
    """A recommender of that name, not yet fitted. Raises InputError, listing the names."""
    if name not in SYSTEMS:
        known = ", ".join(SYSTEMS)
        raise InputError(f"no recommender {name!r}.{nearest(name, SYSTEMS)} There is: {known}")
    return SYSTEMS[name](encoder)
