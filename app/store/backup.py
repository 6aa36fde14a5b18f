"""One file with all that is kept: taken while the app runs, put back on either database.

The file is gzip of JSON lines: a head with the schema's revision, the rows table by table, a tail
with their number. It is read in one snapshot and restored in one transaction, so both are whole.
It holds transcripts as typed: only its owner may read it, and it is yours to encrypt and to delete.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Date, Table, delete, func, insert, select
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session

from app.core.errors import InputError
from app.core.files import atomic_path
from app.store import faults
from app.store.migrate import current, revisions
from app.store.models import Base, UTCDateTime, utc_now

if TYPE_CHECKING:
    from app.store.db import Store

FORMAT = 1
BATCH = 500
_LEFT_OUT = frozenset({"logins"})
"""Sessions: a restored file must not log anybody in who has logged out since."""


def backup(store: Store, target: Path) -> int:
    """Write `target` atomically, replacing one that is there; how many rows it holds."""
    head = {"frontdesk_backup": FORMAT, "schema": current(store.engine),
            "created": utc_now().isoformat()}  # fmt: skip
    rows = 0
    with (
        atomic_path(target, mode=0o600) as temporary,
        gzip.open(temporary, "wt", encoding="utf-8", newline="\n") as stream,
    ):
        stream.write(json.dumps(head) + "\n")
        for line in _lines(store):
            stream.write(line)
            rows += 1
        stream.write(json.dumps({"end": rows}) + "\n")
    return rows


def restore(store: Store, source: Path) -> int:
    """Put the rows of `source` in place of all that is in the database; how many there are.

    The whole file is checked before anything is deleted. Raises InputError for a file that is no
    backup, is damaged or cut short, or was written by a newer Frontdesk; then nothing has changed.
    """
    expected = sum(1 for _ in _rows(source))
    tables = {table.name: table for table in _tables()}
    with store.write() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
        try:
            for name, rows in groupby(_rows(source), key=lambda row: row[0]):
                _insert(session, tables[name], (row for _, row in rows))
        except StatementError as error:  # a value of the wrong kind, or a row without its parent
            if isinstance(error, DBAPIError) and not isinstance(error, faults.OURS):
                raise
            raise InputError(
                f"{source} holds rows that do not fit the database ({type(error).__name__}): it is "
                "damaged. Nothing was changed"
            ) from error
    return expected


def count(store: Store) -> int:
    """Rows in the database, of all tables that a backup holds."""
    with store.read() as session:
        return sum(
            session.scalar(select(func.count()).select_from(table)) or 0 for table in _tables()
        )


def _tables() -> list[Table]:
    return [t for t in Base.metadata.sorted_tables if t.name not in _LEFT_OUT]


def _lines(store: Store) -> Iterator[str]:
    """Every row as a line, all of one moment."""
    engine = store.engine
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(engine) as session:
        for table in _tables():
            for row in session.execute(select(table).execution_options(yield_per=BATCH)):
                values = {k: _plain(v) for k, v in row._mapping.items() if v is not None}
                yield json.dumps({"table": table.name, "row": values}, ensure_ascii=False) + "\n"


def _rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(table, row) of each line; raises InputError where the file is not whole and ours."""
    tables, number, ended = {table.name: table for table in _tables()}, 0, None
    try:
        with gzip.open(source, "rt", encoding="utf-8", newline="\n") as stream:
            _check_head(source, json.loads(stream.readline() or "{}"))
            for line in stream:
                if ended is not None:
                    raise ValueError("lines after its end")
                value = json.loads(line)
                ended = value.get("end")
                if ended is None:
                    number += 1
                    yield value["table"], _typed(tables[value["table"]], value["row"])
    except FileNotFoundError as error:
        raise InputError(f"no such file: {source}") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        kind = type(error).__name__  # its message may quote what somebody typed
        raise InputError(
            f"{source}: expected a backup written by `python -m app data backup`, found one that "
            f"is damaged or something else ({kind} after {number} rows). Nothing was changed"
        ) from error
    if ended != number:
        raise InputError(f"{source} is cut short: it ends after {number} rows. Nothing was changed")


def _check_head(source: Path, head: Any) -> None:
    if not isinstance(head, dict) or "frontdesk_backup" not in head:
        raise ValueError("no head")
    newer = head["frontdesk_backup"] != FORMAT or head.get("schema") not in revisions()
    if newer:
        raise InputError(
            f"{source} was written by a newer Frontdesk (schema {head.get('schema')!r}; this one "
            f"knows {', '.join(revisions())}): install that one. Nothing was changed"
        )


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row with times and dates as such. Raises KeyError for a column that is not there."""
    return {name: _read(table.columns[name], value) for name, value in row.items()}


def _read(column: Column[Any], value: Any) -> Any:
    if isinstance(column.type, UTCDateTime):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if isinstance(column.type, Date) else value


def _insert(session: Session, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    # Empty columns are left out of the file and here, so that each is NULL and not JSON's null.
    for _, alike in groupby(rows, key=lambda row: tuple(row)):
        while batch := list(islice(alike, BATCH)):
            session.execute(insert(table), batch)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else value
