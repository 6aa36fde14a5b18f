"""What the page and the API call: suggestions from the catalogue, each with a true reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydantic import Field

from app.core.config import Strict
from app.core.errors import InputError, NotFound, nearest
from app.models.encoder import TextEncoder
from app.recommend import query as queries
from app.recommend import reasons
from app.recommend.base import Recommender, Row
from app.recommend.catalogue import Catalogue, Product
from app.recommend.lexicon import CATEGORIES
from app.recommend.matrix import Matrix

MAX_K = 50
_ALL = sys.maxsize  # filters come after the ranking, which also holds what is no longer sold
_TASTE = 0.1  # a query rules; what the customer likes decides between products that answer it alike


class Suggestion(NamedTuple):
    """A product and why it is shown."""

    id: str
    title: str
    price: float | None
    category: str
    score: float
    """Higher is better; comparable within one list only."""
    reason: str


class Filters(Strict):
    """What a suggestion must hold."""

    category: str | None = None
    """In English or Chinese, any case."""
    max_price: float | None = Field(default=None, ge=0)
    """A product without a price does not pass."""
    in_stock: bool = True
    """False also shows what is sold out."""


class _Ranked(NamedTuple):
    product: Product
    score: float
    reason: str


class Shop:
    """The catalogue, a recommender that was fitted on `interactions` over it, and the text search.

    Safe to call from several threads.
    """

    def __init__(
        self,
        interactions: Sequence[Row],
        items: Sequence[Row],
        recommender: Recommender,
        encoder: TextEncoder,
    ) -> None:
        self.items = list(items)
        self.recommender = recommender
        self.catalogue = Catalogue(items, encoder)
        self._popular = _favourites(interactions, items)

    def suggest(
        self,
        *,
        user: str | None = None,
        liked: Sequence[str] = (),
        query: str | None = None,
        filters: Filters | None = None,
        k: int = 10,
        language: str = "en",
    ) -> list[Suggestion]:
        """At most k products, best first, without those in `liked`; empty where nothing answers.

        By `query` where there is one, else by `liked`, else by what `user` bought, else the popular
        ones. A price named in the query bounds it like filters.max_price.

        Raises NotFound (an unknown product in liked), InputError (category, k), TooLarge (query).
        """
        self._check(liked, k)
        wanted = filters or Filters()
        category = self._category(wanted.category)
        read = queries.read(query) if query and query.strip() else None
        bounds = [b for b in (wanted.max_price, read.max_price if read else None) if b is not None]
        ranked = (
            self._by_query(read, user, liked, language)
            if read and read.asks
            else self._by_taste(user, liked, language)
        )
        kept = [
            r
            for r in ranked
            if r.product.id not in liked
            and (category is None or r.product.category == category)
            and (not wanted.in_stock or r.product.stock is None or r.product.stock > 0)
            and (not bounds or (r.product.price is not None and r.product.price <= min(bounds)))
        ]
        return [
            Suggestion(p.id, p.title, p.price, p.category, score, reason)
            for p, score, reason in kept[:k]
        ]

    def _by_query(
        self, read: queries.Query, user: str | None, liked: Sequence[str], language: str
    ) -> list[_Ranked]:
        taste = self._taste(user, liked)
        found = [
            _Ranked(
                self.catalogue.products[match.id],
                match.score + _TASTE * taste.get(match.id, 0.0),
                reasons.matches(match.words, language),
            )
            for match in self.catalogue.search(read)
        ]
        return sorted(found, key=lambda r: (-round(r.score, 6), r.product.id))

    def _by_taste(self, user: str | None, liked: Sequence[str], language: str) -> Iterator[_Ranked]:
        for item, score in self._recommended(user, liked):
            product = self.catalogue.products.get(item)
            if product is not None:
                yield _Ranked(product, score, self._reason(user, liked, product, language))

    def _taste(self, user: str | None, liked: Sequence[str]) -> dict[str, float]:
        """From 1 for the first in the customer's own ranking to 0 for the last; empty for none."""
        if user is None and not liked:
            return {}
        ranking = self._recommended(user, liked)
        return {item: 1 - place / len(ranking) for place, (item, _) in enumerate(ranking)}

    def _recommended(self, user: str | None, liked: Sequence[str]) -> list[tuple[str, float]]:
        if liked:
            return [*self.recommender.recommend_for(liked, _ALL)]
        return [*self.recommender.recommend(user, _ALL)]

    def _reason(
        self, user: str | None, liked: Sequence[str], product: Product, language: str
    ) -> str:
        cause = None
        if liked:
            cause = self.recommender.because_for(liked, product.id)
        elif user is not None:
            cause = self.recommender.because(user, product.id)
        if cause in self.catalogue.products:
            kind = "liked" if liked else "bought"
            return reasons.sentence(kind, language, self.catalogue.products[cause].title)
        if product.id in self._popular:
            return reasons.sentence("popular", language)
        return reasons.shelf(product.category, language)

    def _check(self, liked: Sequence[str], k: int) -> None:
        if not 1 <= k <= MAX_K:
            raise InputError(f"k is {k}, expected 1 to {MAX_K}", zh=f"k 应在 1 到 {MAX_K} 之间。")
        for item in liked:
            if item not in self.catalogue.products:
                hint = nearest(item, self.catalogue.products)
                raise NotFound(
                    f"no product {item!r}.{hint} Take ids from the catalogue",
                    zh=f"没有商品“{item}”。",
                )

    def _category(self, asked: str | None) -> str | None:
        if not asked:
            return None
        known = self.catalogue.categories
        by_name = {name.casefold(): name for name in known}
        by_name |= {CATEGORIES[name]: name for name in known if name in CATEGORIES}
        if asked.strip().casefold() not in by_name:
            raise InputError(
                f"no category {asked!r}.{nearest(asked, known)} There is: {', '.join(known)}",
                zh=f"没有“{asked}”这个类别。",
            )
        return by_name[asked.strip().casefold()]


def _favourites(interactions: Sequence[Row], items: Sequence[Row]) -> frozenset[str]:
    """The third of the products that most customers took: what may be called popular."""
    matrix = Matrix(interactions, items)
    counts = matrix.counts
    order = sorted(range(len(counts)), key=lambda column: (-counts[column], column))
    return frozenset(matrix.items[c] for c in order[: len(order) // 3] if counts[c] > 0)
