"""A full disk, a lock, a database that is read-only or gone: a sentence, nothing lost, recovery."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from app.core.errors import StoreDown
from app.core.files import ROOT
from app.server import create_app
from app.store import db, faults
from app.store.db import Store, open_store
from tests.helpers_server import Fakes, make_services


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{path}")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("database or disk is full", "disk .* is full"),
        ("could not extend file: No space left on device", "disk .* is full"),
        ("attempt to write a readonly database", "cannot be written"),
        ("cannot execute INSERT in a read-only transaction", "cannot be written"),
        ("database is locked", "too busy"),
        ("connection refused by customer@example.org", "cannot be reached"),
    ],
)
def test_what_the_driver_says_becomes_a_sentence_without_its_words(said: str, told: str) -> None:
    error = faults.sentence(
        OperationalError("insert ... secret", {}, sqlite3.OperationalError(said))
    )
    with pytest.raises(StoreDown, match=told) as raised:
        raise error
    assert "example.org" not in error.message
    assert "secret" not in error.message
    assert raised.value.status == 503
    assert "数据库" in raised.value.in_language("zh")


def test_a_pool_without_a_free_connection_is_busy() -> None:
    assert "too busy" in faults.sentence(NoConnection("QueuePool limit of size 5")).message


def test_a_lock_is_a_sentence_and_then_all_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_MS", 50)
    store = open_store(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreDown, match="too busy"):
        store.conversations.create("visitor:a", "en")
    other.execute("rollback")
    other.close()
    assert store.conversations.create("visitor:a", "en")
    store.close()


def test_a_database_that_is_gone_is_a_sentence_until_it_is_back(store: Store, path: Path) -> None:
    conversation = store.conversations.create("visitor:a", "en")
    store.engine.dispose()
    away = path.rename(path.with_suffix(".away"))
    path.mkdir()
    with pytest.raises(StoreDown, match="cannot be reached"):
        store.conversations.history("visitor:a", conversation)
    path.rmdir()
    away.rename(path)
    assert store.conversations.history("visitor:a", conversation) == []


def test_a_read_only_database_is_a_sentence(store: Store) -> None:
    @event.listens_for(store.engine, "begin")
    def read_only(connection: Any) -> None:
        connection.exec_driver_sql("pragma query_only=on")

    with pytest.raises(StoreDown, match="cannot be written"):
        store.conversations.create("visitor:a", "en")


def test_a_full_disk_loses_nothing_that_was_confirmed(store: Store) -> None:
    conversation = store.conversations.create("visitor:a", "en")
    with store.engine.connect() as connection:  # the one connection that is kept in the pool
        pages = connection.execute(text("pragma page_count")).scalar_one()
        connection.exec_driver_sql(f"pragma max_page_count={pages + 10}")
    confirmed: list[str] = []
    with pytest.raises(StoreDown, match=r"disk .* is full"):
        for _ in range(1000):
            confirmed.append(
                store.conversations.append("visitor:a", conversation, "user", "word " * 500)
            )
    assert confirmed
    assert [t.id for t in store.conversations.history("visitor:a", conversation)] == confirmed
    with store.engine.connect() as connection:
        connection.exec_driver_sql("pragma max_page_count=1000000")
    assert store.conversations.append("visitor:a", conversation, "user", "room again")


WRITER = """
import resource, signal, sys
from app.core.errors import StoreDown
from app.store.db import open_store
store = open_store(sys.argv[1])
conversation = store.conversations.create("visitor:a", "en")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
try:
    while True:
        print(store.conversations.append("visitor:a", conversation, "user", "word " * 500))
except StoreDown as error:
    print("told", error.message)
"""


def test_a_file_that_may_not_grow_is_a_sentence_too(python: str, path: Path) -> None:
    ran = subprocess.run([python, "-c", WRITER, f"sqlite:///{path}"], cwd=ROOT, text=True,
                         capture_output=True, timeout=120)  # fmt: skip
    *confirmed, told = ran.stdout.splitlines()
    assert told.startswith("told "), ran.stderr
    store = open_store(f"sqlite:///{path}")
    with store.read() as session:
        stored = set(session.scalars(text("select id from messages")))
        assert session.scalar(text("pragma integrity_check")) == "ok"
    store.close()
    assert confirmed
    assert set(confirmed) <= stored


def test_over_http_it_is_503_in_the_readers_language_and_then_works(tmp_path: Path) -> None:
    services = make_services(Fakes(), database_url=f"sqlite:///{tmp_path / 'a.db'}", secret="s")
    services.load()
    down = {"now": True}

    @event.listens_for(services.store.engine, "begin")
    def gone(connection: Any) -> None:
        del connection
        if down["now"]:
            raise OperationalError("select", {}, sqlite3.OperationalError("unable to open"))

    wanted = {"messages": [{"role": "user", "content": "Where is my parcel?"}]}
    with TestClient(create_app(services.settings, services)) as client:
        answer = client.post("/v1/chat/completions", json=wanted, headers={"Accept-Language": "zh"})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "store_down"
        assert "数据库暂时不可用" in answer.json()["error"]["message"]
        down["now"] = False
        assert client.post("/v1/chat/completions", json=wanted).status_code == 200
    services.store.close()


def test_of_many_who_write_at_once_none_is_refused_for_waiting(tmp_path: Path) -> None:
    """They queue here: SQLite, told not to wait at all, never sees two of them at once."""
    store, refused = open_store(f"sqlite:///{tmp_path / 'shop.db'}"), list[StoreDown]()

    @event.listens_for(store.engine, "connect")
    def impatient(connection: Any, _: Any) -> None:
        connection.execute("pragma busy_timeout = 0")

    store.engine.dispose()

    def writer() -> None:
        for _ in range(20):
            try:
                with store.write() as session:
                    session.execute(text("select 1"))
                    time.sleep(0.001)
            except StoreDown as error:
                refused.append(error)

    threads = [threading.Thread(target=writer) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert refused == []
