"""HTML: what a visitor of the page would read, by its structure.

beautifulsoup4 (pure Python, kept since 2004) over the standard library's parser: it takes any tag
soup, runs nothing and fetches nothing. Scripts, styles, comments, fields, navigation and what is
hidden or struck out are not read.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning, NavigableString, PageElement, Tag
from bs4.element import CData, PreformattedString

from app.knowledge.ingest import grid
from app.knowledge.ingest.decode import decode
from app.knowledge.ingest.document import Document, Read, Unreadable, line, named
from app.knowledge.ingest.outline import Outline
from app.knowledge.ingest.visible import HEADINGS, hidden_within, unread

MAX_DEPTH = 200
"""Elements in elements; a page has a few dozen."""
MAX_DOWN = 100_000
"""Rows that rowspan=0 stands for: all that there are."""
_BLOCKS = frozenset(
    """address article aside blockquote body center dd details div dl dt fieldset figcaption figure
    footer h1 h2 h3 h4 h5 h6 header hr html li main ol p pre section summary table tbody td tfoot th
    thead tr ul""".split()  # noqa: SIM905
)
_ENDS = {
    "li": ({"li"}, {"ul", "ol"}),
    "dt": ({"dt", "dd"}, {"dl"}),
    "dd": ({"dt", "dd"}, {"dl"}),
    "tr": ({"tr"}, {"table"}),
    "td": ({"td", "th"}, {"tr", "table"}),
    "th": ({"td", "th"}, {"tr", "table"}),
    **dict.fromkeys(_BLOCKS - {"li", "dt", "dd", "tr", "td", "th"}, ({"p"}, {"td", "th", "li"})),
}
"""What a start tag ends, HTML's optional end tags, and what it does not reach beyond."""
_NUMBER = re.compile(r"[0-9]{1,6}")
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{2,40})", re.IGNORECASE)


class _Soup(BeautifulSoup):
    """Ends what HTML lets a writer leave open, which the standard library's parser does not."""

    def handle_starttag(self, name: str, *rest: Any, **more: Any) -> Tag | None:
        """Called by the parser."""
        ended, bounds = _ENDS.get(name, (set[str](), set[str]()))
        at: Tag | None = self.currentTag if ended else None
        while at is not None and at.name not in bounds and at.name not in ended:
            at = at.parent
        if at is not None and at.name in ended:
            self.handle_endtag(at.name)
        return super().handle_starttag(name, *rest, **more)


def read(data: bytes, name: str) -> Read:
    """The article of one page: <title> or first heading, <html lang>, canonical address.

    <meta name="visibility" content="agents"> sets who may see it. Raises Unreadable.
    """
    declared = _DECLARED.search(data[:4096])
    text, notes = decode(data, declared.group(1).decode() if declared else None)
    soup = _soup(text)
    outline = Outline()
    walk(soup.body or soup, outline)
    title = line(soup.title.get_text()) if soup.title else ""
    found = Document(outline.text(), outline.first_heading or title or name)
    document, more = named(found, _fields(soup))
    return Read([document], [*notes, *more])


def text_of(markup: str) -> str:
    """The visible text of a piece of HTML, on one line."""
    return line(_inline(_soup(markup)))


def into(markup: str, outline: Outline) -> None:
    """Write a piece of HTML into `outline`."""
    walk(_soup(markup), outline)


def walk(element: Tag, outline: Outline, depth: int = 0) -> None:
    """Write what `element` holds: blocks as blocks, runs of text between them as paragraphs."""
    if depth > MAX_DEPTH:
        raise Unreadable(f"has elements nested deeper than {MAX_DEPTH}", "flatten the page")
    run = list[PageElement]()
    for child in element.children:
        if isinstance(child, Tag) and unread(child):
            continue
        if isinstance(child, Tag) and (child.name in _BLOCKS or child.find(_BLOCKS) is not None):
            outline.paragraph("".join(map(_inline, run)))
            run = []
            _block(child, outline, depth + 1)
        else:
            run.append(child)
    outline.paragraph("".join(map(_inline, run)))


def _block(element: Tag, outline: Outline, depth: int) -> None:
    if element.name in HEADINGS:
        outline.heading(_inline(element))
    elif element.name in ("ul", "ol"):
        _list(element, outline, depth)
        outline.end_list()
    elif element.name == "table" and element.find("table") is None:
        grid.write([_row(row, element) for row in element.find_all("tr")], outline)
    else:
        walk(element, outline, depth)


def _row(row: Tag, table: Tag) -> grid.Row:
    """Names of columns stand in <th> alone, or in <thead>: a <th> before <td> names its row."""
    cells = row.find_all(["th", "td"])
    names = {cell.name for cell in cells} == {"th"} or row.find_parent("thead") is not None
    spanning = [
        grid.Cell(_inline(cell), _span(cell, "colspan"), _span(cell, "rowspan") or MAX_DOWN)
        for cell in cells
    ]
    return grid.Row(spanning, names, not hidden_within(row, table))


def _span(cell: Tag, name: str) -> int:
    given = str(cell.get(name, "")).strip()
    return int(given) if _NUMBER.fullmatch(given) else 1


def _list(element: Tag, outline: Outline, depth: int) -> None:
    """Items; a list within an item gives its items after it."""
    if depth > MAX_DEPTH:
        raise Unreadable(f"has lists nested deeper than {MAX_DEPTH}", "flatten the page")
    number = 0
    for item in element.find_all("li", recursive=False):
        if unread(item):
            continue
        number += 1
        inner = [c for c in item.find_all(["ul", "ol"]) if c.find_parent("li") is item]
        outline.item(_inline(item, but=inner), number if element.name == "ol" else None)
        for nested in inner:
            if not hidden_within(nested, item):
                _list(nested, outline, depth + 1)


def _inline(element: PageElement, but: list[Tag] | None = None) -> str:
    return "".join(_pieces(element, but or []))


def _pieces(element: PageElement, but: list[Tag]) -> Iterator[str]:
    """Visible text below `element`, without recursion: pages nest as deep as they like."""
    stack: list[PageElement | str] = [element]
    while stack:
        at = stack.pop()
        if isinstance(at, str) and not isinstance(at, NavigableString):
            yield at
        elif isinstance(at, NavigableString):
            if not isinstance(at, PreformattedString) or isinstance(at, CData):
                yield str(at)
        elif isinstance(at, Tag) and not unread(at) and not any(at is tag for tag in but):
            apart = at.name in _BLOCKS or at.name == "br"
            alt = [str(at.get("alt") or "")] if at.name == "img" else []
            inside = [*([" "] if apart else []), *alt, *at.children, *([" "] if apart else [])]
            stack.extend(reversed(inside))


def _fields(soup: BeautifulSoup) -> dict[str, str]:
    """What the page says of itself, by the names of Markdown's front matter."""
    metas = {
        str(m.get("name", "")).lower(): str(m.get("content", "")) for m in soup.find_all("meta")
    }
    canonical = soup.find("link", rel="canonical")
    html = soup.find("html")
    fields = {
        "visibility": metas.get("visibility", ""),
        "url": str(canonical.get("href", "")) if isinstance(canonical, Tag) else "",
    }
    lang = str(html.get("lang", ""))[:2].lower() if isinstance(html, Tag) else ""
    return fields | ({"lang": lang} if lang in ("en", "zh") else {})


def _soup(markup: str) -> BeautifulSoup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        return _Soup(markup, "html.parser")
