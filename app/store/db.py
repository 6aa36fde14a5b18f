"""The database: opened, brought to the newest schema, and sessions on it.

SQLite runs in WAL mode with foreign keys on and waits for a busy writer; PostgreSQL is named by
DATABASE_URL (its driver is yours to install). A kill loses at most the transaction under way.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session

from app.core.errors import ConfigError, InputError
from app.core.files import writable
from app.store import faults
from app.store.articles import Articles
from app.store.commerce import DemoCommerce
from app.store.conversations import Conversations
from app.store.curated import CuratedBook
from app.store.feedback import FeedbackBook
from app.store.maintenance import Maintenance
from app.store.migrate import upgrade
from app.store.orders import Orders
from app.store.owners import Owners
from app.store.tickets import Tickets
from app.store.users import Users

BUSY_MS = 10_000
"""How long a writer waits for another one."""


class Store:
    """The repositories over one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = threading.Lock()
        self.articles = Articles(self)
        self.conversations = Conversations(self)
        self.feedback = FeedbackBook(self)
        self.orders = Orders(self)
        self.owners = Owners(self)
        self.tickets = Tickets(self)
        self.curated = CuratedBook(self)
        self.commerce = DemoCommerce(self)
        self.users = Users(self)
        self.maintenance = Maintenance(self)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads; rows stay usable after it. Raises StoreDown."""
        with _told(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed where the block ends well, else rolled back. Raises StoreDown.

        SQLite takes its write lock at the start: a transaction that read first and then wants to
        write is refused at once, without waiting, when another one wrote in between.
        """
        engine = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        with (
            _told(), self._queued(), Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):  # fmt: skip
            yield session

    @contextmanager
    def _queued(self) -> Iterator[None]:
        """Writers of this process one after the other: SQLite has no queue, and of many that wait
        one could wait longer than BUSY_MS. Whoever does so here is left to SQLite."""
        queued = self.engine.dialect.name == "sqlite" and self._writing.acquire(
            timeout=BUSY_MS / 1000
        )
        try:
            yield
        finally:
            if queued:
                self._writing.release()

    def check(self) -> None:
        """Raise sqlalchemy's OperationalError where the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def _told() -> Iterator[None]:
    """A fault of the database, rather than of our statement, becomes a sentence."""
    try:
        yield
    except faults.OURS:
        raise
    except (DBAPIError, NoConnection) as error:
        raise faults.sentence(error) from error


def open_store(url: str, *, migrate: bool = True) -> Store:
    """The store at `url`, its schema at the newest version (unless `migrate` is False).

    Raises ConfigError for a URL that names no database or driver, InputError for a folder that
    cannot be written, a file that is no database, or a schema that is newer than this code.
    """
    engine = _engine(url)
    try:
        if migrate:
            upgrade(engine)
    except DatabaseError as error:
        engine.dispose()
        raise InputError(
            f"the database {engine.url.render_as_string(hide_password=True)} cannot be used: "
            f"{error.orig}. Restore it from a backup, or name another one (DATABASE_URL)"
        ) from error
    except BaseException:
        engine.dispose()
        raise
    return Store(engine)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        in_file = parsed.get_backend_name() == "sqlite" and parsed.database not in (
            None,
            ":memory:",
        )
        if in_file:
            writable(Path(str(parsed.database)).parent)
        engine = create_engine(parsed, pool_pre_ping=not in_file)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"database_url: expected an SQLAlchemy URL with an installed driver, such as "
            f"postgresql+psycopg://user@host/name (pip install 'psycopg[binary]'): {error}"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: sqlite3.Connection, record: Any) -> None:
    del record
    # The driver would begin transactions late and never around DDL; we begin them ourselves, so
    # that a migration that dies leaves the old schema.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"pragma busy_timeout={BUSY_MS}")
    cursor.execute("pragma journal_mode=wal")
    cursor.execute("pragma synchronous=full")
    cursor.execute("pragma foreign_keys=on")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
