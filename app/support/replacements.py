"""What to offer for a product that comes back, and why: same shelf, like price, in stock.

The recommender orders them (who took this also took), but what such people took is often an extra:
paper filters for a kettle. The price tells those apart. The reasons are facts of the catalogue, for
"because you like it" would be wrong of what somebody sends back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.recommend.lexicon import category_name
from app.recommend.shop import MAX_K, Filters

if TYPE_CHECKING:
    from app.recommend.base import Row
    from app.recommend.shop import Shop

FACTOR = 3.0
"""A product of less than a third of the price, or more than three times it, replaces nothing."""
ABOUT_THE_SAME = 0.10
"""Difference in price, as a share, that is not worth a word."""


class Replacement(NamedTuple):
    """A product to take instead."""

    id: str
    title: str
    price: float | None
    reason: str
    """A sentence part in the customer's language."""


def propose(shop: Shop, returned: str, language: str = "en", k: int = 3) -> list[Replacement]:
    """At most k products of the same shelf instead of `returned`, an id or a title; best first.

    Empty where the product is unknown or the shelf holds nothing else that is in stock.
    """
    product = named(shop, returned)
    if product is None or not product.get("category"):
        return []
    found = shop.suggest(
        liked=(product["item"],), filters=Filters(category=product["category"]), k=MAX_K,
        language=language,
    )  # fmt: skip
    near = [s for s in found if _like(product.get("price"), s.price)][:k]
    return [Replacement(s.id, s.title, s.price, _why(product, s.price, language)) for s in near]


def named(shop: Shop, wanted: str) -> Row | None:
    """The product of this id, or of this title in any case."""
    plain = wanted.strip().casefold()
    called = {str(row["title"]).casefold(): row for row in shop.items}
    called |= {str(row["item"]).casefold(): row for row in shop.items}
    return called.get(plain)


def _like(paid: float | None, price: float | None) -> bool:
    """Whether the prices are within FACTOR; what has none is like everything."""
    return not paid or not price or 1 / FACTOR <= price / paid <= FACTOR


def _why(returned: Row, price: float | None, language: str) -> str:
    chinese = language.startswith("zh")
    shelf = category_name(returned["category"], language)
    said = [f"同属{shelf}", "有货"] if chinese else [f"from the same shelf ({shelf})", "in stock"]
    paid = returned.get("price")
    if price is not None and paid:  # in words: the two prices are the only figures
        apart = price - paid
        if abs(apart) <= ABOUT_THE_SAME * paid:
            said.append("价格相近" if chinese else "about the same price")
        elif apart < 0:
            said.append("价格更低" if chinese else "costs less")
        else:
            said.append("价格更高" if chinese else "costs more")
    return ("，" if chinese else ", ").join(said)
