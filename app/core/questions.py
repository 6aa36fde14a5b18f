"""Questions over one passage each, for answers copied from it (kind `reader`).

An answer is copied from its context, as in SQuAD 2.0 (Rajpurkar et al. 2018), so that one which
does not stand there word for word is an error, with file and line. No answers: it does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from app.core.errors import InputError
from app.core.kinds import name_of, picked
from app.core.records import Row, text_of


class Question(NamedTuple):
    """A reader's sample."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    """Spellings that count as right, each in the context; empty where it does not say."""


def parse(rows: list[Row], split: str | None, columns: Mapping[str, str]) -> list[Question]:
    """Samples of one `split`, where there is such a column.

    `answers` is a list of texts, or an object with it in `text`, as SQuAD has on the Hub.
    """
    kept = picked(rows, ("question", "context", "answers"), split, columns)
    return [_parsed(number, row) for number, row in enumerate(kept)]


def _parsed(number: int, row: Row) -> Question:
    context = text_of(row, "context")
    name = name_of(number, row, "question")
    return Question(name, text_of(row, "question"), context, _answers(row, context))


def _answers(row: Row, context: str) -> tuple[str, ...]:
    found = row["answers"]
    texts = found.get("text") if isinstance(found, dict) else found
    if not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
        raise InputError(
            f"{row['_where']}: expected a list of texts in 'answers' (empty where the context does "
            f"not say), found {found!r}"
        )
    for text in texts:
        if text not in context:
            raise InputError(
                f"{row['_where']}: the answer {text[:80]!r} is not in the context word for word; "
                f"copy it from there, or leave 'answers' empty"
            )
    return tuple(dict.fromkeys(texts))
