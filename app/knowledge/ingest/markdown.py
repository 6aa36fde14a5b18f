"""Markdown with YAML front matter (title, lang, visibility, url, questions, unanswered), read by
markdown-it-py.

markdown-it-py is CommonMark with tables, pure Python, of the Executable Books project; rich needs
it already. Markup is taken away, structure stays; HTML in it is read as HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from app.knowledge.ingest import webpage
from app.knowledge.ingest.decode import decode
from app.knowledge.ingest.document import Document, Read, named
from app.knowledge.ingest.front import front_matter
from app.knowledge.ingest.outline import Outline
from app.knowledge.ingest.ways import questions_of

_TIMES = re.compile(r"(?:(?<=\d)|(?<=\dm)|(?<=\d[cm]m)|(?<=\d m)|(?<=\d [cm]m))[*_]+(?=\d)")
"""Between figures, maybe with a unit of length: `30*20*10 cm` is no emphasis."""
_PARSER = MarkdownIt("commonmark", {"maxNesting": 100}).enable("table")
_INLINE_HTML = re.compile(r"[&<>]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def read(data: bytes, name: str) -> Read:
    """The article of one file; its title is the front matter's, else the first heading, else
    `name`. Raises Unreadable."""
    text, notes = decode(data)
    fields, body = front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    outline = Outline()
    write(body, outline)
    plain = {key: value for key, value in fields.items() if isinstance(value, str)}
    document, more = named(Document(outline.text(), outline.first_heading or name), plain)
    ways, faults = questions_of(fields.get("questions"), fields.get("unanswered"), outline.text())
    document = document._replace(questions=tuple(ways))
    if document.title != outline.first_heading and outline.first_heading:
        document = document._replace(text=f"## {outline.first_heading}\n\n{document.text}")
    return Read([document], [*notes, *more, *faults])


def _times(state: StateInline, silent: bool) -> bool:
    """The rule of markdown-it-py that takes _TIMES as it stands."""
    found = _TIMES.match(state.src, state.pos, state.posMax)
    if found and not silent:
        state.pending += found.group()
    state.pos = found.end() if found else state.pos
    return found is not None


_PARSER.inline.ruler.before("emphasis", "times", _times)


def write(body: str, outline: Outline) -> None:
    """Write Markdown into `outline`."""
    tokens = _PARSER.parse(body)
    _Writer(outline).write(tokens)


class _Writer:
    """Goes along the tokens; knows the item under way."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._item: list[str] | None = None
        self._number: int | None = None

    def write(self, tokens: Sequence[Token]) -> None:
        walk = iter(tokens)
        for token in walk:
            kind = token.type
            if kind == "heading_open":
                self._outline.heading(_inline(next(walk)))
            elif kind == "table_open":
                self._outline.table(_rows(walk))
            elif kind == "inline":
                self._paragraph(_inline(token))
            elif kind in ("fence", "code_block"):
                self._paragraph(token.content)
            elif kind == "html_block":
                self._end_item()
                webpage.into(token.content, self._outline)
            else:
                self._list(token)

    def _paragraph(self, text: str) -> None:
        if self._item is None:
            self._outline.paragraph(text)
        else:
            self._item.append(text)

    def _list(self, token: Token) -> None:
        if token.type == "list_item_open":
            self._end_item()
            self._item, self._number = [], int(token.info) if token.info.isdigit() else None
        elif token.type.endswith("list_open") or token.type == "list_item_close":
            self._end_item()
        elif token.type.endswith("list_close") and not token.level:
            self._outline.end_list()

    def _end_item(self) -> None:
        if self._item:
            self._outline.item(" ".join(self._item), self._number)
        self._item = None


def _rows(walk: Iterator[Token]) -> list[list[str]]:
    rows = list[list[str]]()
    for token in walk:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token))
    return rows


def _inline(token: Token) -> str:
    """The words of a line of Markdown, without markup."""
    children = token.children or []
    tagged = any(child.type == "html_inline" for child in children)
    words = "".join(_word(child, tagged) for child in children)
    return webpage.text_of(words) if tagged else words


def _word(token: Token, escaped: bool) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return " "
    if token.type == "html_inline":
        return token.content
    shown = token.content if token.type in ("text", "code_inline", "image") else ""
    return _INLINE_HTML.sub(lambda found: _ESCAPES[found.group()], shown) if escaped else shown
