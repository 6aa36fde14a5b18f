"""PDF: text by page, its paragraphs and headings by the place and size of its lines.

pypdf (pure Python, kept since 2005) bounds what one stream may unpack to and runs nothing that lies
in a file. A table comes out as lines; a scanned page holds no text, which is said.
"""

from __future__ import annotations

import io
import logging
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from pypdf import PageObject, PdfReader

from app.knowledge.blocks import ITEM
from app.knowledge.ingest.document import Document, Note, Read, Unreadable, line
from app.knowledge.ingest.outline import Outline

MAX_PAGES = 500
_HEADING_SIZE = 1.15
"""A line this much larger than the text is a heading."""
_HEADING_CHARS, _BOLD_CHARS = 120, 80
_GAP = 1.35
"""A line this much further below than usual begins a paragraph."""
_REPEATED = 3
"""Pages that begin or end with the same line: a running title, a page number."""
_HAN = r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]"
_HAN_GAP = re.compile(rf"(?<={_HAN}) (?={_HAN})")

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells the log what we tell the reader


class _Line(NamedTuple):
    text: str
    y: float
    size: float
    bold: bool


class _Body(NamedTuple):
    """What most of the text looks like."""

    size: float
    bold: bool


def read(data: bytes, name: str) -> Read:
    """The article of one file: its first heading or `name` is the title. Raises Unreadable."""
    try:
        return _read(PdfReader(io.BytesIO(data)), name)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # a broken PDF breaks a parser in a hundred ways
        kind = type(error).__name__
        raise Unreadable(f"is no PDF that can be parsed ({kind})", "export it again") from error


def _read(reader: PdfReader, name: str) -> Read:
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable("is encrypted", "save it without a password")
    count = len(reader.pages)
    if count > MAX_PAGES:
        raise Unreadable(f"has {count:,} pages; at most {MAX_PAGES} are read", "split it")
    pages = [list(_lines(page)) for page in reader.pages]
    empty = [number for number, lines in enumerate(pages, 1) if not lines]
    if len(empty) == count:
        raise Unreadable("holds no text: its pages are pictures", "run text recognition (OCR)")
    outline = Outline()
    _write(_without_running(pages), outline)
    notes = [_empty(empty)] if empty else []
    return Read([Document(outline.text(), outline.first_heading or name)], notes)


def _empty(pages: Sequence[int]) -> Note:
    shown = ", ".join(map(str, pages[:10])) + (", ..." if len(pages) > 10 else "")
    return Note(f"no text on page {shown}", "run text recognition (OCR) if they are scanned")


def _lines(page: PageObject) -> Iterator[_Line]:
    """Lines in reading order, each with its height on the page and the size of its letters."""
    found: list[list[Any]] = [[]]

    def visit(text: str, cm: Sequence[float], tm: Sequence[float], font: Any, size: float) -> None:
        y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        scale = math.hypot(tm[2], tm[3]) * math.hypot(cm[2], cm[3])
        bold = "bold" in str((font or {}).get("/BaseFont", "")).lower()
        for number, piece in enumerate(text.split("\n")):
            if number:
                found.append([])
            if piece.strip():
                found[-1].append(_Line(piece, y, size * scale, bold))

    page.extract_text(visitor_text=visit)
    for pieces in found:
        text = line("".join(piece.text for piece in pieces))
        if text:
            size = max(piece.size for piece in pieces)
            yield _Line(text, pieces[0].y, size, all(piece.bold for piece in pieces))


def _without_running(pages: list[list[_Line]]) -> list[list[_Line]]:
    """Without what stands at the top or foot of page after page."""
    edges = Counter(edge for lines in pages for edge in {_edge(lines, 0), _edge(lines, -1)})
    running = {edge for edge, n in edges.items() if edge and n >= max(_REPEATED, len(pages) / 2)}
    for lines in pages:
        while _edge(lines, 0) in running:
            lines.pop(0)
        while _edge(lines, -1) in running:
            lines.pop()
    return pages


def _edge(lines: Sequence[_Line], at: int) -> str:
    """The first or last line, whatever its numbers."""
    return re.sub(r"\d+", "0", lines[at].text) if lines else ""


def _write(pages: Sequence[Sequence[_Line]], outline: Outline) -> None:
    lines = [found for page in pages for found in page]
    body = _body(lines)
    gaps = sorted(a.y - b.y for page in pages for a, b in pairwise(page) if a.y > b.y)
    usual = gaps[len(gaps) // 4] if gaps else 0.0  # between lines; the larger are of paragraphs
    held = list[_Line]()
    for found in [*lines, None]:
        if found is None or (held and _begins(held[-1], found, body, usual)):
            _end(held, body, outline)
            held = []
        if found is not None:
            held.append(found)


def _body(lines: Sequence[_Line]) -> _Body:
    """The size that most letters have, and whether most are bold."""
    sizes, bold = Counter[float](), 0
    for found in lines:
        sizes[round(found.size, 1)] += len(found.text)
        bold += len(found.text) * found.bold
    size = sizes.most_common(1)[0][0] if sizes else 0.0
    return _Body(size, bold > sizes.total() / 2)


def _begins(before: _Line, found: _Line, body: _Body, usual: float) -> bool:
    """Whether `found` begins a paragraph, heading or item of its own."""
    if _heads(before, body) != _heads(found, body) or ITEM.match(found.text):
        return True
    if _heads(found, body) and round(before.size) != round(found.size):
        return True
    if found.y > before.y:  # the next page or column: a sentence goes on, a paragraph does not
        return before.text[-1] in ".!?。！？:："
    return before.y - found.y > _GAP * usual


def _heads(found: _Line, body: _Body) -> bool:
    """Large, or bold and short and no sentence."""
    if len(found.text) > _HEADING_CHARS:
        return False
    large = found.size > _HEADING_SIZE * body.size
    named = found.bold and found.text[-1] not in ".,;。，；：:" and len(found.text) < _BOLD_CHARS
    return large or (named and not body.bold)


def _end(held: Sequence[_Line], body: _Body, outline: Outline) -> None:
    if not held:
        return
    text = held[0].text
    for found in held[1:]:
        hyphened = text.endswith("-") and text[-2:-1].isalpha() and found.text[0].islower()
        text = text[:-1] + found.text if hyphened else f"{text} {found.text}"
    text = _HAN_GAP.sub("", text)
    if _heads(held[0], body):
        outline.heading(text)
    elif ITEM.match(text):
        number = re.match(r"\d+", text)
        outline.item(ITEM.sub("", text, count=1), int(number.group()) if number else None)
    else:
        outline.paragraph(text)
