"""Does a question lean on the turn before, and on what text of it?

Rules, not a model: they cost nothing and a person can read why. They do not resolve which noun a
pronoun means; retrieval only needs the words of both turns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.language import detect
from app.core.messages import Message
from app.knowledge.terms import terms

_OPENS = re.compile(
    r"^\W*(?:(?:ok(?:ay)?|and|but|so|or|then|also|what about|how about|what if|even if|really|same)"
    r"\b|那|可是|但|还有|然后|另外|也|要是|如果是|呢)",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|there|one|ones|he|she|both|either|instead)\b"
    r"|它|这|那|他|她|一样",
    re.IGNORECASE,
)
_FEW, _SOME = 2, 5
"""Content words: with fewer than a few, a question cannot stand alone ("espresso?"); with fewer
than some, one that points at something does not."""
_HAN_TERMS_PER_WORD = 3
"""A Chinese word of two characters counts as two characters and about one pair."""
_BACK = 3
"""User turns that are looked back at most, each leaning on the one before."""


def whole(question: str, history: Sequence[Message]) -> str:
    """`question` after the user turns of `history` that it leans on; itself where it stands alone.

    Mixed in fully: on dev, any share of the question alone found fewer articles.
    """
    said = [question]
    for turn in reversed([m.content for m in history if m.role == "user"][-_BACK:]):
        if not leans(said[0]):
            break
        said.insert(0, turn)
    return "\n".join(said)


def leans(question: str) -> bool:
    """Whether `question` opens like a continuation, is very short, or points at something."""
    short = _count(question) < _SOME if _POINTS.search(question) else few(question)
    return short or bool(_OPENS.match(question))


def few(question: str) -> bool:
    """Whether `question` has too few words to stand alone."""
    return _count(question) < _FEW


def _count(question: str) -> int:
    count = len(terms(question))
    return count // _HAN_TERMS_PER_WORD if detect(question) == "zh" else count
