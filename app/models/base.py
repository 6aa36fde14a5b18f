"""The seam for chat: `stream(messages, options, cancel) -> Iterator[Delta]`. Imports no torch.

What every engine keeps (tests/helpers_models.py holds it as a contract): the texts of the deltas,
joined, are the answer; the last delta, and only it, is `done` and says why the answer ended;
setting `cancel` or closing the iterator ends the work behind it within a second, but for the
reading of a long prompt, which is one step; temperature 0 gives the same answer every time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from app.core.errors import AppError
from app.core.messages import Message

Finish = Literal["stop", "length", "cancelled"]


class ModelFailed(AppError):
    """The model broke off or hangs: what it said stands, the next question may fare better."""

    code, status, zh_default = "model", 502, "模型出了点问题，请稍后再试。"


@dataclass(frozen=True)
class Delta:
    """A piece of an answer."""

    text: str
    done: bool = False
    finish: Finish | None = None
    """Set where done: the model ended its turn, a bound (tokens, time) cut it, it was stopped."""
    tokens: int = 0
    """Tokens generated so far."""


@dataclass(frozen=True)
class Options:
    """How to generate."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy; above it, tokens are drawn from softmax(logits / temperature)."""
    deadline_s: float | None = None
    """Seconds from the first read, waiting for the model included; the answer is cut there."""
    seed: int | None = None
    """Of the draw; none draws anew each time."""


GREEDY = Options()


class ChatModel(Protocol):
    """Something that answers a conversation."""

    @property
    def name(self) -> str:
        """What to call it in logs and reports."""
        ...

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,
        cancel: threading.Event | None = None,
    ) -> Iterator[Delta]:
        """The answer to `messages`, piece by piece."""
        ...


def complete(
    model: ChatModel,
    messages: Sequence[Message],
    options: Options = GREEDY,
) -> str:
    """The whole answer as one text."""
    return "".join(delta.text for delta in model.stream(messages, options))
