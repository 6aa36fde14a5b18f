"""Answers that agents wrote: they come before flows' articles and models, word for word.

A question gets one where it is the same but for case, punctuation and spaces; or where it is near
by meaning (cosine of MiniLM, for Chinese shared pairs of characters), names nothing that the other
does not, or the other way round, and holds the same numbers and as many negations. Nearness alone
does not tell "Do you ship to Norway?" from "... to Sweden?" (0.86): the words do.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.language import detect, simplified
from app.knowledge.terms import terms
from app.models.encoder import TextEncoder
from app.store.curated import Written

NEAR = 0.80
"""Cosine of two English questions from which on they may be the same one."""
NEAR_ZH = 0.60
"""Share of character pairs (Dice) of two Chinese ones."""
_BETWEEN = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NOT = re.compile(r"\b(?:not?|never|without|cannot)\b|n['’]t\b|不|没|无|别", re.IGNORECASE)
_CHOICE = re.compile(r"(.)[不没]\1")  # 能不能, 有没有: a question, no negation
Vectors = NDArray[np.float32]


class Book(Protocol):
    """Where they are kept (app.store.curated.CuratedBook)."""

    def all(self) -> list[Written]:
        """All of them."""
        ...

    def revision(self) -> str:
        """Another text after each change."""
        ...


class Curated:
    """Finds the written answer to a question, if there is one. Safe to use from several threads.

    Follows the book without a restart: each `find` compares its revision, one small query.
    """

    def __init__(self, book: Book, encoder: TextEncoder | None = None) -> None:
        self._book, self._encoder = book, encoder
        self._lock = threading.Lock()
        self._shelf = _Shelf("", [], encoder)

    def find(self, asked: str) -> Written | None:
        """The answer to `asked`, in the language that it is asked in."""
        return self._current().find(asked, detect(asked))

    def _current(self) -> _Shelf:
        revision = self._book.revision()
        if revision != self._shelf.revision:
            with self._lock:
                if revision != self._shelf.revision:
                    self._shelf = _Shelf(revision, self._book.all(), self._encoder)
        return self._shelf


class _Shelf:
    """The answers of one revision."""

    def __init__(self, revision: str, rows: Sequence[Written], encoder: TextEncoder | None) -> None:
        self.revision, self._rows, self._encoder = revision, rows, encoder
        self._exact = {(r.language, normalised(r.question)): r for r in reversed(rows)}
        self._alike = {
            language: Alike([r.question for r in rows if r.language == language], language, encoder)
            for language in {r.language for r in rows}
        }

    def find(self, asked: str, language: str) -> Written | None:
        exact = self._exact.get((language, normalised(asked)))
        if exact or language not in self._alike:
            return exact
        place = self._alike[language].nearest(asked)
        if place is None:
            return None
        return [r for r in self._rows if r.language == language][place]


class Alike:
    """Questions of one language, and which of them another one repeats."""

    def __init__(
        self, questions: Sequence[str], language: str, encoder: TextEncoder | None
    ) -> None:
        self._questions = questions
        self._least = NEAR_ZH if language == "zh" or encoder is None else NEAR
        self._encoder = None if language == "zh" else encoder
        self._vectors = self._encoder.encode(questions) if self._encoder else None
        self._pairs = [] if self._encoder else [_pairs(question) for question in questions]

    def nearest(self, asked: str) -> int | None:
        """Place of the nearest that asks the same, or None."""
        return self._first(asked, self._closeness(asked)) if self._questions else None

    def before(self, place: int) -> int | None:
        """Place of the nearest of those before `place` that asks the same, or None."""
        asked = self._questions[place]
        if self._vectors is None:
            return self._first(asked, self._closeness(asked)[:place])
        return self._first(asked, self._vectors[:place] @ self._vectors[place])

    def _closeness(self, asked: str) -> Vectors:
        if self._encoder is None or self._vectors is None:
            mine = _pairs(asked)
            return np.array([_dice(mine, pairs) for pairs in self._pairs], np.float32)
        return np.asarray(self._vectors @ self._encoder.encode([asked])[0], np.float32)

    def _first(self, asked: str, close: Vectors) -> int | None:
        for place in np.argsort(-close, kind="stable"):
            if close[place] < self._least:
                return None
            if same_subject(asked, self._questions[place]):
                return int(place)
        return None


def normalised(text: str) -> str:
    """A question without case, punctuation and spaces, in simplified characters."""
    return _BETWEEN.sub(" ", simplified(text).casefold()).strip()


def same_subject(one: str, other: str) -> bool:
    """Whether neither names what contradicts the other: numbers, negations, content words."""
    if set(_NUMBER.findall(one)) != set(_NUMBER.findall(other)):
        return False
    if _negations(one) != _negations(other):
        return False
    mine, its = _subject(one), _subject(other)
    return bool(mine and its) and (mine <= its or its <= mine)


def _negations(text: str) -> int:
    return len(_NOT.findall(_CHOICE.sub(r"\1", text))) % 2


def _subject(text: str) -> set[str]:
    found = set(terms(text))
    # Chinese has no word breaks here: characters, whose pairs differ by what stands beside them.
    return {t for t in found if len(t) == 1} if detect(text) == "zh" else found


def _pairs(text: str) -> set[str]:
    plain = normalised(text).replace(" ", "")
    return {plain[i : i + 2] for i in range(len(plain) - 1)}


def _dice(one: set[str], other: set[str]) -> float:
    return 2 * len(one & other) / max(1, len(one) + len(other))
