"""Which country an address names: the names of the world's countries in many languages.

The names are those that `phonenumbers` ships, with the everyday ones that it lacks.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_EVERYDAY = {
    "GB": ("uk", "u.k.", "great britain", "britain", "england", "scotland", "wales",
           "northern ireland"),
    "NL": ("the netherlands", "holland"),
    "CN": ("mainland china", "pr china", "p.r. china", "people's republic of china",
           "中国大陆", "中华人民共和国"),
    "US": ("usa", "u.s.a.", "u.s.", "us", "united states of america", "美国"),
    "CZ": ("czechia",),
    "KR": ("south korea", "korea"),
    "TW": ("taiwan", "台湾"),
    "HK": ("hong kong", "香港"),
    "AE": ("uae",),
}  # fmt: skip
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def country_of(address: str) -> str | None:
    """ISO 3166 code (two letters) of the country that an address ends with; None where it has none.

    Chinese and Japanese addresses may also begin with it. A country in the middle, such as the
    street of that name, does not count; of two that fit the longer name wins.
    """
    text = _plain(address)
    best = ""
    for name in _names():
        if len(name) <= len(best) or name not in text:
            continue
        at_start = bool(_CJK.search(name)) and text.startswith(name)
        if at_start or _ends_with(text, name):
            best = name
    return _names()[best] if best else None


def country_name(code: str) -> str:
    """The English name of a country by its code, or the code itself where it is not known."""
    from phonenumbers.geodata.locale import LOCALE_DATA

    names = LOCALE_DATA.get(code, {})
    name = names.get("en", code)
    return str(names[name[1:]] if name.startswith("*") else name)  # "*aa": as in that language


def _ends_with(text: str, name: str) -> bool:
    before = text[: -len(name)]
    whole = not before or bool(_CJK.search(name)) or not before[-1].isalnum()
    return text.endswith(name) and whole


@cache
def _names() -> dict[str, str]:
    """Name as `_plain` writes it -> code."""
    from phonenumbers.geodata.locale import LOCALE_DATA

    found = {
        _plain(name): code
        for code, names in LOCALE_DATA.items()
        for name in names.values()
        if name and not name.startswith("*")
    }
    found.update({_plain(name): code for code, names in _EVERYDAY.items() for name in names})
    return {name: code for name, code in found.items() if len(name) > 1}


def _plain(text: str) -> str:
    """Without case, without differences of width, one space between words, no stop at the end."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .,;。，")
