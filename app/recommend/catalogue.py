"""The products of the shop, and the search over their texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.core.fingerprints import tokens
from app.models.encoder import TextEncoder
from app.recommend.base import Row
from app.recommend.content import item_text
from app.recommend.query import Query, stem

_TITLE, _TEXT = 1.0, 0.5
"""A word in title or category says what a product is; one in the description, what it is about."""
MIN_COSINE = 0.35
"""Below it, and without a word in common, a product does not answer the query. With MiniLM, what
the demo shop does not sell (toasters, tyres, novels) stays below.
"""


class Product(NamedTuple):
    """What is sold."""

    id: str
    title: str
    text: str = ""
    price: float | None = None
    category: str = ""
    stock: int | None = None
    """None: not counted, always there."""


class Match(NamedTuple):
    """How well a product answers a query."""

    id: str
    score: float
    """Half the cosine of the texts, half the share of the query's words, in about 0..1."""
    words: tuple[str, ...]
    """The customer's words that the product's own text holds."""


class Catalogue:
    """Products by id, in the order of the file."""

    def __init__(self, items: Sequence[Row], encoder: TextEncoder) -> None:
        fields = Product._fields[1:]
        self.products = {
            row["item"]: Product(row["item"], **{f: row[f] for f in fields if f in row})
            for row in items
        }
        self.encoder = encoder
        self._vectors = encoder.encode([item_text(row) for row in items])
        products = self.products.values()
        self._titles = [_words(f"{p.title} {p.category}") for p in products]
        self._texts = [_words(p.text) for p in products]
        both = zip(self._titles, self._texts, strict=True)
        self._holding = Counter(word for title, text in both for word in title | text)

    @property
    def categories(self) -> list[str]:
        """In the order of the file."""
        return list(dict.fromkeys(p.category for p in self.products.values() if p.category))

    def search(self, query: Query) -> list[Match]:
        """The products that answer `query`, best first; none where nothing does.

        Where one holds all the words, those that hold none are left out: a coffee is near to
        "without caffeine" by its meaning, and no answer to it.
        """
        if not query.text or not self.products:
            return []
        cosines = self._vectors @ self.encoder.encode([query.text])[0]
        found = []
        for row, product in enumerate(self.products):
            words, share = self._overlap(query, row)
            if words or cosines[row] >= MIN_COSINE:
                found.append(Match(product, float(cosines[row] + share) / 2, words))
        if any(len(match.words) == len(query.terms) for match in found):
            found = [match for match in found if match.words]
        return sorted(found, key=lambda match: (-round(match.score, 6), match.id))

    def _overlap(self, query: Query, row: int) -> tuple[tuple[str, ...], float]:
        """The customer's words in this product, and their share in the weight of all.

        A word weighs the more, the fewer products hold it (Spärck Jones 1972).
        """
        title, text = self._titles[row], self._texts[row]
        words, got, total = [], 0.0, 0.0
        for said, english in query.terms.items():
            stems = {stem(word) for word in english}
            weight = max(self._weight(word) for word in stems)
            where = _TITLE if stems & title else _TEXT if stems & text else 0.0
            total += weight
            got += weight * where
            words += [said] if where else []
        return tuple(words), got / total if total else 0.0

    def _weight(self, word: str) -> float:
        return float(np.log1p(len(self.products) / (1 + self._holding[word])))


def _words(text: str) -> set[str]:
    return {stem(word) for word in tokens(text)}
