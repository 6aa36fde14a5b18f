"""DOCX: paragraphs, headings by style, lists, tables; as the document reads with all changes taken.

The standard library unzips and defusedxml parses: three parts of known size are read of a zip
whose pictures and nested archives nobody unpacks (python-docx would load every part). Deleted,
struck and hidden text, comments, notes, text boxes, headers and footers are not read.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from app.knowledge.ingest import grid
from app.knowledge.ingest.document import Document, Read, Unreadable, line
from app.knowledge.ingest.outline import Outline
from app.knowledge.ingest.wordtable import rows_of
from app.knowledge.ingest.wordxml import AROUND, W, text, value

MAX_PART = 20_000_000
"""Bytes of one part, unpacked."""
MAX_TOTAL = 300_000_000
"""Bytes that the whole zip says it unpacks to."""
MAX_PARTS = 5_000
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError,
)  # fmt: skip
"""What zipfile raises over bytes that are no whole zip."""
_OLE = b"\xd0\xcf\x11\xe0"


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
    body = document.find(f"{W}body")
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
    found = styles.iter(f"{W}style") if styles is not None else ()
    return {value(s, "styleId"): value(s.find(f"{W}name")).lower() for s in found}


def _numbered(numbering: Element | None) -> set[str]:
    """Ids of the lists that are counted rather than dotted."""
    if numbering is None:
        return set()
    kinds = {
        value(kind, "abstractNumId"): value(kind.find(f"{W}lvl/{W}numFmt"))
        for kind in numbering.iter(f"{W}abstractNum")
    }
    return {
        value(num, "numId")
        for num in numbering.iter(f"{W}num")
        if kinds.get(value(num.find(f"{W}abstractNumId"))) not in ("bullet", "none", "", None)
    }


class _Writer:
    """Goes along the body and writes an outline."""

    def __init__(self, styles: dict[str, str], numbered: set[str]) -> None:
        self.outline = Outline()
        self._styles, self._numbered = styles, numbered
        self._number = 0

    def blocks(self, element: Element) -> None:
        for child in element:
            if child.tag == f"{W}p":
                self._paragraph(child)
            elif child.tag == f"{W}tbl":
                self._number = 0
                grid.write(rows_of(child, self._styles), self.outline)
            elif child.tag in AROUND:
                self.blocks(child)

    def _paragraph(self, paragraph: Element) -> None:
        told = line(text(paragraph))
        if not told:
            return
        style = self._styles.get(value(paragraph.find(f"{W}pPr/{W}pStyle")), "")
        listed = value(paragraph.find(f"{W}pPr/{W}numPr/{W}numId"))
        outlined = paragraph.find(f"{W}pPr/{W}outlineLvl") is not None
        if style.startswith(("heading", "title")) or outlined:
            self._number = 0
            self.outline.heading(told)
        elif style.startswith("list") or listed not in ("", "0"):
            counted = listed in self._numbered or style.startswith("list number")
            self._number = self._number + 1 if counted else 0
            self.outline.item(told, self._number or None)
        else:
            self._number = 0
            self.outline.paragraph(told)
