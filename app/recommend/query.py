"""What a customer says they look for: words to search with, and a price bound if they named one."""

from __future__ import annotations

import re
from typing import NamedTuple

from app.core.errors import TooLarge
from app.core.fingerprints import tokens
from app.core.language import detect, normalise
from app.recommend.lexicon import take

MAX_CHARS = 300
_EMPTY = frozenset(
    tokens("""
    a an and any anything are as at be but by buy can could do find for from get give have he her
    him his hello hi i if in is it its like likes looking look love loves me my need of on or our
    please recommend she show some someone something stuff suggest take that the their them they
    thing things this to us want we what which who will with would you your
    """)
)
_EMPTY_ZH = re.compile(
    "推荐|随便|看看|有没有|有什么|什么|请问|你好|我想要|我想|想要|想买|一些|一个|一款|适合|喜欢|"
    "[我你您给送要买有点的了吗呢吧找，。？！、]"
)
_AMOUNT = r"(\d{1,5}(?:[.,]\d{1,2})?)"
_MONEY = r"(?:€|euros?\b|eur\b|欧元?)"
_BOUND = re.compile(
    rf"(?:under|below|less than|up to|at most|max(?:imum)?\.?|不超过|低于)\s*€?\s*{_AMOUNT}"
    rf"(?:\s*{_MONEY})?|{_AMOUNT}\s*{_MONEY}\s*(?:以下|以内|之内|or less|max)",
    re.IGNORECASE,
)


class Query(NamedTuple):
    """A customer's words, read."""

    asks: bool
    """Whether anything in particular is asked for; not by "show me something" or a price alone."""
    terms: dict[str, tuple[str, ...]]
    """What is searched for: the customer's word -> the English words that stand for it."""
    text: str
    """The same in English for the encoder; empty where a Chinese query holds no known word."""
    max_price: float | None


def read(text: str) -> Query:
    """A query in English or Chinese. Raises TooLarge above MAX_CHARS."""
    if len(text) > MAX_CHARS:
        raise TooLarge(
            f"the search has {len(text)} characters, at most {MAX_CHARS} are read",
            zh=f"搜索内容有 {len(text)} 个字符，最多 {MAX_CHARS} 个。",
        )
    said = normalise(text)
    known, rest = take(_BOUND.sub(" ", said))
    # Names typed in Latin letters stand for themselves, in a Chinese query too.
    words = [word for word in tokens(rest) if word.isalpha() and word not in _EMPTY]
    latin = [word for word in words if detect(word) == "en"]
    terms = {word: tuple(tokens(english)) for word, english in known.items()}
    terms |= {word: (word,) for word in latin}
    unread = detect(said) == "zh" and bool(_EMPTY_ZH.sub("", rest).strip())
    return Query(bool(terms) or unread, terms, _english(said, known, terms), _bound(said))


def stem(word: str) -> str:
    """`word` without its commonest English endings, so that "mugs" finds "mug", "bake" "baking".

    Cruder than Porter's; words that it confuses are rare among product texts.
    """
    for ending in ("ing", "ed", "es", "s", "e"):
        if len(word) >= len(ending) + 3 and word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def _english(said: str, known: dict[str, str], terms: dict[str, tuple[str, ...]]) -> str:
    """The whole sentence where it is English, since the encoder reads sentences; else the words."""
    if detect(said) == "zh" or known:
        return " ".join(known.get(word, word) for word in terms)
    return _BOUND.sub(" ", said).strip() if terms else ""


def _bound(said: str) -> float | None:
    found = _BOUND.search(said)
    amount = next(filter(None, found.groups()), None) if found else None
    return float(amount.replace(",", ".")) if amount else None
