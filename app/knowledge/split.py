"""Cut articles into passages that can be read alone.

A passage is a paragraph: paragraphs are how the writer grouped what belongs together (RAGFlow's
lesson: chunks that a person can inspect). Very short ones join the next; long ones are cut between
sentences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from app.core.language import detect
from app.core.messages import Passage

MAX_WORDS = 120
"""A longer paragraph is cut between sentences; MiniLM reads 256 tokens, about 180 words."""
MIN_WORDS = 12
"""A shorter paragraph joins the next one of its section."""

_HEADING = re.compile(r"^#{1,6}\s+(.+)$")
# A sentence ends at .!? before a space and something that can begin one, or at a Chinese full stop.
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+(?=[\"'“‘(]?[A-Z0-9À-Þ€£])|(?<=[。！？])[”’）]*")
_WORD = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")
_HAN_PER_WORD = 1.6
"""Han characters that carry as much as one English word, so that one bound serves both."""


class Section(NamedTuple):
    """A passage with the heading above it."""

    passage: Passage
    heading: str = ""

    @property
    def searched(self) -> str:
        """What is indexed: title and heading say what the quoted text takes for granted."""
        lead = [part for part in (self.passage.title, self.heading) if part]
        return ". ".join([*lead, self.passage.text])


def split(doc: Mapping[str, Any]) -> list[Section]:
    """Sections of one article {id, text, title?, lang?, url?}, in reading order.

    Passage ids are `<article>#<n>`. An article of headings alone gives no section.
    """
    lang = "zh" if str(doc.get("lang") or detect(doc["text"])).startswith("zh") else "en"
    return [
        Section(
            Passage(
                id=f"{doc['id']}#{number}",
                text=text,
                article=str(doc["id"]),
                title=str(doc.get("title") or ""),
                lang=lang,
                url=str(doc.get("url") or ""),
            ),
            heading,
        )
        for number, (heading, text) in enumerate(_pieces(doc["text"]))
    ]


def sentences(text: str) -> list[str]:
    """The sentences of `text`, none empty; "e.g. this" and "4.90" are not cut."""
    pieces, rest = list[str](), text
    while cut := first_sentence(rest):
        sentence, rest = cut
        pieces.append(sentence)
    return [piece for piece in [*pieces, rest.strip()] if piece]


def first_sentence(text: str) -> tuple[str, str] | None:
    """The first sentence and what follows it; None while another has not begun.

    The closing quote belongs to the sentence that it closes.
    """
    end = _SENTENCE_END.search(text)
    if end is None or not text[end.end() :]:
        return None
    return " ".join(text[: end.end()].split()), text[end.end() :]


def word_count(text: str) -> int:
    """Words; a Han character counts as the share of an English word that it carries."""
    words = _WORD.findall(text)
    han = sum(1 for word in words if "\u3400" <= word[0] <= "\u9fff")
    return len(words) - han + round(han / _HAN_PER_WORD)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """(heading, text) of each passage."""
    for heading, paragraphs in _sections(text):
        for merged in _merged(paragraphs):
            for piece in _cut(merged):
                yield heading, piece


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    heading, paragraphs = "", list[str]()
    for block in re.split(r"\n\s*\n", text.strip()):
        first, _, rest = block.strip().partition("\n")
        found = _HEADING.match(first)
        if found:
            yield heading, paragraphs
            heading, paragraphs = found.group(1).strip(), []
        body = " ".join((rest if found else block).split())
        if body:
            paragraphs.append(body)
    yield heading, paragraphs


def _merged(paragraphs: Iterable[str]) -> Iterator[str]:
    held = ""
    for paragraph in paragraphs:
        held = f"{held} {paragraph}".strip()
        if word_count(held) >= MIN_WORDS:
            yield held
            held = ""
    if held:
        yield held


def _cut(paragraph: str) -> Iterator[str]:
    """`paragraph` in parts of about equal length, so that no crumb is left at the end."""
    parts = math.ceil(word_count(paragraph) / MAX_WORDS)
    target = word_count(paragraph) / max(parts, 1)
    held, words = list[str](), 0
    for sentence in (piece for whole in sentences(paragraph) for piece in _bounded(whole)):
        length = word_count(sentence)
        if held and (words >= target or words + length > MAX_WORDS):
            yield joined(held)
            held, words = [], 0
        held.append(sentence)
        words += length
    yield joined(held)


def _bounded(sentence: str) -> Iterator[str]:
    """`sentence`, cut between words where it alone is longer than a passage may be."""
    starts = [word.start() for word in _WORD.finditer(sentence)][::MAX_WORDS] or [0]
    for start, end in zip(starts, [*starts[1:], len(sentence)], strict=True):
        yield sentence[start:end].strip()


def joined(pieces: list[str]) -> str:
    """Sentences in a row: Chinese ones touch, others are a space apart."""
    out = pieces[0]
    for piece in pieces[1:]:
        out += piece if out[-1] in "。！？”’）" else f" {piece}"
    return out
