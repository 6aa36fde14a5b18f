"""A model's answer, sentence by sentence: held back until whole, checked, then shown.

A sentence that states what the passages lack is replaced by the passages' own; the decline sentence
ends the answer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from app.core.errors import NotReady, TooLarge
from app.core.messages import Message, Passage
from app.core.prompt import DECLINE, defuse
from app.knowledge.split import first_sentence
from app.knowledge.terms import terms
from app.models.base import ChatModel, Delta, ModelFailed, Options
from app.support.answer import Ending, Finish, cite
from app.support.grounding import ground

_DECLINES = DECLINE["en"].split(",")[0].lower()
"""The clause by which the model's decline is known, however it ends the sentence."""
# List marks and references to the numbered passages: ours show as citations.
_MARKS = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])(?:\s+|$)|\s*\[\d{1,2}\]")


class Declined(Exception):
    """The model says that the passages do not hold the answer."""


class Silent(Exception):
    """The model failed before anything was shown."""

    def __init__(self, failed: Exception) -> None:
        super().__init__(failed)
        self.failed = failed


def speak(
    model: ChatModel,
    messages: Sequence[Message],
    passages: Sequence[Passage],
    asked: str,
    options: Options,
    cancel: threading.Event | None,
) -> Generator[str, None, Ending]:
    """Checked sentences, one at a time; returns how it ended.

    messages: the rendered prompt over `passages`; asked: the question in it. Raises Declined where
    the model's first sentence declines, Silent where it fails before anything is shown, and what
    the engine raises where it fails later. A last sentence that was cut is left out, unless nothing
    else was said; after a stop nothing more is said.
    """
    finish: Finish = "stop"
    shown, notes, used = list[str](), list[str](), list[Passage]()
    said = 0
    with closing(model.stream(messages, options, cancel)) as deltas:  # type: ignore[type-var]
        for sentence, end in _heard(_sentences(deltas), shown):
            finish = end or finish
            if finish == "cancelled" or (finish == "length" and shown):
                break
            if sentence.lower().startswith(_DECLINES):
                if not shown:
                    raise Declined
                break
            plain = _MARKS.sub("", defuse(sentence)).strip()
            checked = ground(plain, passages, asked)
            said += bool(plain)
            if checked.unsupported:
                notes.append(f"replaced, not in the articles: {', '.join(checked.unsupported)}")
            if checked.text and checked.text not in shown:
                used.append(_source(checked.text, passages))
                yield checked.text if not shown else f" {checked.text}"
                shown.append(checked.text)
    return Ending(finish, cite(used), notes, said, kept=said - len(notes))


def _heard(
    sentences: Iterator[tuple[str, Finish | None]], shown: Sequence[str]
) -> Iterator[tuple[str, Finish | None]]:
    """`sentences`, but a failure while nothing is `shown` is Silent.

    Too long a question is one, too: the articles may answer what a model of few tokens cannot read.
    """
    try:
        yield from sentences
    except (ModelFailed, NotReady, TooLarge) as failed:
        if shown:
            raise
        raise Silent(failed) from failed


def _sentences(deltas: Iterator[Delta]) -> Iterator[tuple[str, Finish | None]]:
    """Sentences as they become whole; the last one, perhaps empty, with how the model ended."""
    held = ""
    for delta in deltas:
        held += delta.text
        while cut := first_sentence(held):
            sentence, held = cut
            yield sentence, None
        if delta.done:
            yield " ".join(held.split()), delta.finish


def _source(text: str, passages: Sequence[Passage]) -> Passage:
    """The passage that shares most content words with `text`."""
    words = set(terms(text))
    return max(passages, key=lambda p: len(words & set(terms(f"{p.title} {p.text}"))))
