"""A customer's visit to the demo shop, whose memory is stored as the product stores it.

The fixtures are imported by name (and listed in `__all__`) where they are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.core.data import corpus
from app.core.files import DEMO
from app.core.memory import Memory
from app.core.messages import Message
from app.store.db import Store, open_store
from app.store.models import Order, OrderLine, Return, Ticket, Write, utc_now
from app.support.answer import Answer
from app.support.chat import SupportChat
from app.support.flows.base import Tools
from app.support.session import Helpers, Session

OWNER = "visitor-1"
IMOGEN = "imogen.wren@example.org"
"""Who placed FK-10993, FK-10938 and FK-10863."""


class NoGoods:
    """A recommender with nothing to offer."""

    def suggest(self, *, query: str | None, k: int, language: str) -> list[Any]:
        """Nothing."""
        del query, k, language
        return []


EVERYTHING = Tools(commerce=object(), shop=NoGoods)  # type: ignore[arg-type]
"""Tools that every flow finds what it needs in; what they do is not called."""


@contextmanager
def demo_store(folder: Path) -> Iterator[Store]:
    """A database in `folder` with the demo's orders."""
    store = open_store(f"sqlite:///{folder / 'shop.db'}")
    store.orders.load_demo(DEMO)
    yield store
    store.close()


def scripted_chat() -> SupportChat:
    """The demo's articles, without weights."""
    return SupportChat.of_system("base", corpus("demo:support").docs, model="scripted")


def opened(store: Store) -> Store:
    """`store` as a test finds it: nothing changed yet, FK-10993 placed an hour ago."""
    with store.write() as session:
        for table in (Write, Return, Ticket):
            session.query(table).delete()
        order = session.get_one(Order, "FK-10993")
        order.address = "11 Kettle Row, Cardiff CF10 9ZZ, United Kingdom"
        session.get_one(OrderLine, ("FK-10993", "low-tide-decaf")).quantity = 1
    stands(store, "FK-10993", "placed", 1)
    return store


def stands(store: Store, order_id: str, status: str, hours: float) -> None:
    """Set how far an order is, and how long ago it was placed."""
    with store.write() as session:
        order = session.get_one(Order, order_id)
        order.status, order.ordered = status, utc_now() - timedelta(hours=hours)


class Visit:
    """A conversation whose memory is stored as the product stores it."""

    def __init__(self, chat: SupportChat, store: Store, language: str = "en") -> None:
        self.chat, self.store, self.language = chat, store, language
        self.talk = store.conversations.create(OWNER, language)
        self.helpers = Helpers(commerce=store.commerce, desk=store.tickets)
        self.last: Answer | None = None

    def say(self, text: str, *, lost: bool = False) -> str:
        """The answer's text. lost: the process is killed before the answer is stored."""
        kept = self.store.conversations
        turns = [Message.model_validate({"role": t.role, "content": t.content})
                 for t in kept.history(OWNER, self.talk)]  # fmt: skip
        memory = kept.state(OWNER, self.talk).memory
        session = Session(OWNER, self.talk, "m", memory, self.language, self.helpers)
        *_, part = self.chat.turn(text, turns, None, session)
        assert part.answer is not None
        self.last = part.answer
        if not lost:
            kept.append(OWNER, self.talk, "user", text)
            kept.append(OWNER, self.talk, "assistant", part.answer.text,
                        intent=part.answer.intent, memory=part.answer.memory)  # fmt: skip
        return part.answer.text

    def memory(self) -> Memory:
        return self.store.conversations.state(OWNER, self.talk).memory

    def count(self, table: Any) -> int:
        with self.store.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def order(self) -> Order:
        with self.store.read() as session:
            return session.get_one(Order, "FK-10993")


@pytest.fixture(scope="module")
def chat() -> SupportChat:
    """The demo's articles, without weights."""
    return scripted_chat()


@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One database for the tests of a module."""
    with demo_store(tmp_path_factory.mktemp("flows")) as store:
        yield store


@pytest.fixture
def store(module_store: Store) -> Store:
    """It, as each test finds it."""
    return opened(module_store)


@pytest.fixture
def visit(chat: SupportChat, store: Store) -> Visit:
    """A visit that has just begun."""
    return Visit(chat, store)
