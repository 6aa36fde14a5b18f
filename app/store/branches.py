"""What replaced what: a question asked again, as it was or edited, begins a branch.

The question that is left behind is marked (finish "replaced") in the transaction that stores the
new one, which stands behind it; it and its answer stay in the database, and are no longer part of
the conversation that is shown and that models are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import InputError
from app.store.models import Message

REPLACED = "replaced"
PLAIN = (None, "question", "small_talk")
"""Intents of answers that changed nothing; every other one is a flow's, whose steps stand."""


class Said(Protocol):
    """A message, stored or read."""

    @property
    def role(self) -> str:
        """user or assistant."""

    @property
    def finish(self) -> str | None:
        """Of a question REPLACED or none; of an answer how it ended."""


class Answered(Said, Protocol):
    """A message that says who or what it came from."""

    @property
    def author(self) -> str | None:
        """The agent who wrote it."""

    @property
    def intent(self) -> str | None:
        """What its turn was taken for."""


M = TypeVar("M", bound=Said)
A = TypeVar("A", bound=Answered)


def live(messages: Iterable[M]) -> list[M]:
    """Without the questions that were replaced, and without what was answered to them."""
    kept: list[M] = []
    left_behind = False
    for message in messages:
        if message.role == "user":
            left_behind = message.finish == REPLACED
        if not left_behind:
            kept.append(message)
    return kept


def replaceable(messages: Sequence[A]) -> A | None:
    """The last question, unless a person or a flow has answered: what they did is not undone."""
    for message in reversed(messages):
        if message.role == "user":
            return message
        if message.author is not None or message.intent not in PLAIN:
            return None
    return None


def replace(session: Session, conversation_id: str, message_id: str) -> None:
    """Mark a question as replaced. Raises InputError unless it is the last one of the branch."""
    query = select(Message).where(Message.conversation_id == conversation_id)
    last = replaceable(live(session.scalars(query.order_by(Message.position))))
    if last is None or last.id != message_id:
        raise InputError(
            "only the last question can be asked again: write a new one instead",
            zh="只能重新提出最后一个问题，请直接写新的问题。",
        )
    last.finish = REPLACED
