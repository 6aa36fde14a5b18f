"""unsupported_rate: of the answers given, the share that state what their sources lack.

A statement is a number (with its decimals), a month or weekday, or a capitalised word inside a
sentence; a source is the text and title of a cited article, and the user's own words. Written
apart from the product's own grounding, which it is to check. Lower is better. Edge cases: a
declined question is no answer; an answer without numbers or names is supported; without any
answer: 0.0. It does not see a wrong relation between right names, nor lower-case claims.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval.metrics.base import Metric, columns, ratio
from eval.metrics.facts import plain, states

_NUMBER = re.compile(r"[0-9]+(?:[.,:][0-9]+)*")
_NAME = re.compile(r"(?<=[a-z0-9,;:)'’\"] )[A-Z][A-Za-zÀ-ÿ]+")
_DAY = re.compile(
    r"\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august"
    r"|september|october|november|december)s?\b",
    re.IGNORECASE,
)


def statements(answer: str) -> list[str]:
    """Numbers, days and names in `answer`, in order, each once."""
    numbers = _NUMBER.findall(plain(answer))
    return list(dict.fromkeys([*numbers, *_DAY.findall(answer), *_NAME.findall(answer)]))


def unsupported(answer: str, sources: Sequence[str]) -> list[str]:
    """The statements of `answer` that no source has."""
    known = "\n".join(sources)
    return [said for said in statements(answer) if not states(known, said)]


METRIC = Metric(
    "unsupported_rate", __name__, columns("unsupported", "answered"), ratio, higher_is_better=False
)
