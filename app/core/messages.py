"""One conversation record for training, evaluation and chat."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.core.config import Strict

Role = Literal["system", "user", "assistant"]


class Message(Strict):
    """One turn."""

    role: Role
    content: str


class Passage(Strict):
    """A piece of an article that an answer may rest on."""

    id: str
    """`<article>#<n>`, n counting from 0."""
    text: str
    article: str = ""
    """Id of the article that the passage is cut from: what is cited."""
    title: str = ""
    lang: str = "en"
    url: str = ""
    score: float = 0.0
    """Retrieval score; only its order has a meaning."""


class Conversation(Strict):
    """Messages in order, and the passages that the last answer rests on."""

    messages: list[Message] = Field(min_length=1)
    passages: list[Passage] = Field(default_factory=list)
