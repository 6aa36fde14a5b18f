"""Whole turns of the support chat, with the model's answers made several at a time.

A turn asks its model at most once, and what it asks does not depend on the answer. So each turn
runs twice: once with a model that only notes what it is asked, and once, after the answers have
been generated in batches, with a model that says them. In fp32 the texts are those of the stream.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from app.core.messages import Message
from app.models.base import GREEDY, ChatModel, Delta, Options

if TYPE_CHECKING:
    from app.support.chat import Answer, SupportChat

Asked = tuple[str, Sequence[Message]]
"""A question and the turns before it."""


class BatchModel(ChatModel, Protocol):
    """A chat model that also answers several conversations at once."""

    def generate_batch(
        self, conversations: Sequence[Sequence[Message]], options: Options = GREEDY
    ) -> list[Delta]:
        """One whole answer for each conversation, in order."""
        ...


class _Stand:
    """In the model's place: gives out `answers` in turn, and notes what it was asked."""

    def __init__(self, name: str, answers: Sequence[Delta] = ()) -> None:
        self.name = name
        self.asked: list[Sequence[Message]] = []
        self._answers = iter(answers)

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,  # noqa: ARG002
        cancel: threading.Event | None = None,  # noqa: ARG002
    ) -> Iterator[Delta]:
        self.asked.append(messages)
        yield next(self._answers, Delta("", done=True, finish="stop"))


def answers(chat: SupportChat, asked: Sequence[Asked]) -> list[Answer]:
    """What `chat.answer` says to each, in order; at once where its model can batch.

    Raises what a turn or the model raises for any of them.
    """
    model = chat.model
    if model is None or not hasattr(model, "generate_batch"):
        return [chat.answer(question, history) for question, history in asked]
    noting = _Stand(model.name)
    _turns(chat, noting, asked)
    said = cast(BatchModel, model).generate_batch(noting.asked, chat.options)
    return _turns(chat, _Stand(model.name, said), asked)


def prompt(chat: SupportChat, asked: Asked) -> Sequence[Message] | None:
    """What `chat` would ask its model; None for a turn that needs none (small talk, Chinese)."""
    noting = _Stand("noting")
    _turns(chat, noting, [asked])
    return noting.asked[0] if noting.asked else None


def _turns(chat: SupportChat, model: ChatModel, asked: Sequence[Asked]) -> list[Answer]:
    stand_in = copy.copy(chat)
    stand_in.model = model
    return [stand_in.answer(question, history) for question, history in asked]
