"""Numbers that the words before them call a phone, a card or an identity number.

What the form alone does not tell: eight digits are a phone behind 电话, and an order number
elsewhere. Read as typed, since Chinese words announce; every finding is shorter than 60 characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from app.core.checksums import luhn, mod_11_2

_IS = r"(?:号码?)?\s*(?:是|为)?\s*[:：]?\s*"
_PHONE = (
    rf"(?:(?:电话|手机|座机|热线|联系方式|传真){_IS}"
    r"|(?i:\b(?:contact (?:number|no)|mob|ph|tel)\b\.?(?: is)?)\s*[:：]?\s*)"
    r"(\+?\(?\d(?:[ ()-]{0,2}\d){6,13})(?!\d)"
)
_IDENTITY = rf"(?:身份证|证件){_IS}(\d(?:[ -]?\d){{16}}[ -]?[\dXx])(?![\dXx])"
_CARD = (
    rf"(?:(?:卡号|银行卡|信用卡|储蓄卡){_IS}"
    r"|(?i:\b(?:card|visa|mastercard|amex)\b(?: (?:number|no)\b)?\.?(?: is)?)\s*[:：]?\s*)"
    r"(\d(?:[ -]{0,2}\d){12,18})(?!\d)"
)
_FORMS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("PHONE", re.compile(_PHONE), lambda _: True),
    ("CN_ID", re.compile(_IDENTITY), mod_11_2),
    ("CARD", re.compile(_CARD), luhn),
)


def find(text: str) -> Iterator[tuple[str, int, int]]:
    """(PHONE, CN_ID or CARD, start, end) in `text`; they may overlap."""
    for kind, pattern, holds in _FORMS:
        for match in pattern.finditer(text):
            if holds(match.group(1)):
                yield kind, *match.span(1)
