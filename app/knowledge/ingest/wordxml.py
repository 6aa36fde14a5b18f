"""The words of WordprocessingML, as they read with all changes taken and what is hidden left out.

ECMA-376, part 1, section 17; names are those of the standard.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
AROUND = frozenset(f"{W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml",
                                             "smartTag", "hyperlink", "fldSimple"))  # fmt: skip
"""What stands around paragraphs, rows or runs and adds nothing."""
_UNSAID = ("vanish", "strike", "dstrike")
_APART = frozenset(f"{W}{name}" for name in ("p", "tbl", "tr", "tc"))


def text(element: Element) -> str:
    """The words of a paragraph or cell; what was deleted, struck out or is hidden is not said."""
    return "".join(_runs(element))


def within(element: Element, name: str) -> Iterator[Element]:
    """The children of this name, and those that only something of AROUND stands around."""
    for child in element:
        if child.tag == f"{W}{name}":
            yield child
        elif child.tag in AROUND:
            yield from within(child, name)


def value(element: Element | None, name: str = "val") -> str:
    """An attribute; empty where there is none, or no element."""
    return element.get(f"{W}{name}", "") if element is not None else ""


def on(element: Element | None) -> bool:
    """Whether a property that is on or off is on: it is there, and not said to be off."""
    return element is not None and value(element) not in ("0", "false", "off")


def deleted(row: Element) -> bool:
    """Whether a row is deleted, as a tracked change."""
    return row.find(f"{W}trPr/{W}del") is not None


def _runs(element: Element) -> Iterator[str]:
    for child in element:
        if child.tag == f"{W}r":
            if not any(on(child.find(f"{W}rPr/{W}{name}")) for name in _UNSAID):
                yield from (_word(piece) for piece in child)
        elif child.tag in _APART and not deleted(child):
            yield from (*_runs(child), " ")
        elif child.tag in AROUND:
            yield from _runs(child)


def _word(piece: Element) -> str:
    if piece.tag == f"{W}t":
        return piece.text or ""
    if piece.tag == f"{W}noBreakHyphen":
        return "-"
    return " " if piece.tag in (f"{W}tab", f"{W}br", f"{W}cr") else ""
