"""Schema versions: to the newest at start, up and down by `python -m app db`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from app.core.errors import InputError

_LOCK = 0x66726F6E74  # any number that nobody else locks


def upgrade(engine: Engine, revision: str = "head") -> str:
    """Bring the schema to `revision`; returns the one it is at. Nothing happens where it is there.

    One transaction: it stands whole or not at all. Raises InputError for a revision this code does
    not know (a newer Frontdesk wrote the database).
    """
    return _move(engine, revision, command.upgrade)


def downgrade(engine: Engine, revision: str) -> str:
    """Take the schema back to `revision` ("-1": one step, "base": none); returns where it is."""
    return _move(engine, revision, command.downgrade)


def current(engine: Engine) -> str | None:
    """The revision of the schema; None for an empty database."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def revisions() -> list[str]:
    """All revisions that this code knows, oldest first."""
    script = ScriptDirectory.from_config(_config())
    return [r.revision for r in reversed(list(script.walk_revisions()))]


def _move(engine: Engine, revision: str, step: object) -> str:
    writer = engine.execution_options(sqlite_begin="IMMEDIATE")
    with writer.begin() as connection:
        if engine.dialect.name == "postgresql":  # of two that start at once one waits
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config(connection)
        try:
            step(config, revision)  # type: ignore[operator]
        except CommandError as error:
            raise InputError(
                f"the database cannot go to schema {revision!r}: {error}. This code knows: "
                f"{', '.join(revisions())}. Install the newer Frontdesk that wrote it, or restore "
                "a backup"
            ) from error
        return MigrationContext.configure(connection).get_current_revision() or "base"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    # "%" would be read as an interpolation by configparser.
    folder = str(Path(__file__).with_name("migrations")).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    return config
