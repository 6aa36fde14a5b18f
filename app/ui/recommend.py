"""The Recommendations tab: what you like or look for in, cards with a true reason out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from app.recommend.shop import Filters
from app.services import Services
from app.ui.i18n import text, word
from app.ui.page import PRIVATE, Labels, Toasted, Updates, asker, awaited, state

CARDS = 9
PRICES = (10, 20, 35, 50, 100)
FEW = 30
"""Stock up to which a card says how many are left."""
Wish = dict[str, Any]
"""What was asked for: {liked, query, category, max_price}; kept in the page's session."""


class RecommendTab:
    """Components and handlers of the tab; made inside a gr.Tab."""

    def __init__(self, services: Services, labels: Labels, language: gr.State, tab: gr.Tab) -> None:
        self._services = services
        self.wish = gr.State(None)
        labels.make(gr.HTML, {"value": intro})
        with gr.Column(elem_id="wishes", elem_classes="sheet"):
            with gr.Row():
                self.liked = labels.make(
                    gr.Dropdown,
                    {"label": "recommend.liked", "info": "recommend.liked_info"},
                    choices=[], multiselect=True, max_choices=20, elem_id="liked", min_width=280,
                )  # fmt: skip
                self.query = labels.make(
                    gr.Textbox,
                    {
                        "label": "recommend.query",
                        "info": "recommend.query_info",
                        "placeholder": "recommend.query_placeholder",
                    },
                    elem_id="wanted", min_width=280,
                )  # fmt: skip
            with gr.Row():
                self.category = labels.make(
                    gr.Dropdown,
                    {"label": "recommend.category"},
                    choices=categories([], "en"), value="", elem_id="category", min_width=140,
                )  # fmt: skip
                self.max_price = labels.make(
                    gr.Dropdown,
                    {"label": "recommend.max_price", "choices": prices},
                    value=0, elem_id="max-price", min_width=140,
                )  # fmt: skip
                self.run = labels.make(
                    gr.Button, {"value": "recommend.run"}, variant="primary", elem_id="show",
                    min_width=140,
                )  # fmt: skip
        self.cards = gr.HTML("", elem_id="cards")
        self._listen(language, tab)

    def _listen(self, language: gr.State, tab: gr.Tab) -> None:
        wished = [self.liked, self.query, self.category, self.max_price, language]
        shown = [self.cards, self.wish]
        slow = PRIVATE | {"show_progress": "minimal"}
        self.run.click(self.suggest, wished, shown, **slow)
        self.query.submit(self.suggest, wished, shown, **slow)
        tab.select(self.welcome, [self.wish, language], [*shown, *self.shelves], **PRIVATE)

    @property
    def shelves(self) -> list[Any]:
        """Components whose choices come from the catalogue."""
        return [self.liked, self.category]

    # Handlers -----------------------------------------------------------------------------------

    def suggest(
        self, liked: list[str] | None, query: str | None, category: str | None,
        max_price: int | None, language: str, request: gr.Request,
    ) -> Updates:  # fmt: skip
        """Cards for what was asked."""
        wish = {"liked": liked or [], "query": query, "category": category, "max_price": max_price}
        with Toasted(language):
            awaited(self._services, "recommend")
            return {self.cards: self._found(wish, language, request), self.wish: wish}
        return {}

    def welcome(self, wish: Wish | None, language: str, request: gr.Request) -> Iterator[Updates]:
        """On the first look at the tab: the catalogue, and what is popular."""
        if wish is not None:
            return
        if state(self._services, "recommend") == "loading":
            yield {self.cards: message(text(language, "recommend.waking"))}
        with Toasted(language):
            awaited(self._services, "recommend")
            first: Wish = {"liked": [], "query": None, "category": "", "max_price": None}
            found = self._found(first, language, request)
            yield {self.cards: found, self.wish: first} | self.stocked(language)
            return
        yield {self.cards: ""}

    def stocked(self, language: str) -> Updates:
        """The choices that the catalogue offers; nothing where it is not there."""
        if state(self._services, "recommend") != "ready":
            return {}
        items = self._services.shop.items
        products = sorted((str(i["title"]), str(i["item"])) for i in items)
        return {
            self.liked: gr.update(choices=products),
            self.category: gr.update(choices=categories(items, language)),
        }

    def localised(self, wish: Wish | None, language: str, request: gr.Request) -> Updates:
        """Cards and choices in `language`."""
        with Toasted(language):
            found = {self.cards: self._found(wish, language, request)} if wish is not None else {}
            return found | self.stocked(language)
        return {}

    def _found(self, wish: Wish, language: str, request: gr.Request) -> str:
        who = asker(self._services, request)
        filters = Filters(category=wish["category"] or None, max_price=wish["max_price"] or None)
        found = self._services.recommend(
            who.owner, liked=wish["liked"], query=wish["query"], filters=filters, k=CARDS,
            language=language, quota=who.quota,
        )  # fmt: skip
        rows = {str(item["item"]): item for item in self._services.shop.items}
        return cards([(s, rows[s.id]) for s in found], language)


# Markup: every text is escaped here --------------------------------------------------------------


def cards(found: Sequence[tuple[Any, Mapping[str, Any]]], language: str) -> str:
    """A grid of (suggestion, catalogue row); a sentence where there is none."""
    if not found:
        return message(text(language, "recommend.none"))
    count = text(language, "recommend.results", n=len(found))
    inside = "".join(card(suggestion, row, language) for suggestion, row in found)
    return f'<p class="unseen" role="status">{count}</p><ul class="cards">{inside}</ul>'


def card(suggestion: Any, row: Mapping[str, Any], language: str) -> str:
    """One product: its category, title, price, reason, description and stock."""
    price = f"€{suggestion.price:.2f}" if suggestion.price is not None else ""
    category = word(language, "category", suggestion.category)
    left = escape(stock(row["stock"], language))
    return (
        f'<li class="card"><span class="shelf">{escape(category)}</span>'
        f"<h3>{escape(suggestion.title)}</h3>"
        f'<p class="reason">{escape(suggestion.reason)}</p>'
        f'<p class="about">{escape(str(row["text"]))}</p>'
        f'<p class="till"><b>{price}</b><span>{left}</span></p></li>'
    )


def stock(left: int | None, language: str) -> str:
    """In words; nothing where the catalogue does not say."""
    if left is None:
        return ""
    if left <= 0:
        return text(language, "recommend.sold_out")
    if left <= FEW:
        return text(language, "recommend.few", n=left)
    return text(language, "recommend.in_stock")


def categories(items: Sequence[Mapping[str, Any]], language: str) -> list[tuple[str, str]]:
    """Any, and the catalogue's categories in the order of the shelves."""
    names = dict.fromkeys(str(item["category"]) for item in items if item["category"])
    return [
        (text(language, "recommend.any"), ""),
        *((word(language, "category", n), n) for n in names),
    ]


def prices(language: str) -> list[tuple[str, int]]:
    """Any, and some limits."""
    return [(text(language, "recommend.any"), 0), *((f"€{limit}", limit) for limit in PRICES)]


def message(words: str) -> str:
    """A sentence in place of cards."""
    return f'<div class="verdict none" role="status"><p>{escape(words)}</p></div>'


def intro(language: str) -> str:
    """What the tab is for."""
    return (
        f'<div class="intro"><h2>{text(language, "recommend.title")}</h2>'
        f"<p>{text(language, 'recommend.intro')}</p></div>"
    )
