"""Answers found by a reader: of each part of a question, the sentences that hold its span.

The span alone would be a word or two; its sentences are the article's own, so nothing can be stated
that no article says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.core.messages import Passage
from app.knowledge.parts import parts
from app.knowledge.split import first_sentence, joined
from app.support.quote import Quoted

if TYPE_CHECKING:
    from app.models.reader import Reader


def read(
    reader: Reader, passages: Sequence[Passage], asked: str, *, alone: bool = True
) -> list[Quoted]:
    """What `reader` finds in `passages` for each part of `asked`; empty where it finds nothing.

    alone: whether `asked` stands alone; behind the question that it follows, it is one.
    """
    texts, found = [passage.text for passage in passages], list[Quoted]()
    for question in parts(asked) if alone else [asked]:
        span = reader.answer(question, texts)
        if span is not None:
            said = around(texts[span.passage], span.start, span.end)
            found.append(Quoted(passages[span.passage], said))
    return list(dict.fromkeys(found))


def around(text: str, start: int, end: int) -> str:
    """The sentences of `text` that have characters of text[start:end]."""
    kept, rest = list[str](), text
    while rest:
        sentence, behind = first_sentence(rest) or (rest.strip(), "")
        first, last = len(text) - len(rest), len(text) - len(behind)
        if first < end and start < last:
            kept.append(sentence)
        rest = behind
    return joined(kept)
