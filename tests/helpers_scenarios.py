"""A shop with its judge, and chat models that misbehave: what guards are there for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from app.core.data import corpus
from app.core.files import ROOT
from app.core.messages import Message
from app.core.settings import Settings
from app.models.base import GREEDY, Delta, Options
from app.models.scripted import ScriptedChat
from app.serving.loading import Loaded
from app.support.chat import SupportChat
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
