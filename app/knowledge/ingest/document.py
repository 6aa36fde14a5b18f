"""What a reader makes of one file, and what it has to say about it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from app.core.language import normalise
from app.core.prompt import defuse

VISIBILITIES = ("public", "agents")
MAX_CHARS = 2_000_000
"""Of all text in one file: some 300,000 words, more than a shelf of manuals."""
MAX_TITLE = 200
_ADDRESS = re.compile(r"(?:https?://[^\s<>\"']+|/(?!/)[^\s<>\"']*)", re.IGNORECASE)
# Joiners that scripts need; other format characters hide text or turn its direction.
_JOINERS = "\u200c\u200d"


class Unreadable(Exception):
    """A file that gives no article: why, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Note(NamedTuple):
    """Something that was left out or guessed, and what to do about it."""

    reason: str
    remedy: str = ""


class Document(NamedTuple):
    """One article of a file."""

    text: str
    title: str = ""
    key: str = ""
    """Tells the articles of one file apart; empty where it is the only one."""
    lang: str = ""
    """"en" or "zh"; empty: by the text."""
    visibility: str = ""
    """public or agents; empty: as the command says."""
    url: str = ""
    questions: Sequence[str | dict[str, Any]] = ()
    """Ways to ask, see app.knowledge.alternates."""


class Read(NamedTuple):
    """What a file holds."""

    documents: Sequence[Document]
    notes: Sequence[Note] = ()


def plain(text: str) -> str:
    """`text` as it may be stored: NFC, no control characters, nothing invisible, defused.

    Characters without a glyph (zero-width spaces, direction marks, tags) can hide instructions
    from the person who checks an article; control tokens of chat formats are broken up.
    """
    shown = (c for c in text.replace("\r\n", "\n").replace("\r", "\n") if _shows(c))
    return defuse(normalise("".join(shown)))


def line(text: str) -> str:
    """`plain` on one line."""
    return " ".join(plain(text).split())


def address(value: str) -> str | None:
    """`value` where it is an http(s) address or a path on this site, else None."""
    return value if _ADDRESS.fullmatch(value) and len(value) <= 2000 else None


def misspelt_visibility(names: Iterable[str]) -> str | None:
    """The one of `names` that is all but "visibility", where none is: it is taken for that."""
    known = list(names)
    if "visibility" in map(str.strip, known):
        return None
    return next(iter(get_close_matches("visibility", known, 1, cutoff=0.75)), None)


def named(
    document: Document, fields: dict[str, str], where: str = ""
) -> tuple[Document, list[Note]]:
    """`document` with title, lang, visibility and url as its author wrote them into `fields`.

    An unknown visibility is taken as agents, so that a slip of the pen publishes nothing.
    """
    notes, at = list[Note](), f"{where}: " if where else ""
    visibility = fields.get("visibility", "").strip().lower() or document.visibility
    if visibility and visibility not in VISIBILITIES:
        notes.append(
            Note(f"{at}visibility {visibility[:40]!r} is unknown: kept for agents alone",
                 "write public or agents")
        )  # fmt: skip
        visibility = "agents"
    given = fields.get("url", "").strip()
    url = address(given) if given else document.url
    if url is None:
        notes.append(Note(f"{at}url {given[:60]!r} is left out", "write https://... or /path"))
    lang = fields.get("lang", "").strip().lower()
    if lang and not lang.startswith(("en", "zh")):
        notes.append(Note(f"{at}lang {lang[:40]!r} is left out", "write en or zh"))
        lang = ""
    title = line(fields.get("title", ""))[:MAX_TITLE] or document.title
    return document._replace(
        title=title, visibility=visibility, url=url or "", lang=lang[:2] or document.lang
    ), notes


def _shows(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in ("Cf", "Co", "Cn")
