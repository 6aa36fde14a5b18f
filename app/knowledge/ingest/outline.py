"""Writes the small Markdown of app.knowledge.blocks, whatever the format it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.knowledge.ingest.document import MAX_CHARS, Unreadable, line

_HASH = re.compile(r"^#{1,6}\s+")


class Outline:
    """Headings, paragraphs, items and tables in reading order; empty ones are left out."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._items = False
        self._chars = 0
        self.first_heading = ""
        """The heading that the text begins with; it is a title rather than a part of the text."""

    def heading(self, text: str) -> None:
        """Begins a section. One before all text is kept as `first_heading`, if it is the first."""
        told = line(text)
        if told and not self._blocks and not self.first_heading:
            self.first_heading = told
        elif told:
            self._add(f"## {told}")

    def paragraph(self, text: str) -> None:
        """A paragraph; a hash sign at its beginning makes no heading of it."""
        told = _HASH.sub("", line(text))
        if told:
            self._add(told)

    def item(self, text: str, number: int | None = None) -> None:
        """An item of the list under way, else of a new one."""
        told = re.sub(r"^[-*•]\s+", "", line(text))
        if told:
            self._add(f"{'-' if number is None else f'{number}.'} {told}", item=True)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows of cells, the first with the names of the columns; it may be empty."""
        cells = [[line(cell).replace("|", "\\|") for cell in row] for row in rows]
        told = [row for row in cells if any(row)]
        if len(told) == 1:
            self.paragraph(" ".join(told[0]))
        elif told:
            width = max(map(len, cells))
            names = [*cells[0], *[""] * (width - len(cells[0]))]
            body = [row for row in cells[1:] if any(row)]
            header, *below = (f"| {' | '.join(row)} |" for row in (names, *body))
            rule = "|" + " --- |" * width
            self._add("\n".join([header, rule, *below]))

    def end_list(self) -> None:
        """The next item begins a list of its own."""
        self._items = False

    def text(self) -> str:
        """What was written so far."""
        return "\n\n".join(self._blocks)

    def _add(self, block: str, *, item: bool = False) -> None:
        self._chars += len(block)
        if self._chars > MAX_CHARS:
            raise Unreadable(f"holds more than {MAX_CHARS:,} characters of text", "split it")
        if item and self._items:
            self._blocks[-1] += f"\n{block}"
        else:
            self._blocks.append(block)
        self._items = item
