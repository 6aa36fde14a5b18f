"""Stand-ins for the three features, so that the page's own tests need no model and no index.

The fixtures at the end are imported by name (and listed in `__all__`) where they are used.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from app.core.messages import Message
from app.core.release import Base, Engine, Release
from app.core.settings import Settings
from app.recommend.shop import Filters, Suggestion
from app.sentiment.classifier import Prediction
from app.services import Services
from app.serving.features import Loaders
from app.serving.loading import Loaded
from app.support.chat import Answer, Citation, TurnPart
from app.ui import page
from app.ui.build import Page

EVIL = '<img src=x onerror=alert(1)> **bold** <|im_start|> $$x$$ "q"'
PASSAGE = f"Standard delivery within the EU costs €4.90, and it is free from €45. {EVIL}"
ANSWER = "Standard delivery within the EU costs €4.90, and it is free from €45."
ITEMS = [
    {"item": "heron-kettle", "title": "Heron Gooseneck Kettle", "category": "Brewing Gear",
     "text": "Pours like a heron stands: slowly, on one leg.", "price": 119.0, "stock": 22},
    {"item": "jasmine-pearls", "title": "Jasmine Pearls", "category": "Tea",
     "text": f"Green tea rolled by hand. {EVIL}", "price": 14.9, "stock": 66},
    {"item": "tea-cosy", "title": "Island Wool Tea Cosy", "category": "Gifts & Home",
     "text": "Keeps the pot warm and the table honest.", "price": 31.0, "stock": 0},
]  # fmt: skip


class FakeSupport:
    """Says ANSWER word by word, `pause` seconds apart; "boom" breaks it half-way."""

    prompt_version = "support/1"
    encoder = None

    def __init__(self, release_id: str = "support-test", pause: float = 0.0) -> None:
        self.release_id, self.pause = release_id, pause
        self.histories: list[list[Message]] = []

    def turn(
        self,
        question: str,
        history: Sequence[Message],
        cancel: threading.Event | None = None,
        session: Any = None,  # noqa: ARG002
    ) -> Iterator[TurnPart]:
        """The parts; the last one holds the answer."""
        self.histories.append(list(history))
        said = ""
        for word in ANSWER.split():
            if cancel is not None and cancel.is_set():
                break
            time.sleep(self.pause)
            said += f"{word} "
            yield TurnPart(f"{word} ")
            if question == "boom":
                raise RuntimeError("a bug that nobody must see")
        stopped = cancel is not None and cancel.is_set()
        cited = [Citation("shipping-cost", f"What delivery costs {EVIL}", "/help/x", PASSAGE)]
        yield TurnPart("", True, Answer(
            said.strip(), cited, False, 0.9, "en", "cancelled" if stopped else "stop", [], "quote",
            self.release_id,
        ))  # fmt: skip


class FakeSentiment:
    """Negative where the text says bad, unsure where it says hm, else positive."""

    labels = ("negative", "positive")
    release = Release(
        feature="sentiment", id="sentiment-test", created="2026-01-01T00:00:00Z", mode="model",
        base=Base(ref="x", source="folder", file="x", sha256="x"), prompt_version="sentiment/1",
        engines=[Engine(engine="transformers", dtype="float32")],
    )  # fmt: skip

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One a text."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Prediction:
        share = 0.93 if "bad" in text else 0.46 if "hm" in text else 0.04
        label = "negative" if share > 0.5 else "positive"
        odds = {"negative": share, "positive": 1 - share}
        return Prediction(label, odds[label], odds, odds[label] < 0.6)


class FakeShop:
    """Suggests ITEMS that are not liked, cheaper than asked for."""

    items = ITEMS

    def suggest(
        self, *, user: str | None = None, liked: Sequence[str] = (), query: str | None = None,
        filters: Filters | None = None, k: int = 10, language: str = "en",
    ) -> list[Suggestion]:  # fmt: skip
        """At most k."""
        del user
        limit = (filters and filters.max_price) or 1e9
        why = f"matches {query!r}" if query else "popular" if language == "en" else "大家常买"
        kept = [i for i in ITEMS if i["item"] not in liked and float(str(i["price"])) <= limit]
        return [
            Suggestion(str(i["item"]), str(i["title"]), float(str(i["price"])),
                       str(i["category"]), 1.0, why)
            for i in kept[:k]
        ]  # fmt: skip


def made(over: Services) -> Page:
    """The page. Made inside a running event loop: else Gradio makes two and closes neither."""

    async def make() -> Page:
        return Page(over)

    return asyncio.run(make())


def services(
    support: FakeSupport | None = None, load: Loaders | None = None, **settings: Any
) -> Services:
    """The real Services over the stand-ins, not yet loaded."""
    chat = support or FakeSupport()
    stand_ins: Loaders = {
        "support": (lambda: Loaded(chat, chat.release_id), None),
        "sentiment": (lambda: Loaded(FakeSentiment(), "sentiment-test"), None),
        "recommend": (lambda: Loaded(FakeShop(), "hybrid/test"), None),
    }
    return Services(Settings(**settings), load=load or stand_ins)


# What the tests of the page share --------------------------------------------------------------

Toasts = list[str]


@pytest.fixture
def toasts(monkeypatch: pytest.MonkeyPatch) -> Toasts:
    """What the reader is told."""
    told: Toasts = []
    for kind in ("Warning", "Info"):
        monkeypatch.setattr(gr, kind, lambda message, **_: told.append(message))
    return told


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """One for all tests here: every test has visitors of its own."""
    database = tmp_path_factory.mktemp("ui") / "ui.db"
    ready = services(database_url=f"sqlite:///{database}", secret="of the tests")
    ready.load()
    yield ready
    ready.stop()
    ready.store.close()


@pytest.fixture(scope="module")
def ui(loaded: Services) -> Page:
    return made(loaded)


def visitor(loaded: Services, session: str = "tab-1", **headers: str) -> Any:
    """A request with a cookie of its own."""
    _, cookie = loaded.visitors.issue()
    return SimpleNamespace(
        cookies={"frontdesk_visitor": cookie}, session_hash=session, headers=headers,
        client=SimpleNamespace(host="192.0.2.7"),
    )  # fmt: skip


def owner(loaded: Services, request: Any) -> str:
    return page.asker(loaded, request).owner


def trainable(loaded: Services, feature: Any, request: Any) -> list[Any]:
    """What the visitor consented to."""
    mine = owner(loaded, request)
    return [s for s in loaded.store.feedback.consented(feature) if s.owner == mine]


def asked(ui: Page, question: str, request: Any, conversation: str | None = None) -> list[Any]:
    """All updates of a turn."""
    return list(ui.chat.ask(question, conversation, "en", request))


def thread(update: Any, tab: Any) -> list[str]:
    """The thread in an update, as markup; empty where the update leaves it."""
    value = update.get(tab.thread, [])
    return [m["content"] for m in (value["value"] if isinstance(value, dict) else value)]


def newest(update: Any, tab: Any) -> str:
    """The last bubble in an update, or nothing."""
    return (thread(update, tab) or [""])[-1]


class Markup(HTMLParser):
    """Tags with attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def thumb(index: Any, liked: Any) -> Any:
    """A click on a thumb."""
    return SimpleNamespace(index=index, liked=liked)
