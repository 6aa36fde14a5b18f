"""Migrations: the schema they make is the one in the code, up, down, and when something dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from app.core.errors import InputError
from app.store import migrate
from app.store.db import open_store
from app.store.models import Base


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    store = open_store(database, migrate=False)
    yield store.engine
    store.close()


def test_the_migrations_make_exactly_the_tables_of_the_code(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again_gives_the_same_schema(engine: Engine) -> None:
    head = migrate.upgrade(engine)
    before = _schema(engine)
    assert migrate.downgrade(engine, "base") == "base"
    assert _schema(engine).keys() == {"alembic_version"}
    assert migrate.upgrade(engine) == head == migrate.revisions()[-1]
    assert _schema(engine) == before


def test_upgrading_twice_changes_nothing_and_keeps_the_data(database: str) -> None:
    store = open_store(database)
    conversation = store.conversations.create("visitor:a", "en")
    store.close()
    again = open_store(database)
    assert again.conversations.get("visitor:a", conversation).language == "en"
    again.close()


def test_a_migration_that_dies_leaves_the_old_schema(engine: Engine) -> None:
    migrate.upgrade(engine)

    def dies(config: Config, revision: str) -> None:
        config.attributes["connection"].execute(text(f"create table half_{revision} (x int)"))
        config.attributes["connection"].execute(text("drop table feedback"))
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        migrate._move(engine, "made", dies)
    tables = inspect(engine).get_table_names()
    assert "feedback" in tables
    assert "half_made" not in tables


def test_a_database_of_a_newer_frontdesk_is_refused_in_a_sentence(database: str) -> None:
    store = open_store(database)
    with store.engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    store.close()
    with pytest.raises(InputError, match=r"9999.*This code knows: 0001.*newer Frontdesk"):
        open_store(database)


def test_two_that_start_at_once_both_find_the_schema(database: str) -> None:
    faults: list[Exception] = []

    def start() -> None:
        try:
            open_store(database).close()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def _schema(engine: Engine) -> dict[str, set[str]]:
    inspector = inspect(engine)
    return {
        table: {str(column["name"]) for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
    }
