"""What the repositories give back: plain values that outlive the session."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from app.core.memory import Memory


class Summary(NamedTuple):
    """A conversation in a list."""

    id: str
    title: str
    """As its owner named it, else the beginning of its first question; empty where none is."""
    language: str
    updated: datetime


class Turn(NamedTuple):
    """A stored message of a conversation."""

    id: str
    role: str
    """user or assistant."""
    content: str
    citations: list[dict[str, Any]]
    """[{id, title, url, passage}], empty for a user's turn."""
    release: str | None
    finish: str | None
    """stop, length, declined, cancelled or error; none for a user's turn."""
    confidence: float | None
    rating: int | None
    """The owner's thumb: 1, -1, or none."""
    created: datetime
    author: str | None = None
    """Name of the agent who wrote it; none: the customer or the bot, by role."""
    intent: str | None = None
    """What the turn was taken for; of answers alone."""


class State(NamedTuple):
    """What a conversation knows between turns."""

    memory: Memory
    handled_by: str | None
    """Name of the agent who has taken it over; none: the bot answers."""
    language: str
    """Of the page that it began on."""


class Rateable(NamedTuple):
    """A message that feedback may be given on."""

    id: str
    kind: str
    """chat or sentiment."""
    predicted: str | None


class Sample(NamedTuple):
    """A consented piece of feedback with what it is about, for training."""

    id: str
    feature: str
    """support or sentiment."""
    owner: str
    rating: int
    text: str
    """The question, or the classified text."""
    history: list[dict[str, str]]
    """Earlier turns as {role, content}; empty for sentiment."""
    answer: str
    """What was answered; the predicted label for sentiment."""
    correction: str | None
    citations: list[dict[str, Any]]
    release: str | None
    created: str
    """ISO 8601, UTC."""
    synthetic: bool
