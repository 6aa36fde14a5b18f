"""Cut articles into passages that can be read alone.

A passage is a paragraph: paragraphs are how the writer grouped what belongs together (RAGFlow's
lesson: chunks that a person can inspect). Very short ones join the next; long ones are cut between
sentences. A list stays with the sentence that leads to it, and is cut between items; of a table
every row is a passage.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from app.core.language import detect
from app.core.messages import Passage
from app.knowledge import alternates
from app.knowledge.alternates import Alternate, places
from app.knowledge.blocks import LINE, Block, sections

MAX_WORDS = 120
"""A longer paragraph is cut between sentences; MiniLM reads 256 tokens, about 180 words."""
MIN_WORDS = 12
"""A shorter paragraph joins the next one of its section."""
LEAD_WORDS = 30
"""Of a longer paragraph before a list or table, its last sentence alone leads to it."""

# A sentence ends at .!? before a space and something that can begin one, at a Chinese full stop,
# or at the end of a line: of a list item or table row.
_SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"'”’)]*\s+(?=[\"'“‘(]?[A-Z0-9À-Þ€£])|(?<=[。！？])[”’）]*|(?<=\S)\s*\n\s*"
)
_WORD = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")
_HAN_PER_WORD = 1.6
"""Han characters that carry as much as one English word, so that one bound serves both."""


class Asked(NamedTuple):
    """A way to ask what a section answers."""

    text: str
    sentence: int = -1
    """Which of its sentences answers; -1: the section as a whole."""


class Section(NamedTuple):
    """A passage with the heading above it."""

    passage: Passage
    heading: str = ""
    asked: tuple[Asked, ...] = ()
    """Ways to ask for it, see app.knowledge.alternates."""
    missed: tuple[str, ...] = ()
    """Questions that sound like its article, which does not answer them; at its first section."""

    @property
    def searched(self) -> str:
        """What is indexed: title and heading say what the quoted text takes for granted."""
        lead = [part for part in (self.passage.title, self.heading) if part]
        return ". ".join([*lead, self.passage.text])


def split(doc: Mapping[str, Any]) -> list[Section]:
    """Sections of one article {id, text, title?, lang?, url?}, in reading order.

    Passage ids are `<article>#<n>`. An article of headings alone gives no section. Raises
    InputError where its `questions` are not right.
    """
    lang = "zh" if str(doc.get("lang") or detect(doc["text"])).startswith("zh") else "en"
    plain = [
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
    return _with_questions(plain, alternates.of(doc)) if doc.get("questions") else plain


def _with_questions(plain: Sequence[Section], ways: Sequence[Alternate]) -> list[Section]:
    """Each way to ask at the sentences that its author named, else at every section."""
    cut = [sentences(section.passage.text) for section in plain]
    asked: list[list[Asked]] = [[] for _ in plain]
    for way in ways:
        if way.answered:
            at = [(n, place) for n, own in enumerate(cut) for place in places(way.says, own)]
            for n, place in at or [(n, -1) for n in range(len(plain))]:
                asked[n].append(Asked(way.text, place))
    missed = tuple(way.text for way in ways if not way.answered)
    return [
        section._replace(asked=tuple(own), missed=missed if n == 0 else ())
        for n, (section, own) in enumerate(zip(plain, asked, strict=True))
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
    for heading, blocks in sections(text):
        for piece in _passages(blocks):
            yield heading, piece


def _passages(blocks: Sequence[Block]) -> Iterator[str]:
    held = ""
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.kind != "text":
            *before, lead = _lead(held)
            yield from (piece for text in before for piece in _cut(text))
            yield from _listed(lead, block)
            held = ""
            continue
        held = f"{held} {block.parts[0]}".strip()
        leads = following and following.kind != "text" and held[-1] in ":："
        if word_count(held) >= MIN_WORDS and not leads:
            yield from _cut(held)
            held = ""
    if held:
        yield from _cut(held)


def _lead(held: str) -> list[str]:
    """What goes before the lead, if anything, and the lead to a list or table."""
    if word_count(held) <= LEAD_WORDS:
        return [held]
    *before, last = sentences(held)
    return [joined(before), last] if before else ["", last]


def _listed(lead: str, block: Block) -> Iterator[str]:
    """Rows one by one, items as many as fit in equal parts; the lead over each."""
    words = [word_count(part) for part in block.parts]
    bound = max(MAX_WORDS - word_count(lead), MAX_WORDS // 2)
    target = sum(words) / math.ceil(sum(words) / bound) if sum(words) else 0
    held, count = list[str](), 0
    for part, length in zip(block.parts, words, strict=True):
        if held and (block.kind == "rows" or count >= target or count + length > bound):
            yield "\n".join([lead, *held] if lead else held)
            held, count = [], 0
        if length > bound:
            yield from _cut(part)
        else:
            held.append(part)
            count += length
    if held:
        yield "\n".join([lead, *held] if lead else held)


def _cut(paragraph: str) -> Iterator[str]:
    """`paragraph` in parts of about equal length, so that no crumb is left at the end."""
    if not paragraph:
        return
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
    """Sentences in a row: items on lines of their own, Chinese ones touch, others a space apart."""
    out = pieces[0]
    for piece in pieces[1:]:
        gap = "\n" if LINE.match(piece) else "" if out[-1] in "。！？”’）" else " "
        out += gap + piece
    return out
