"""Does a question lean on the turn before, and on what text of it?

Rules, not a model: they cost nothing and a person can read why. They do not resolve which noun a
pronoun means; retrieval only needs the words of both turns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.messages import Message
from app.knowledge.terms import terms

_OPENS = re.compile(
    r"^\W*(?:ok(?:ay)?|and|but|so|or|then|also|what about|how about|what if|even if|really|same|"
    r"那|可是|但|还有|然后|里头|里面|另外|也|如果是|要是|呢)",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:it|its|it's|that|this|these|those|they|them|there|one|ones|he|she|both|either|do so|"
    r"after|before|instead)\b|它|这|那|他|她|老样子|一样|都",
    re.IGNORECASE,
)
_FEW, _SOME = 4, 8
"""Content words: with fewer, a question rarely stands alone; with some, a pronoun must help."""


def context(question: str, history: Sequence[Message]) -> str:
    """The last user turn of `history` where `question` leans on it, else an empty text."""
    before = next((m.content for m in reversed(history) if m.role == "user"), "")
    return before if before and leans(question) else ""


def leans(question: str) -> bool:
    """Whether `question` opens like a continuation, is very short, or points at something."""
    count = len(terms(question))
    if _OPENS.match(question) or count < _FEW:
        return True
    return count < _SOME and bool(_POINTS.search(question))
