"""unsupported_rate: of the answers given, the share that state what their sources lack.

A statement is a number (with its decimals, and letters that touch it: 19th, 1850s), a month or
weekday, or a capitalised word inside a sentence; a source is the text and title of a cited article,
and the user's own words. Written apart from the product's own grounding, which it is to check.
unsupported_numbers, _dates and _names are the shares by what is stated: one answer may be in all
three. Lower is better. Edge cases: a declined question is no answer; an answer without numbers or
names is supported; without any answer: 0.0. It does not see a wrong relation between right names,
nor lower-case claims.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval.metrics.base import Metric, columns, ratio
from eval.metrics.facts import plain, states

_NUMBER = re.compile(r"[0-9]+(?:[.,:][0-9]+)*[a-zà-ÿ]*")
_DIGITS = re.compile(r"[0-9.,:]*[0-9]")
_NAME = re.compile(r"(?<=[a-z0-9,;:)'’\"] )[A-Z][A-Za-zÀ-ÿ]+")
_DATE = re.compile(
    r"\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august"
    r"|september|october|november|december)s?\b",
    re.IGNORECASE,
)
KINDS = ("numbers", "dates", "names")


def statements(answer: str) -> dict[str, list[str]]:
    """What `answer` states, by KINDS, in order, each once; a month is a date and no name."""
    dates = _DATE.findall(answer)
    names = [name for name in _NAME.findall(answer) if name not in dates]
    found = (_NUMBER.findall(plain(answer)), dates, names)
    return {k: list(dict.fromkeys(said)) for k, said in zip(KINDS, found, strict=True)}


def unsupported(answer: str, sources: Sequence[str]) -> dict[str, list[str]]:
    """The statements of `answer` that no source has, by KINDS."""
    known = "\n".join(sources)
    return {
        kind: [one for one in said if not any(states(known, form) for form in _forms(one))]
        for kind, said in statements(answer).items()
    }


def _forms(statement: str) -> list[str]:
    """As it was said and, of "30cm", the number alone: "30 cm" says the same."""
    digits = _DIGITS.match(statement)
    return [statement, digits.group()] if digits else [statement]


def scores(answer: str, sources: Sequence[str]) -> dict[str, float]:
    """1.0 where `answer` states something unsupported, at all and by kind, else 0.0."""
    lacking = unsupported(answer, sources)
    by_kind = {f"unsupported_{kind}": float(bool(said)) for kind, said in lacking.items()}
    return {"unsupported": max(by_kind.values()), **by_kind}


def _metric(name: str, score: str) -> Metric:
    return Metric(name, __name__, columns(score, "answered"), ratio, higher_is_better=False)


METRIC = _metric("unsupported_rate", "unsupported")
BY_KIND = tuple(_metric(f"unsupported_{kind}", f"unsupported_{kind}") for kind in KINDS)
