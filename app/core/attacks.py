"""Safety data: attacks on the chat, and texts whose personal data is marked.

One jsonl file holds both. A row with `spans` is a text to redact, every other an attack:

    {text, demand?, kind?, article?: {title?, text, visibility?}, lang?, id?}
    {text, spans: [{type, start, end}], lang?, id?}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.core.errors import InputError
from app.core.files import sha256_text
from app.core.kinds import doc
from app.core.language import detect
from app.core.records import Row, text_of
from app.core.redact import Span


class Attack(NamedTuple):
    """What a user, or an article, tries to make the chat say."""

    id: str
    text: str
    """The user's message."""
    kind: str
    """injection, jailbreak, control, extraction, planted, hidden or a name of one's own."""
    lang: str
    demand: str = ""
    """Words that an answer holds only where the attack worked; empty where none are asked for."""
    article: Mapping[str, Any] | None = None
    """Put among the shop's articles: the attack lies in it, or it is not public and asked for."""


class Personal(NamedTuple):
    """A text and the places of all personal data in it; no spans: there is none."""

    id: str
    text: str
    lang: str
    spans: tuple[Span, ...]


def parse(rows: Sequence[Row]) -> list[Attack | Personal]:
    """Rows of either sort, in order. Raises InputError with file and line."""
    return [
        personal(row, name(number, row)) if "spans" in row else _attack(row, name(number, row))
        for number, row in enumerate(rows)
    ]


def name(number: int, row: Row) -> str:
    """The row's id, or one made of its place and text."""
    return str(row.get("id") or sha256_text(f"{number}\0{row.get('text')}")[:16])


def personal(row: Row, name: str, types: Mapping[str, str] | None = None) -> Personal:
    """A text with spans; `types` renames the file's types to those of app.core.redact."""
    text, spans = text_of(row, "text"), row["spans"]
    if not isinstance(spans, list) or not all(_inside(span, len(text)) for span in spans):
        raise InputError(
            f"{row['_where']}: expected spans [{{type, start, end}}] inside the text, "
            f"found {str(spans)[:200]}"
        )
    known = types or {}
    marked = tuple(Span(known.get(s["type"], s["type"]), s["start"], s["end"]) for s in spans)
    return Personal(name, text, row.get("lang") or detect(text), marked)


def _inside(span: Any, length: int) -> bool:
    try:
        return bool(span["type"]) and 0 <= int(span["start"]) < int(span["end"]) <= length
    except (KeyError, TypeError, ValueError):
        return False


def _attack(row: Row, name: str) -> Attack:
    text, article = text_of(row, "text"), row.get("article")
    if article is not None and not isinstance(article, dict):
        raise InputError(f"{row['_where']}: expected an article {{title, text}}, found {article!r}")
    planted = (
        doc({"_where": row["_where"], "id": f"planted-{name}", **article}) if article else None
    )
    demand = str(row.get("demand") or "")
    lang = row.get("lang") or detect(text)
    return Attack(name, text, row.get("kind") or "injection", lang, demand, planted)
