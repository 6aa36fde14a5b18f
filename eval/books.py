"""What a conversation changed in the database, row by row, whatever tables there are.

Two SQLite files are compared, the one before and the one that the product wrote to. Read past the
product's own repositories on purpose: they are part of what is checked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

CHAT = ("conversations", "messages")
"""Tables that every conversation writes to."""


class Change(NamedTuple):
    """A row that is not as it was."""

    table: str
    key: str
    """Its primary key."""
    before: Mapping[str, Any] | None
    """None for a new row."""
    after: Mapping[str, Any] | None
    """None for a deleted one."""

    @property
    def fields(self) -> list[str]:
        """Columns that differ; all of a new or deleted row."""
        one, two = self.before or {}, self.after or {}
        return [name for name in {**one, **two} if one.get(name) != two.get(name)]


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """The database in `file`, read only."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def changes(before: Path, after: Path) -> list[Change]:
    """All rows that differ, by table and key.."""
    with reading(after) as connection:
        connection.execute("attach database ? as old", (f"file:{before}?mode=ro",))
        tables = [row[0] for row in connection.execute(_TABLES)]
        return [change for table in tables for change in _differing(connection, table)]


_TABLES = """select name from sqlite_master where type = 'table' and name not like 'sqlite_%'
    and name in (select name from old.sqlite_master) order by name"""


def _differing(connection: sqlite3.Connection, table: str) -> list[Change]:
    keys = [row["name"] for row in connection.execute(f"pragma table_info('{table}')") if row["pk"]]
    before, after = (
        {
            " ".join(str(row[key]) for key in keys): dict(row)
            for row in connection.execute(
                f'select * from {one}."{table}" except select * from {two}."{table}"'
            )
        }
        for one, two in (("old", "main"), ("main", "old"))
    )
    return [Change(table, k, before.get(k), after.get(k)) for k in sorted({*before, *after})]
