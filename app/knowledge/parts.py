"""The things that one message asks: "Do you take PayPal, and when does it ship?" asks two.

Rules over clauses: a part is a clause that ends in a question mark or begins with a question word.
They do not see two questions without either ("price of a refill plus opening hours").
"""

from __future__ import annotations

import re

_ASKS = (
    r"(?:how|what|when|where|which|who|why|by when|till when|until when|can|could|do|does|did|is|"
    r"are|may|will|would|should)\b"
)
_CUT = re.compile(
    r"(?<=[?？])\s*|(?<=[.!。！])\s+"
    rf"|(?:[,;]\s*|\s+)(?:and|or|also|plus)\s+(?={_ASKS})"
    r"|[,，;；]\s*(?=另外|还有|要是)",
    re.IGNORECASE,
)
_ASKING = re.compile(
    rf"[?？]$|^(?:(?:and|so|also|but)\s+)*{_ASKS}|多|什么|几|哪|吗|怎|能不|可以", re.IGNORECASE
)
_MIN_WORDS, _MIN_HAN = 3, 6


def parts(question: str) -> list[str]:
    """The clauses of `question` that ask, in order; the question itself where fewer than two do."""
    clauses = [clause.strip() for clause in _CUT.split(question) if clause.strip()]
    asking = [clause for clause in clauses if _ASKING.search(clause) and _long_enough(clause)]
    return asking if len(asking) > 1 else [question]


def _long_enough(clause: str) -> bool:
    han = sum("\u3400" <= character <= "\u9fff" for character in clause)
    return han >= _MIN_HAN or len(clause.split()) >= _MIN_WORDS
