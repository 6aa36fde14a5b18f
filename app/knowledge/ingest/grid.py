"""Tables whose cells span rows and columns: no cell comes to stand under a wrong name."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest
from typing import NamedTuple

from app.knowledge.ingest.document import MAX_CHARS, Unreadable, line
from app.knowledge.ingest.outline import Outline

MAX_ACROSS = 100
"""Columns that one cell is let stand in."""


class Cell(NamedTuple):
    """A cell as its file has it."""

    text: str | None
    """None: it goes on with the cell above."""
    across: int = 1
    """Columns that it stands in."""
    down: int = 1
    """Rows that it stands in."""


class Row(NamedTuple):
    """A row as its file has it."""

    cells: Sequence[Cell]
    names: bool = False
    """Whether its cells name the columns of the rows below."""
    shown: bool = True
    """A row that is not read may yet reach into others."""


_Held = dict[int, tuple[str, int]]
"""By column, what reaches into it from above, and the row at which that ends."""


def write(rows: Sequence[Row], outline: Outline) -> None:
    """Write a table into `outline`: a cell is repeated in all rows and columns that it spans.

    A cell over all columns stands under no name: above the table it is a paragraph, in it it comes
    behind the last column. Names that nothing stands below are a row like others.
    """
    laid = [(row, words) for row, words in zip(rows, _spread(rows), strict=True) if row.shown]
    laid = [(row, words) for row, words in laid if any(words)]
    width = max((len(words) for row, words in laid if len(row.cells) > 1), default=1)
    while laid and _whole(*laid[0], width):
        outline.paragraph(laid.pop(0)[1][0])
    body = [
        (False, [*[""] * width, words[0]]) if _whole(row, words, width) else (row.names, words)
        for row, words in laid
    ]
    _tables(body, outline)


def _whole(row: Row, words: Sequence[str], width: int) -> bool:
    """Whether it is one cell over all columns; a lone name in a wide table is meant so."""
    if len(row.cells) != 1 or width == 1:
        return False
    return row.cells[0].across >= width or (row.names and len(words) == 1)


def _tables(body: Sequence[tuple[bool, list[str]]], outline: Outline) -> None:
    """New names begin a new table."""
    groups = [
        (naming, [words for _, words in rows]) for naming, rows in groupby(body, lambda row: row[0])
    ]
    names = list[str]()
    for at, (naming, rows) in enumerate(groups, 1):
        if naming and at < len(groups):
            names = [" ".join(dict.fromkeys(filter(None, c))) for c in zip_longest(*rows)]
        else:
            outline.table([[] if naming else names, *rows])


def _spread(rows: Sequence[Row]) -> Iterator[list[str]]:
    """The words of every row, a cell for every column."""
    words, chars = list[str](), 0
    held = _Held()
    for at, row in enumerate(rows):
        held = {column: (text, end) for column, (text, end) in held.items() if end > at}
        words = _filled(row.cells, at, words, held)
        chars += sum(map(len, words)) + len(words)
        if chars > MAX_CHARS:
            raise Unreadable(f"holds a table of more than {MAX_CHARS:,} characters", "split it")
        yield words


def _filled(cells: Sequence[Cell], at: int, above: list[str], held: _Held) -> list[str]:
    """The words of row `at`, around the cells that reach down into it; its own join `held`."""
    words, coming, reach = list[str](), deque(cells), max(held, default=-1)
    while coming or len(words) <= reach:
        column = len(words)
        if column in held or not coming:
            words.append(held[column][0] if column in held else "")
            continue
        cell = coming.popleft()
        text = "".join(above[column : column + 1]) if cell.text is None else line(cell.text)
        words += [text] * min(max(cell.across, 1), MAX_ACROSS)
        if cell.down > 1:
            held |= dict.fromkeys(range(column, len(words)), (text, at + cell.down))
    return words
