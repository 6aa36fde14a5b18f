"""A clerk made of rules, who can do what the chat cannot do yet, and chat models that misbehave.

The clerk shows that scenarios for flows can be passed, and that each guard that is taken out of him
makes them fail; the models do the same for the guards that the chat has.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from app.core.data import corpus
from app.core.files import ROOT
from app.core.messages import Message
from app.core.prompt import TEMPLATES
from app.core.settings import Settings
from app.models.base import GREEDY, Delta, Options
from app.models.scripted import ScriptedChat
from app.serving.loading import Loaded
from app.support.chat import Answer, SupportChat, TurnPart
from eval.checks import Judge, failures
from eval.people import People
from eval.scenario import Scenario, load
from eval.simulate import Shop
from eval.tasks import conversations

SCENARIOS = ROOT / "eval" / "scenarios"
ALL = {scenario.name: scenario for scenario in load(SCENARIOS)}
MISTAKEN = "That takes 4711 days."


def scripted(model: Any = None) -> SupportChat:
    """The chat without weights; `model` speaks in the scripted one's place."""
    chat = SupportChat.of_system("base", corpus(conversations.ARTICLES).docs, model="scripted")
    chat.model = model or chat.model
    return chat


class Desk:
    """A shop with its judge."""

    def __init__(self, support: Any) -> None:
        loaded = Loaded(support, support.release_id)
        self.shop = Shop({"support": (lambda: loaded, None)}, Settings())
        self.judge = Judge(conversations._articles(), People(self.shop.template))

    def reasons(self, scenario: str | Scenario, seed: int = 0) -> list[str]:
        """Why a run of the scenario fails."""
        asked = ALL[scenario] if isinstance(scenario, str) else scenario
        return failures(asked, self.shop.play(asked, seed), self.judge)


def guarding(guard: str, system: str) -> list[str]:
    """Scenarios that name `guard`, are judged on `system` and pass there."""
    return [
        s.name
        for s in ALL.values()
        if guard in s.guards and system in s.systems and s.expected == "pass"
    ]


class Liar(ScriptedChat):
    """Copies like the scripted model, and adds a number of its own."""

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,
        cancel: threading.Event | None = None,
    ) -> Iterator[Delta]:
        for delta in super().stream(messages, options, cancel):
            if delta.done:
                yield Delta(f" {MISTAKEN}")
            yield delta


class Obedient(ScriptedChat):
    """Takes a control token in what it reads for a command, as a real model may."""

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,
        cancel: threading.Event | None = None,
    ) -> Iterator[Delta]:
        if any("<|im_start|>" in m.content or "[INST]" in m.content or "<start_of" in m.content
               for m in messages):  # fmt: skip
            yield Delta("Banana.")
            yield Delta("", done=True, finish="stop")
        else:
            yield from super().stream(messages, options, cancel)


class Clerk:
    """Order status, cancellation and hand-off by rules; everything else is the scripted chat's.

    Each of the three can be taken out. He remembers nothing: all is read from the conversation.
    """

    prompt_version = next(iter(TEMPLATES))
    release_id = "clerk"

    def __init__(self, *, identity: bool = True, confirmation: bool = True, hand_off: bool = True):
        self._identity, self._confirmation, self._hand_off = identity, confirmation, hand_off
        self._chat = scripted()
        self.database: Path | None = None

    def turn(
        self,
        question: str,
        history: Sequence[Message] = (),
        cancel: threading.Event | None = None,
        session: Any = None,  # noqa: ARG002
    ) -> Iterator[TurnPart]:
        """One answer."""
        said = self._said(question, history)
        if said is None:
            yield from self._chat.turn(question, history, cancel)
            return
        yield TurnPart(said)
        yield TurnPart("", True, Answer(said, [], False, 1.0, "en", "stop", [], "clerk", "clerk"))

    def _said(self, question: str, history: Sequence[Message]) -> str | None:
        heard = [*(m.content for m in history if m.role == "user"), question]
        last = history[-1].content if history else ""
        if re.search(r"人工|真人", question):
            self._hand_over()
            return "好的，已经转给我的同事，会有人回复您。"
        if re.search(r"human|agent|person", question, re.IGNORECASE):
            self._hand_over()
            return "I hand you over to a colleague, a person will go on from here."
        if re.search(r"thank", question, re.IGNORECASE):
            return "You are welcome."
        if re.search(r"never mind", question, re.IGNORECASE):
            return "All right, I leave it as it is."
        running = last.startswith(("Which order", "I cannot find", "Shall I"))
        about = [t for t in heard if re.search(r"cancel|order|stuff|parcel|FK-", t, re.I)]
        if not running and question not in about:
            return None
        return self._order("\n".join(heard), question, last)

    def _order(self, heard: str, question: str, last: str) -> str:
        numbers = re.findall(r"FK-\d{5}", heard)
        emails = re.findall(r"[\w.]+@[\w.]+\w", heard)
        if not numbers:
            return "Which order is it? Please tell me the order number and your e-mail address."
        if self._identity and not emails:
            return "Which order is it? Please tell me your e-mail address too, or ask for a person."
        order, email, status, street = self._row(numbers[-1])
        if self._identity and email not in emails:
            return ("I cannot find an order with this number and e-mail. Please check the order "
                    "number and your e-mail. Or write to hello@fernandkettle.example.")  # fmt: skip
        if re.search(r"cancel|call my order off", heard, re.IGNORECASE):
            return self._cancel(order, status, question, last)
        return f"Order {order} has been {status}, to {street}."

    def _cancel(self, order: str, status: str, question: str, last: str) -> str:
        if status == "cancelled":
            return f"Order {order} has been cancelled already."
        asked = last.startswith("Shall I") or not self._confirmation
        if asked and re.match(r"\W*(?:no|actually no|hm, no)", question, re.IGNORECASE):
            return f"Then I leave order {order} as it is."
        if not asked:
            return f"Shall I cancel order {order}?"
        self._write("update orders set status = 'cancelled' where id = ?", order)
        return f"Order {order} is cancelled."

    def _hand_over(self) -> None:
        if self._hand_off:
            self._write("insert into tickets (note) values (?)", "asks for a person")

    def _row(self, order: str) -> tuple[str, str, str, str]:
        assert self.database is not None
        query = ("select orders.id, email, status, address from orders join customers on "
                 "customers.id = customer_id where orders.id = ?")  # fmt: skip
        with closing(sqlite3.connect(self.database)) as connection:
            order_, email, status, address = connection.execute(query, (order,)).fetchone()
        return order_, email, status, address.split(",")[0]

    def _write(self, statement: str, value: str) -> None:
        assert self.database is not None
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, (value,))


def staffed(clerk: Clerk) -> Desk:
    """A desk with the clerk at it, and a table of tickets, which the shop does not have yet."""
    desk = Desk(clerk)
    clerk.database = desk.shop.live
    for database in (desk.shop.template, desk.shop.live):
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("create table if not exists tickets (id integer primary key, note)")
    return desk
