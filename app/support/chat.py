"""SIGNATURES FIRST (bodies follow within the hour). One turn of the support chat."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from app.core.messages import Message
from app.core.prompt import DEFAULT
from app.knowledge.retrieve import Knowledge


class Citation(NamedTuple):
    """An article that an answer rests on."""

    id: str
    title: str
    url: str
    passage: str


class Answer(NamedTuple):
    """A whole answer."""

    text: str
    citations: list[Citation]
    declined: bool
    confidence: float
    language: str
    finish: Literal["stop", "length", "cancelled", "declined"]
    notes: list[str]
    system: str
    release: str


class TurnPart(NamedTuple):
    """A piece of a turn: text to append; the last part has done=True and the whole answer."""

    text: str
    done: bool = False
    answer: Answer | None = None


class SupportChat:
    """Answers from articles."""

    def __init__(
        self,
        knowledge: Knowledge,
        system: Literal["quote", "model"] = "quote",
        model: Any = None,
        *,
        prompt_version: str = DEFAULT,
        threshold: float | None = None,
        release_id: str = "unreleased",
        options: Any = None,
    ) -> None:
        raise NotImplementedError

    @classmethod
    def load(
        cls,
        folder: Path,
        docs: Sequence[Mapping[str, Any]],
        *,
        model_override: str | None = None,
        options: Any = None,
    ) -> SupportChat:
        """The released system in `folder`; model_override "scripted" needs no weights."""
        raise NotImplementedError

    @classmethod
    def of_system(
        cls,
        system: Literal["quote", "base", "lora"],
        docs: Sequence[Mapping[str, Any]],
        *,
        adapter: Path | None = None,
        model: str | None = None,
        encoder: Any = None,
        prompt_version: str = DEFAULT,
        threshold: float | None = None,
        options: Any = None,
    ) -> SupportChat:
        """A named system, for evaluation; threshold None is the one fitted on dev."""
        raise NotImplementedError

    def turn(
        self,
        question: str,
        history: Sequence[Message] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[TurnPart]:
        """Parts of one answer, in order; the last has done=True."""
        raise NotImplementedError

    def answer(self, question: str, history: Sequence[Message] = ()) -> Answer:
        """A turn run to its end."""
        raise NotImplementedError
