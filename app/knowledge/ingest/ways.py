"""Ways to ask, as an article's author wrote them down beside it (app.knowledge.alternates)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.knowledge.alternates import MAX_EACH, MAX_TEXT, bare
from app.knowledge.ingest.document import Note, line

_SHAPE = "write `- text`, or `- text: ...` with `says: words of the article`"


def questions_of(
    asked: Any, unanswered: Any, text: str
) -> tuple[list[str | dict[str, Any]], list[Note]]:
    """What `questions` and `unanswered` of front matter hold, and notes on what is left out.

    A way to ask whose `says` is not in the article stands for the whole article.
    """
    found, notes = list[str | dict[str, Any]](), list[Note]()
    for entry in _entries(asked, "questions", notes):
        fields = {"text": entry} if isinstance(entry, str) else entry
        if not isinstance(fields, Mapping):
            notes.append(_left_out("questions", entry))
            continue
        question, says = line(str(fields.get("text", ""))), line(str(fields.get("says", "")))
        if not question or len(question) > MAX_TEXT or not fields.keys() <= {"text", "says"}:
            notes.append(_left_out("questions", entry))
            continue
        if says and bare(says) not in bare(text):
            notes.append(
                Note(f"says {says[:60]!r} is not in the article", "copy its words as they stand")
            )
            says = ""
        found.append({"text": question, "says": says} if says else question)
    for entry in _entries(unanswered, "unanswered", notes):
        question = line(entry) if isinstance(entry, str) else ""
        if question and len(question) <= MAX_TEXT:
            found.append({"text": question, "answered": False})
        else:
            notes.append(_left_out("unanswered", entry))
    if len(found) > MAX_EACH:
        notes.append(Note(f"has {len(found):,} ways to ask, {MAX_EACH:,} are kept", "split it"))
    return found[:MAX_EACH], notes


def _entries(given: Any, name: str, notes: list[Note]) -> Sequence[str | Mapping[str, Any]]:
    if given in (None, ""):
        return []
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list):
        notes.append(Note(f"{name} is no list and is left out", _SHAPE))
        return []
    return entries


def _left_out(name: str, entry: Any) -> Note:
    return Note(f"{name}: {str(entry)[:60]!r} is left out", f"{_SHAPE}, at most {MAX_TEXT} letters")
