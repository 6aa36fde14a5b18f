"""Conversations with the product as it runs: app.services over a database of their own.

Before each conversation the demo shop's database is put back page by page; what is slow to load is
loaded once. The call is Services.chat, which page and HTTP make; an error that the
page would show is the answer.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from sqlite3 import connect
from typing import TYPE_CHECKING, NamedTuple

import structlog
from pydantic import SecretStr

from app.core import settings as app_settings
from app.core.errors import InputError, NotFound, TooMany
from app.core.files import DEMO
from app.services import Services
from app.serving.features import Loaders
from app.serving.loading import Loaded
from app.store.db import open_store
from app.store.models import Order, utc_now
from app.store.rows import Turn
from eval.books import Change, changes
from eval.customer import Customer, Said
from eval.scenario import Given, Scenario

if TYPE_CHECKING:
    from app.support.answer import Citation
    from app.support.chat import SupportChat


class Exchange(NamedTuple):
    """One message of the customer's and its answer."""

    said: Said
    answer: str
    citations: tuple[Citation, ...] = ()
    finish: str = "refused"
    """As stored; refused: the product took no such message and said why, which is the answer."""
    changed: tuple[Change, ...] = ()
    """What of the books it changed, chat tables included."""


class Outcome(NamedTuple):
    """A conversation that is over."""

    owner: str
    exchanges: list[Exchange]
    gave_up: bool
    stored: list[Turn]
    changes: list[Change]
    before: Path
    """The database as it was; gone when the next conversation begins."""

    def transcript(self) -> str:
        """Who said what, a paragraph a message."""
        return "\n".join(f"customer: {e.said.text}\nassistant: {e.answer}" for e in self.exchanges)


class Shop:
    """The demo shop with its chat. Its databases go when it does."""

    def __init__(self, load: Loaders, settings: app_settings.Settings) -> None:
        self._settings = settings.model_copy(update={"secret": SecretStr("of a simulation")})
        root = Path(tempfile.mkdtemp(prefix="frontdesk-shop-"))
        self.template, self._given, self.live = (
            root / f"{name}.db" for name in ("template", "given", "live")
        )
        self.before = self.template
        """How things stood before the present conversation."""
        store = open_store(f"sqlite:///{self.template}")
        store.orders.load_demo(DEMO)
        store.close()
        shutil.copyfile(self.template, self.live)
        self.visitors = count(1)
        self._open: list[Services] = []
        weakref.finalize(self, _clear, self._open, root)
        with _quiet():
            self._loaded = {name: loader[0]() for name, loader in load.items()}
            self.restart()

    @property
    def chat(self) -> SupportChat:
        """The chat under test."""
        return self._loaded["support"].value  # type: ignore[no-any-return]

    @property
    def services(self) -> Services:
        """The product as it runs now."""
        return self._open[0]

    def restart(self) -> None:
        """Stop the product and start it again on the same database."""
        _stop(self._open)
        # Loaded before: a slot would hide why it could not load, and do it at every restart.
        load: Loaders = {
            name: (partial(_same, value), None) for name, value in self._loaded.items()
        }
        store = open_store(f"sqlite:///{self.live}", migrate=False)
        self._open.append(Services(self._settings, store=store, load=load))
        self.services.load()

    def play(self, scenario: Scenario, seed: int) -> Outcome:
        """One conversation. Raises what the product raises, but errors that it would show."""
        self._reset(scenario.given)
        with _quiet():
            return _Visit(self, scenario, seed).run()

    def changes(self) -> list[Change]:
        """What the present conversation changed so far."""
        return changes(self.before, self.live)

    def _reset(self, given: dict[str, Given]) -> None:
        self.before = self.template
        if given:
            self.before = self._given
            shutil.copyfile(self.template, self.before)
            _give(self.before, given)
        # Page by page under the open connections: a new engine would compile each query again.
        with closing(connect(self.before)) as source, closing(connect(self.live)) as target:
            source.backup(target)


class _Visit:
    """A conversation under way."""

    def __init__(self, shop: Shop, scenario: Scenario, seed: int) -> None:
        self._shop, self._scenario = shop, scenario
        self._customer = Customer(scenario, seed)
        # Somebody new each time: the product counts what each visitor asks in a minute.
        self._owner = f"visitor-{next(shop.visitors)}"
        self._conversation: str | None = None
        self._changes: list[Change] = []
        self._exchanges: list[Exchange] = []

    def run(self) -> Outcome:
        said = self._customer.next(None)
        while said is not None and len(self._exchanges) < self._scenario.customer.patience:
            if self._does(said) == "restart":
                self._shop.restart()
            self._exchanges.append(self._exchange(said))
            said = self._customer.next(self._exchanges[-1].answer)
        return Outcome(
            self._owner, self._exchanges, said is not None, self._stored(), self._changes,
            self._shop.before,
        )  # fmt: skip

    def _exchange(self, said: Said) -> Exchange:
        try:
            exchange = self._answered(said)
        except (InputError, TooMany) as error:
            exchange = Exchange(said, error.in_language(self._scenario.language))
        now = self._shop.changes()
        new = tuple(change for change in now if change not in self._changes)
        self._changes = now
        return exchange._replace(changed=new)

    def _answered(self, said: Said) -> Exchange:
        cancel, text, finish = threading.Event(), "", "error"
        citations: tuple[Citation, ...] = ()
        for part in self._shop.services.chat(
            self._owner, said.text, conversation_id=self._conversation,
            language=self._scenario.language, cancel=cancel,
        ):  # fmt: skip
            self._conversation = part.conversation_id
            text += part.text
            if part.text and self._does(said) == "stop":
                cancel.set()
            if part.answer is not None:
                citations, finish = tuple(part.answer.citations), part.answer.finish
        return Exchange(said, text, citations, finish)

    def _does(self, said: Said) -> str | None:
        return None if said.line is None else self._scenario.customer.lines[said.line].does

    def _stored(self) -> list[Turn]:
        if self._conversation is None:
            return []
        kept = self._shop.services.store.conversations
        return kept.history(self._owner, self._conversation)


def _same(value: Loaded) -> Loaded:
    return value


def _stop(services: list[Services]) -> None:
    while services:
        ended = services.pop()
        ended.stop()
        ended.store.close()


def _clear(services: list[Services], folder: Path) -> None:
    _stop(services)
    shutil.rmtree(folder, ignore_errors=True)


def _give(database: Path, given: dict[str, Given]) -> None:
    store = open_store(f"sqlite:///{database}", migrate=False)
    with store.write() as session:
        for number, state in given.items():
            order = session.get(Order, number)
            if order is None:
                raise NotFound(f"given: the demo shop has no order {number}")
            order.status = state.status or order.status
            if state.ordered_hours_ago is not None:
                order.ordered = utc_now() - timedelta(hours=state.ordered_hours_ago)
    store.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the product's log of each turn, which would drown the progress."""
    configured, before = structlog.is_configured(), structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)
        if not configured:
            structlog.reset_defaults()
