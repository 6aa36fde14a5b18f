"""Tables of a DOCX: their rows and cells, and whether the first row names the columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from xml.etree.ElementTree import Element

from app.knowledge.ingest.document import line
from app.knowledge.ingest.grid import Cell, Row
from app.knowledge.ingest.wordxml import W, deleted, on, text, value, within

MAX_NAME = 30
"""Characters of the name of a column, where its row is known by its words alone."""
_DIGIT = re.compile(r"\d")
_DAY = re.compile(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|周|星期|礼拜", re.IGNORECASE)


def rows_of(table: Element, styles: Mapping[str, str]) -> list[Row]:
    """The rows, with those that are deleted as a tracked change not shown.

    styles: names of styles by id. A row names the columns where the author repeats it on every
    page; the first one also where it stands out, or has words above figures. In doubt the first
    row is a row like others.
    """
    found = list(within(table, "tr"))
    shown = [row for row in found if not deleted(row)]
    names = set(takewhile(lambda row: on(row.find(f"{W}trPr/{W}tblHeader")), shown))
    if not names and (_stands_out(shown, styles) or _words_above_figures(shown)):
        names = set(shown[:1])
    return [Row(_cells(row), row in names, not deleted(row)) for row in found]


def _cells(row: Element) -> list[Cell]:
    before = _number(row.find(f"{W}trPr/{W}gridBefore"), 0)
    cells = [Cell("", before)] if before else []
    for cell in within(row, "tc"):
        merge = cell.find(f"{W}tcPr/{W}vMerge")
        goes_on = merge is not None and value(merge) != "restart"
        across = _number(cell.find(f"{W}tcPr/{W}gridSpan"), 1)
        cells.append(Cell(None if goes_on else text(cell), across))
    return cells


def _number(element: Element | None, default: int) -> int:
    given = value(element)
    return int(given) if re.fullmatch(r"[0-9]{1,6}", given) else default


def _stands_out(rows: Sequence[Element], styles: Mapping[str, str]) -> bool:
    """Whether the first row is bold, or of a style for headings, and not all rows are."""
    return bool(rows) and _heads(rows[0], styles) and not all(_heads(row, styles) for row in rows)


def _heads(row: Element, styles: Mapping[str, str]) -> bool:
    told = [paragraph for paragraph in row.iter(f"{W}p") if text(paragraph).strip()]
    return bool(told) and all(
        "head" in styles.get(value(paragraph.find(f"{W}pPr/{W}pStyle")), "") or _bold(paragraph)
        for paragraph in told
    )


def _bold(paragraph: Element) -> bool:
    runs = [run for run in paragraph.iter(f"{W}r") if run.findtext(f"{W}t")]
    return all(on(run.find(f"{W}rPr/{W}b")) for run in runs)


def _words_above_figures(rows: Sequence[Element]) -> bool:
    """Whether the first row has short cells without figures, and every row below has figures.

    Not where it begins with a day of the week: a table of hours may begin with "Sunday, closed".
    """
    first, *below = [[line(text(cell)) for cell in within(row, "tc")] for row in rows] or [[]]
    return (
        bool(below)
        and not _DAY.match("".join(first[:1]))
        and not any(_DIGIT.search(cell) or len(cell) > MAX_NAME for cell in first)
        and all(_DIGIT.search(" ".join(cells)) for cells in below)
    )
