"""What a turn of the support chat gives: parts, then the whole answer with what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from app.core.language import detect
from app.core.memory import Memory
from app.core.messages import Passage
from app.core.prompt import defuse
from app.support.finding import Near

UPSET = "upset: nothing was asked"
"""Among the notes of an answer to feelings."""
Finish = Literal["stop", "length", "cancelled", "declined"]


class Citation(NamedTuple):
    """An article that an answer rests on."""

    id: str
    """Of the article."""
    title: str
    url: str
    passage: str
    """The passage's own words."""


class Answer(NamedTuple):
    """A whole answer."""

    text: str
    citations: list[Citation]
    declined: bool
    confidence: float
    """0..1, that the best passage answers; 1 for small talk, which needs none."""
    language: str
    finish: Finish
    notes: list[str]
    """What was done to the answer, such as `replaced: 45 is not in the articles`."""
    system: str
    """quote, model or reader; person where an agent has the conversation."""
    release: str
    said: int = 0
    """Sentences that a model said; none where articles are quoted or the question is declined."""
    kept: int = 0
    """Those of them that state only what the passages do; the others were replaced."""
    intent: str | None = None
    """What the turn was taken for: a flow's name, question, small_talk; None outside one."""
    handoff: str | None = None
    """Id of the ticket by which this turn handed the conversation to a person."""
    hedged: bool = False
    """Whether it says first that it may not be what was meant."""
    near: Sequence[Near] = ()
    """Other articles that could be meant; sending the title of one asks it."""
    quick: Sequence[str] = ()
    """Replies that the page offers as buttons."""
    memory: Memory | None = None
    """What the conversation knows from now on; stored with the answer, never shown."""


def left_to(agent: str, question: str, release: str) -> Answer:
    """The bot's answer while `agent` has the conversation: none."""
    return Answer(
        text="", citations=[], declined=False, confidence=1.0, language=detect(question),
        finish="stop", notes=[f"left to {agent}"], system="person", release=release,
    )  # fmt: skip


class TurnPart(NamedTuple):
    """Text to append; the last part is done and has the whole answer."""

    text: str
    done: bool = False
    answer: Answer | None = None


class Ending(NamedTuple):
    """How one way of answering ended, when its text has been given out."""

    finish: Finish
    citations: list[Citation]
    notes: list[str]
    said: int = 0
    kept: int = 0
    near: Sequence[Near] = ()


def cite(passages: Iterable[Passage]) -> list[Citation]:
    """One citation an article, with all of its passages, in the order of their first."""
    texts: dict[str, list[str]] = {}
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(passage.article, passage)
        texts.setdefault(passage.article, []).append(passage.text)
    return [
        Citation(article, p.title, p.url, defuse("\n\n".join(dict.fromkeys(texts[article]))))
        for article, p in first.items()
    ]
