"""CSV of questions and answers: every row an article, whose title is its question.

A column `also` holds other ways to ask it, with line breaks or `|` between them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.errors import InputError
from app.core.files import sha256_text
from app.core.records import Row, csv_rows, pick
from app.knowledge.alternates import MAX_EACH, MAX_TEXT
from app.knowledge.ingest import markdown, webpage
from app.knowledge.ingest.decode import decode
from app.knowledge.ingest.document import (
    MAX_TITLE,
    Document,
    Note,
    Read,
    Unreadable,
    line,
    misspelt_visibility,
    named,
)
from app.knowledge.ingest.outline import Outline

NAMES = {
    "question": ("question", "q", "questions", "问题", "问"),
    "answer": ("answer", "a", "answers", "答案", "回答", "答"),
    "also": ("also", "also asked", "alternatives", "variants", "其他问法", "相似问题", "也可以问"),
    "lang": ("lang", "language", "语言"),
    "visibility": ("visibility", "可见性"),
    "url": ("url", "link", "链接"),
}
"""What a column may be called, whatever its case."""
_FIELDS = dict.fromkeys(NAMES, "optional") | {"question": "required", "answer": "required"}
_REMEDY = "Call one column `question` and one `answer`"
_TAG = re.compile(r"</?(?:p|br|div|ul|ol|li|a|b|strong|em|table|span)\b[^>]*>", re.IGNORECASE)
_BREAK = re.compile(r"[\n|]")
"""Between several ways to ask in one cell."""
MAX_ROWS = 50_000


def read(data: bytes, name: str) -> Read:
    """An article a row; rows that cannot be read are notes with their line. Raises Unreadable where
    there are no columns of questions and answers, or no whole row."""
    text, notes = decode(data)
    faults = list[str]()
    rows = list(csv_rows(text, name, faults, _delimiter(text)))
    notes += [_fault(name, fault) for fault in faults]
    if len(rows) > MAX_ROWS:
        raise Unreadable(f"has {len(rows):,} rows, at most {MAX_ROWS:,} are read", "split it")
    if not rows:
        more = f": {faults[0]}" if faults else ""
        raise Unreadable(f"holds no whole row below its header{more}", _REMEDY)
    documents = dict[str, Document]()
    for row in _picked(rows):
        where = "line " + row["_where"].rpartition(":")[2]
        question, answer = line(row["question"] or ""), _answer(row["answer"] or "")
        if not question or not answer:
            lacks = "question" if not question else "answer"
            notes.append(Note(f"{where} has no {lacks} and is left out", f"write its {lacks}"))
            continue
        key = sha256_text(question.casefold())[:12]
        if key in documents:
            notes.append(Note(f"{where} repeats a question and is left out", "join the two"))
            continue
        others = [line(way) for way in _BREAK.split(row.get("also") or "")]
        asked = list(dict.fromkeys(way for way in (question, *others) if way))
        kept = [way for way in asked if len(way) <= MAX_TEXT][:MAX_EACH]
        document = Document(answer, question[:MAX_TITLE], key, questions=kept)
        fields = {f: row.get(f) or "" for f in ("lang", "visibility", "url")}
        documents[key], more_notes = named(document, fields, where)
        notes += more_notes
    return Read(list(documents.values()), notes)


def _picked(rows: list[Row]) -> list[Row]:
    found = {key.strip().casefold(): key for key in rows[0] if key and not key.startswith("_")}
    columns = {
        field: next((found[n] for n in names if n in found), field)
        for field, names in NAMES.items()
    }
    if slip := misspelt_visibility(found):
        columns["visibility"] = found[slip]
    present = {field: name for field, name in columns.items() if name in rows[0]}
    try:
        return pick(rows, _FIELDS, present, _REMEDY)
    except InputError as error:
        told = error.message.partition(": ")[2].removesuffix(_REMEDY).strip()
        raise Unreadable(told.rstrip("."), _REMEDY) from None


def _answer(cell: str) -> str:
    """The cell as an outline: help desks export answers as HTML, people write Markdown."""
    outline = Outline()
    (webpage.into if _TAG.search(cell) else markdown.write)(cell, outline)
    body = outline.text()
    lead = outline.first_heading
    return f"## {lead}\n\n{body}" if lead and body else body or lead


def _delimiter(text: str) -> str:
    """Comma, or what spreadsheets write in its place: the most frequent in the header line."""
    header = text.lstrip("\ufeff").partition("\n")[0]
    choices: Sequence[str] = (",", ";", "\t")
    return max(choices, key=header.count)


def _fault(name: str, fault: str) -> Note:
    if "unexpected end of data" in fault:
        line_number = fault.removeprefix(f"{name}:").partition(":")[0]
        reason = f"a quote opened in line {line_number} is never closed: all below is left out"
        return Note(reason, "close it, and double a quote within a cell")
    return Note(f"line {fault.removeprefix(f'{name}:')}; it is left out", "mend that row")
