"""A sentence of a model is shown only if its numbers, days and names stand in the passages.

Checked: numbers with their decimals and, where a unit is named, with that unit ("30 hours" is not
"30 days"), number words from two on, weekdays and months, e-mail and web addresses, and capitalised
names inside a sentence. Not seen: a wrong relation between right facts, a "not" too many or too
few, and claims without number or name. English; Chinese is always quoted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from app.core.messages import Passage
from app.knowledge.split import sentences
from app.knowledge.terms import terms

_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fourteen": "14", "fifteen": "15",
    "eighteen": "18", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50",
    "sixty": "60", "ninety": "90", "hundred": "100",
}  # fmt: skip
_UNITS = {
    "€": "€", "eur": "€", "euro": "€", "euros": "€", "£": "£", "pound": "£", "pounds": "£",
    "$": "$", "dollar": "$", "dollars": "$", "%": "%", "percent": "%", "°c": "°c",
    "minute": "minute", "minutes": "minute", "min": "minute", "hour": "hour", "hours": "hour",
    "day": "day", "days": "day", "week": "week", "weeks": "week", "month": "month",
    "months": "month", "year": "year", "years": "year", "g": "g", "grams": "g", "kg": "kg",
    "kilo": "kg", "kilos": "kg", "mg": "mg", "ml": "ml", "litre": "litre", "litres": "litre",
    "point": "point", "points": "point", "click": "click", "clicks": "click",
}  # fmt: skip
_DAYS = frozenset({
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january",
    "february", "april", "june", "july", "august", "september", "october", "november", "december",
})  # fmt: skip
"""Without March and May, which are verbs as well; inside a sentence they count as names."""
_TOKEN = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|https?://[^\s)]+|\d+(?:[.,:]\d+)*|°C|[€£$%]"
    r"|[^\W\d_]+(?:['’][^\W\d_]+)?"
)
_REACH = 5
"""Tokens after a number in which its unit may stand: "2, 4 or 6 weeks", "2–4 working days"."""


class Grounded(NamedTuple):
    """A sentence that may be shown."""

    text: str
    unsupported: list[str]
    """What the model's sentence said and no passage does; empty where it is shown as it was."""


def ground(sentence: str, passages: Sequence[Passage], question: str = "") -> Grounded:
    """`sentence`, or the passages' own sentence nearest to it where it states what they lack."""
    lacking = unsupported(sentence, passages)
    if not lacking:
        return Grounded(sentence, [])
    return Grounded(nearest_sentence(f"{sentence} {question}", passages), lacking)


def unsupported(sentence: str, passages: Sequence[Passage]) -> list[str]:
    """Numbers, days, addresses and names of `sentence` that passages and titles lack, in order."""
    known = _Known([_TOKEN.findall(f"{p.title}. {p.text}") for p in passages])
    tokens = _TOKEN.findall(sentence)
    return list(dict.fromkeys(t for n, t in enumerate(tokens) if not known.supports(tokens, n)))


def nearest_sentence(wanted: str, passages: Sequence[Passage]) -> str:
    """The passage sentence that shares most content words with `wanted`; earlier ones win ties.

    Without passages, the empty text.
    """
    words = set(terms(wanted))
    every = [sentence for passage in passages for sentence in sentences(passage.text)]
    return max(every, key=lambda sentence: len(words & set(terms(sentence))), default="")


class _Known:
    """What some texts, given as tokens, state."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self._words = {_plain(token) for tokens in texts for token in tokens}
        self._units: dict[str, list[str | None]] = {}
        for tokens in texts:
            for place, token in enumerate(tokens):
                if number := _number(token):
                    self._units.setdefault(number, []).append(_unit(tokens, place))

    def supports(self, tokens: Sequence[str], place: int) -> bool:
        """Whether the token in `place` says nothing checkable, or something stated here."""
        token = tokens[place]
        plain, number = _plain(token), _number(token)
        if number is None and token.islower() and token.isalpha() and plain not in _DAYS:
            return True
        if number:
            return self._has_quantity(number, _unit(tokens, place), spelled=not token[0].isdigit())
        if plain in _DAYS:
            return plain in self._words or plain[:3] in self._words
        if "@" in token or "://" in token or _is_name(tokens, place):
            return plain in self._words
        return True

    def _has_quantity(self, number: str, unit: str | None, *, spelled: bool) -> bool:
        """A spelled number counts only with a unit: "the two of them" states no quantity."""
        stated = self._units.get(number)
        if spelled and unit is None:
            return True
        return stated is not None and (unit is None or unit in stated or stated == [None])


def _plain(token: str) -> str:
    """Lower case, without a possessive; "Tuesdays" is "tuesday"."""
    plain = re.sub(r"['’]s$", "", token.lower())
    return plain[:-1] if plain[:-1] in _DAYS else plain


def _number(token: str) -> str | None:
    """Digits in one notation ("4,90" and "4.90", "1,000" and "1000"); None for other words."""
    if not token[0].isdigit():
        return _NUMBER_WORDS.get(token.lower())
    whole = re.sub(r",(?=\d{3}(?:\D|$))", "", token)
    return whole.replace(",", ".")


def _unit(tokens: Sequence[str], place: int) -> str | None:
    """A currency sign before the number, else the first unit soon after it."""
    before = _UNITS.get(tokens[place - 1].lower()) if place else None
    if before in ("€", "£", "$"):
        return before
    after = (_UNITS.get(token.lower()) for token in tokens[place + 1 : place + 1 + _REACH])
    return next(filter(None, after), before)


def _is_name(tokens: Sequence[str], place: int) -> bool:
    """Capitalised inside the sentence, or at its start before another such word."""
    here = [token for token in tokens[place : place + 2] if token[0].isupper()]
    if not tokens[place][0].isupper() or tokens[place].split("'")[0].split("’")[0] == "I":
        return False
    return place > 0 or len(here) == 2
