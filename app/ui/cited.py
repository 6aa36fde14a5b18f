"""Which article a line of an answer rests on, as numbered buttons that open the passage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.knowledge.split import sentences
from app.ui.i18n import text

Citations = Sequence[Mapping[str, Any]]
_WRITTEN = re.compile(r"\[(\d{1,2})\]")
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+")
_SHARED = 0.6
"""Share of a line's words that a passage must have to be the source of what a model phrased."""


def lines(words: str, citations: Citations, language: str) -> list[str]:
    """An answer's lines as markup; of several that rest on the same, the last one is marked."""
    texts = words.split("\n")
    found = [None if not t.strip() else sources_of(t, citations) for t in texts]
    marked = []
    for number, text_ in enumerate(texts):
        after = next((f for f in found[number + 1 :] if f is not None), None)
        numbers = found[number] if found[number] != after else []
        marked.append(line(text_, citations, language, numbers or []))
    return marked


def line(words: str, citations: Citations, language: str, numbers: Sequence[int]) -> str:
    """One line with its sources: where the model wrote [1] there, else `numbers` at its end."""
    written = [int(n) for n in _WRITTEN.findall(words) if 1 <= int(n) <= len(citations)]
    if not written:
        return escape(words) + "".join(mark(n, citations, language) for n in numbers)

    def marked(found: re.Match[str]) -> str:
        number = int(found[1])
        known = 1 <= number <= len(citations)
        return mark(number, citations, language) if known else found[0]

    return _WRITTEN.sub(marked, escape(words))


def mark(number: int, citations: Citations, language: str) -> str:
    """A button with the number; page.js opens the passage of the same answer."""
    title = text(language, "chat.open_source", n=number, title=citations[number - 1]["title"])
    return (
        f'<button type="button" class="cite" name="cite" value="{number}" '
        f'title="{escape(title)}">{number}</button>'
    )


def sources_of(words: str, citations: Citations) -> list[int]:
    """Numbers of the passages that hold a sentence of `words`, else of the one nearest to it."""
    passages = [_flat(str(c["passage"])) for c in citations]
    said = [_flat(sentence) for sentence in sentences(words)]
    held = [n for n, p in enumerate(passages, 1) if any(s in p for s in said)]
    return held or _nearest(words, passages)


def _nearest(words: str, passages: Sequence[str]) -> list[int]:
    said = set(_WORD.findall(words.casefold()))
    if not said:
        return []
    shares = [len(said & set(_WORD.findall(p.casefold()))) / len(said) for p in passages]
    best = max(shares, default=0.0)
    return [shares.index(best) + 1] if best >= _SHARED else []


def _flat(words: str) -> str:
    return " ".join(words.split())
