"""HTML of a report's page: one file that needs no network and no script.

Every text that comes in is escaped, unless it is `Safe`, which only this package makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

CSS = Path(__file__).with_name("report.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
Cells = Sequence[Any]


class Safe(str):
    """Markup that was made here."""


def page(title: str, *parts: str) -> str:
    """A whole document; `parts` are markup."""
    css = CSS.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{css}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def tag(name: str, inside: object, kind: str = "") -> Safe:
    """An element around a text or markup."""
    attribute = f' class="{kind}"' if kind else ""
    return Safe(f"<{name}{attribute}>{shown(inside)}</{name}>")


def joined(*parts: object) -> Safe:
    """Texts and markup, one after the other."""
    return Safe("".join(shown(part) for part in parts))


def head(eyebrow: str, headline: str, *paragraphs: object) -> Safe:
    """What the page says, in plain words, before any number."""
    lines = joined(*(tag("p", text) for text in paragraphs if text))
    return tag("header", joined(tag("p", eyebrow, "eyebrow"), tag("h1", headline), lines))


def section(title: str, intro: str, *parts: str) -> Safe:
    """A part of the page; empty where it has no parts."""
    inside = [part for part in parts if part]
    if not inside:
        return Safe("")
    return tag("section", joined(tag("h2", title), tag("p", intro) if intro else "", *inside))


def side_by_side(*parts: str) -> Safe:
    """Beside each other where the page is wide enough."""
    return tag("div", joined(*parts), "side")


def figure(svg: str, caption: str) -> Safe:
    """A plot of eval.plots with a line below it."""
    return tag("figure", joined(Safe(svg), tag("figcaption", caption)))


def folded(summary: str, inside: Safe) -> Safe:
    """Shown when it is clicked."""
    return tag("details", joined(tag("summary", summary), inside))


def key(ours: str, theirs: str) -> Safe:
    """Which colour is which of two systems."""
    return tag("p", joined(tag("span", ours), tag("span", theirs, "theirs")), "key")


def table(names: Sequence[str], rows: Iterable[Cells], caption: str = "") -> Safe:
    """A table whose first column names the rows; numbers stand to the right."""
    body = [list(row) for row in rows]
    numeric = [bool(body) and any(_number(row[i]) for row in body) for i in range(len(names))]
    top = "".join(
        f'<th scope="col"{_class(number)}>{escape(name)}</th>'
        for name, number in zip(names, numeric, strict=True)
    )
    lines = "".join(_line(row, numeric, names) for row in body)
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    inside = f"<table>{told}<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
    return tag("div", Safe(inside), "scroll")


def records(rows: Sequence[Mapping[str, Any]], caption: str = "") -> Safe:
    """Any list of records as a table: a column for each key, in the order of its appearance."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return table(
        [words(key) for key in keys], ([row.get(k) for k in keys] for row in rows), caption
    )


def few(rows: Sequence[Mapping[str, Any]], most: int = 8) -> Safe:
    """`records`, of which those after the first few are folded away."""
    rest = rows[most:]
    more = folded(f"{len(rest)} more", records(rest)) if rest else ""
    return joined(records(rows[:most]), more)


def between(low: str, high: str) -> Safe:
    """An interval, on one line."""
    return tag("span", f"{low} to {high}", "range")


def tree(values: Mapping[str, Any]) -> Safe:
    """Any record as a table of two columns; what is nested in it stays JSON."""
    rows = ([words(key), tag("code", value)] for key, value in values.items())
    return tag("div", table(["field", "value"], rows), "tree")


def words(name: str) -> str:
    """A field's name as people write it."""
    return name.replace("_", " ")


def shown(value: object) -> str:
    """A value as markup: numbers short, nothing for None, texts escaped."""
    if isinstance(value, Safe):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (dict, list, tuple)):
        return escape(json.dumps(value, ensure_ascii=False))
    return escape(str(value))


def number(value: float) -> str:
    """Three decimals; large numbers with four digits in all."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.4g}"


def _line(row: Cells, numeric: Sequence[bool], names: Sequence[str]) -> str:
    """A row; each cell carries its column's name for phones, where rows are cards."""
    cells = "".join(
        f'<td{_class(number)} data-name="{escape(name)}">{shown(value)}</td>'
        for value, number, name in list(zip(row, numeric, names, strict=True))[1:]
    )
    return f'<tr><th scope="row">{shown(row[0])}</th>{cells}</tr>'


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _class(number: bool) -> str:
    return ' class="number"' if number else ""
