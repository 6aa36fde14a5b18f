"""DOCX: paragraphs, headings by style, lists, tables; as the document reads with all changes taken.

The standard library unzips and defusedxml parses: three parts of known size are read of a zip
whose pictures and nested archives nobody unpacks (python-docx would load every part). Deleted and
hidden text, comments, notes, text boxes, headers and footers are not read.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from app.knowledge.ingest.document import Document, Read, Unreadable, line
from app.knowledge.ingest.outline import Outline

MAX_PART = 20_000_000
"""Bytes of one part, unpacked."""
MAX_TOTAL = 300_000_000
"""Bytes that the whole zip says it unpacks to."""
MAX_PARTS = 5_000
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
)  # fmt: skip
"""What zipfile raises over bytes that are no whole zip."""
_OLE = b"\xd0\xcf\x11\xe0"
_AROUND = frozenset(f"{_W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml",
                                               "smartTag", "hyperlink", "fldSimple"))  # fmt: skip
"""What stands around paragraphs or runs and adds nothing."""


def read(data: bytes, name: str) -> Read:
    """The article of one file; its title is the first title or heading, else `name`.

    Raises Unreadable.
    """
    if data.startswith(_OLE):
        raise Unreadable("is encrypted, or of Word before 2007", "save it as .docx, no password")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            return _read(package, name)
    except _BROKEN as error:
        raise Unreadable(f"is no whole DOCX ({error})", "save it again") from error
    except (ParseError, DefusedXmlException, RecursionError, ValueError, LookupError) as error:
        kind = type(error).__name__
        raise Unreadable(f"holds XML that cannot be parsed ({kind})", "save it again") from error


def _read(package: zipfile.ZipFile, name: str) -> Read:
    parts = package.infolist()
    total = sum(part.file_size for part in parts)
    if len(parts) > MAX_PARTS or total > MAX_TOTAL:
        raise Unreadable(
            f"unpacks to {total / 1e6:,.0f} MB in {len(parts):,} parts; at most "
            f"{MAX_TOTAL / 1e6:,.0f} MB in {MAX_PARTS:,} are let in", "take its pictures out",
        )  # fmt: skip
    document = _part(package, "word/document.xml")
    if document is None:
        raise Unreadable("is a zip without word/document.xml: no DOCX", "save it as .docx")
    styles, numbering = _part(package, "word/styles.xml"), _part(package, "word/numbering.xml")
    writer = _Writer(_style_names(styles), _numbered(numbering))
    body = document.find(f"{_W}body")
    writer.blocks(document if body is None else body)
    outline = writer.outline
    return Read([Document(outline.text(), outline.first_heading or name)])


def _part(package: zipfile.ZipFile, name: str) -> Element | None:
    if name not in package.namelist():
        return None
    with package.open(name) as stream:
        data = stream.read(MAX_PART + 1)
    if len(data) > MAX_PART:
        raise Unreadable(f"unpacks {name} to over {MAX_PART / 1e6:,.0f} MB", "split it")
    root: Element = fromstring(data, forbid_dtd=True)
    return root


def _style_names(styles: Element | None) -> dict[str, str]:
    """Names by id: ids are in the language of who wrote it, names of built-in styles in English."""
    found = styles.iter(f"{_W}style") if styles is not None else ()
    return {_value(s, "styleId"): _value(s.find(f"{_W}name")).lower() for s in found}


def _numbered(numbering: Element | None) -> set[str]:
    """Ids of the lists that are counted rather than dotted."""
    if numbering is None:
        return set()
    kinds = {
        _value(kind, "abstractNumId"): _value(kind.find(f"{_W}lvl/{_W}numFmt"))
        for kind in numbering.iter(f"{_W}abstractNum")
    }
    return {
        _value(num, "numId")
        for num in numbering.iter(f"{_W}num")
        if kinds.get(_value(num.find(f"{_W}abstractNumId"))) not in ("bullet", "none", "", None)
    }


class _Writer:
    """Goes along the body and writes an outline."""

    def __init__(self, styles: dict[str, str], numbered: set[str]) -> None:
        self.outline = Outline()
        self._styles, self._numbered = styles, numbered
        self._number = 0

    def blocks(self, element: Element) -> None:
        for child in element:
            if child.tag == f"{_W}p":
                self._paragraph(child)
            elif child.tag == f"{_W}tbl":
                self._number = 0
                self.outline.table([
                    [_text(cell) for cell in row.iter(f"{_W}tc")] for row in child.iter(f"{_W}tr")
                ])  # fmt: skip
            elif child.tag in _AROUND:
                self.blocks(child)

    def _paragraph(self, paragraph: Element) -> None:
        text = line(_text(paragraph))
        if not text:
            return
        style = self._styles.get(_value(paragraph.find(f"{_W}pPr/{_W}pStyle")), "")
        listed = _value(paragraph.find(f"{_W}pPr/{_W}numPr/{_W}numId"))
        outlined = paragraph.find(f"{_W}pPr/{_W}outlineLvl") is not None
        if style.startswith(("heading", "title")) or outlined:
            self._number = 0
            self.outline.heading(text)
        elif style.startswith("list") or listed not in ("", "0"):
            counted = listed in self._numbered or style.startswith("list number")
            self._number = self._number + 1 if counted else 0
            self.outline.item(text, self._number or None)
        else:
            self._number = 0
            self.outline.paragraph(text)


def _text(element: Element) -> str:
    return "".join(_runs(element))


def _runs(element: Element) -> Iterator[str]:
    """The words of a paragraph or cell; what was deleted or is hidden is not said."""
    for child in element:
        if child.tag == f"{_W}r":
            if child.find(f"{_W}rPr/{_W}vanish") is None:
                yield from (_word(piece) for piece in child)
        elif child.tag == f"{_W}p":
            yield from (*_runs(child), " ")
        elif child.tag in _AROUND:
            yield from _runs(child)


def _word(piece: Element) -> str:
    if piece.tag == f"{_W}t":
        return piece.text or ""
    if piece.tag == f"{_W}noBreakHyphen":
        return "-"
    return " " if piece.tag in (f"{_W}tab", f"{_W}br", f"{_W}cr") else ""


def _value(element: Element | None, name: str = "val") -> str:
    return element.get(f"{_W}{name}", "") if element is not None else ""
