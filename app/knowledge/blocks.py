"""The structure of an article's text, a small Markdown: what split.py cuts along.

## Heading              stands over all blocks until the next
A paragraph.            its lines are joined
- item                  also *, • and 1. ; other lines go on with the item before them
| Country | Costs |     a table, as in GitHub's Markdown: the first line names the columns
| --- | --- |
| Norway | €9.50 |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

_HEADING = re.compile(r"^#{1,6}\s+(.+)$")
ITEM = re.compile(r"(?:[-*•]|\d{1,3}[.)])\s+(?=\S)")
"""The beginning of a list item in an article."""
LINE = re.compile(r"(?:-|\d{1,3}\.) ")
"""The beginning of an item or row in a passage, where it stands on a line of its own."""
_RULE = re.compile(r"\|(?:\s*:?-{3,}:?\s*\|)+")
_FIRST = ("1.", "1)")
_CELLS = re.compile(r"(?<!\\)\|")
_HAN = re.compile(r"[\u3400-\u9fff]")


class Block(NamedTuple):
    """A paragraph (one part), the items of a list, or the rows of a table as items."""

    kind: Literal["text", "list", "rows"]
    parts: list[str]


def sections(text: str) -> Iterator[tuple[str, list[Block]]]:
    """(heading, blocks) in reading order; the first heading is empty."""
    heading, found = "", list[Block]()
    for chunk in re.split(r"\n\s*\n", text.strip()):
        first, _, rest = chunk.strip().partition("\n")
        named = _HEADING.match(first)
        if named:
            yield heading, found
            heading, found = named.group(1).strip(), []
        found += _blocks((rest if named else chunk).splitlines())
    yield heading, found


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    """What stands between two blank lines."""
    lines = [line for line in (" ".join(line.split()) for line in lines) if line]
    starts = _item_starts(lines)
    tables = [n for n, line in enumerate(lines) if n and _RULE.fullmatch(line)]
    if tables:
        yield from _around_table(lines, tables[0] - 1)
    elif starts:
        yield from _paragraph(lines[: starts[0]])
        ends = [*starts[1:], len(lines)]
        items = [" ".join(lines[a:b]) for a, b in zip(starts, ends, strict=True)]
        yield Block("list", [_marked(item) for item in items])
    else:
        yield from _paragraph(lines)


def _marked(item: str) -> str:
    """With the mark that LINE knows."""
    return re.sub(r"^(\d+)\)", r"\1.", re.sub(r"^[*•]", "-", item))


def _item_starts(lines: Sequence[str]) -> list[int]:
    """Lines that begin an item. Within a paragraph only 1. begins a numbered list: a line may well
    begin with the year of a date."""
    starts = list[int]()
    for n, line in enumerate(lines):
        if ITEM.match(line) and (not n or starts or not line[0].isdigit() or line[:2] in _FIRST):
            starts.append(n)
    return starts


def _paragraph(lines: Sequence[str]) -> Iterator[Block]:
    if lines:
        yield Block("text", [" ".join(lines)])


def _around_table(lines: Sequence[str], header: int) -> Iterator[Block]:
    end = header + 2
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    yield from _blocks(lines[:header])
    names = _cells(lines[header])
    rows = [_row(names, _cells(line)) for line in lines[header + 2 : end]]
    if any(rows):
        yield Block("rows", [row for row in rows if row])
    yield from _blocks(lines[end:])


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in _CELLS.split(inner)]


def _row(names: Sequence[str], cells: Sequence[str]) -> str:
    """A row that can be read alone: every cell behind the name of its column."""
    padded = [*names, *[""] * (len(cells) - len(names))]
    chinese = bool(_HAN.search("".join(names)))
    colon, comma = ("：", "；") if chinese else (": ", "; ")
    told = [
        f"{name}{colon}{cell}" if name else cell
        for name, cell in zip(padded, cells, strict=False)
        if cell
    ]
    return f"- {comma.join(told)}" if told else ""
