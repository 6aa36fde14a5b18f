"""Where corrections come from: the store of the server, a scripted file, those of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from app.core import settings
from app.core.errors import InputError
from app.core.files import DEMO, ROOT
from app.core.records import Row, read_rows, text_of
from app.store.db import open_store
from app.store.rows import Sample

Feature = Literal["sentiment", "support"]


class Given(NamedTuple):
    """One piece of feedback, as the store or a scripted file has it."""

    owner: str
    text: str
    """The question, or the classified text."""
    answer: str
    """What was answered; the predicted label for sentiment."""
    correction: str
    """Empty where none was given."""
    rating: int
    history: Sequence[Mapping[str, str]] = ()
    citations: Sequence[Any] = ()
    """Article ids, or {id, title, url, passage}."""

    @property
    def target(self) -> str:
        """What is right: the correction, else the answer under a thumb up; empty if unknown."""
        return self.correction.strip() or (self.answer.strip() if self.rating > 0 else "")


class Source(NamedTuple):
    """Where to look for corrections, as on the command line."""

    file: Path | None = None
    """A scripted file instead of the store."""
    settings: Path | None = None
    """The server's settings, which name its database."""
    demo: bool = False
    """Whether the synthetic corrections of the demo may stand in for an empty store."""


def gathered(feature: Feature, source: Source) -> tuple[list[Given], str]:
    """(rows, where they are from). Raises InputError where there are none, and what to do."""
    if source.file is None:
        return _stored(feature, source)
    if source.settings or source.demo:
        raise InputError(
            f"--source {source.file} is read instead of a database and of the demo: leave "
            "--settings and --demo out, or --source"
        )
    return scripted(source.file), str(source.file)


def scripted(path: Path) -> list[Given]:
    """Rows of a scripted file; those without consent are left out.

    Raises InputError with the file's columns where they do not fit, else with file and line.
    """
    rows = read_rows(path)
    _check_columns(path, rows)
    return [_given(row) for row in rows if _consented(row)]


def _check_columns(path: Path, rows: Sequence[Row]) -> None:
    """A file of other columns is told as a whole; one that is labelled data is no feedback."""
    found = [*dict.fromkeys(key for row in rows for key in row if not key.startswith("_"))]
    if "consent" in found and {"text", "question"} & set(found):
        return
    raise InputError(
        f"{path}: expected the columns text (or question), correction and consent (true where its "
        f"user allows training on it), found {', '.join(found)}. Rename them; texts with labels "
        "that are nobody's feedback go to training as they are: --set data.train=[file:PATH]"
    )


def _consented(row: Row) -> bool:
    """Whether the user allowed it. In csv all values are words, and "false" is one of them."""
    return str(row.get("consent")).strip().lower() in ("true", "yes", "1")


def _stored(feature: Feature, source: Source) -> tuple[list[Given], str]:
    """The store's rows; where it has none, those of the demo, if they were asked for."""
    store = open_store(settings.load(source.settings).database)
    try:
        rows = store.feedback.consented(feature)
    finally:
        store.close()
    database = store.engine.url.render_as_string(hide_password=True)
    if rows:
        return [_of_store(row) for row in rows], f"{database} ({len(rows)} with consent)"
    if source.demo:
        return _demo(feature, database)
    raise InputError(
        f"{database} holds no {feature} feedback with consent: expected at least one thumb or "
        "correction with the consent box ticked, found none. If the server has another database, "
        "name its --settings FILE (or DATABASE_URL); take a file by --source FILE; or, to see the "
        "loop work, take the synthetic corrections of the demo shop by --demo"
    )


def _demo(feature: Feature, database: str) -> tuple[list[Given], str]:
    shipped = DEMO / "feedback" / f"{feature}.jsonl"
    given = scripted(shipped)
    return given, (
        f"{shipped.relative_to(ROOT)}, {len(given)} synthetic corrections written for the demo: "
        f"{database} holds no {feature} feedback with consent"
    )


def _of_store(row: Sample) -> Given:
    return Given(
        row.owner, row.text, row.answer, row.correction or "", row.rating, row.history,
        row.citations,
    )  # fmt: skip


def _given(row: Mapping[str, Any]) -> Given:
    question = "question" if "question" in row else "text"
    correction = row.get("correction")
    if not isinstance(correction, str) and row.get("rating") != 1:
        columns = ", ".join(key for key in row if not key.startswith("_"))
        raise InputError(
            f"{row['_where']}: expected text in 'correction', found {correction!r} (columns here: "
            f"{columns})"
        )
    return Given(
        owner=str(row.get("user") or row.get("owner") or "unknown"),
        text=text_of(dict(row), question),
        answer=str(row.get("predicted") or row.get("answer") or ""),
        correction=correction or "",
        rating=int(row.get("rating") or -1),
        history=row.get("history") or (),
        citations=row.get("citations") or (),
    )
