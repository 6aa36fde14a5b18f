"""What is kept of one owner, out and gone; a backup that restores whole, on either database."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.__main__ import main
from app.core.desk import Packet, Said
from app.core.errors import InputError, NotFound
from app.core.files import DEMO
from app.store import backup
from app.store.db import Store, open_store
from app.store.models import Base, Conversation, Feedback, Message, Ticket, utc_now

ANN, BEN = "visitor:ann", "visitor:ben"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def live(store: Store, owner: str, said: str) -> str:
    """A conversation with a ticket, feedback and a kept sample; gives its id."""
    conversations = store.conversations
    made = conversations.create(owner, "en")
    conversations.append(owner, made, "user", said)
    answer = conversations.append(owner, made, "assistant", "Noted.", citations=[{"id": "a"}])
    store.feedback.add(owner, answer, -1, correction=f"Better: {said}", consent=True)
    conversations.keep_sample(owner, said, "positive", 0.75, "s-1", None)
    packet = Packet(reason="asked", summary=said, language="en", slots={"email": said},
                    transcript=[Said(role="user", content=said)])  # fmt: skip
    store.tickets.hand_over(owner, made, packet)
    with store.write() as session:
        session.get_one(Conversation, made).memory = {"identified": {"FK-1": said}}
    return made


def dump(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table but the sessions."""
    with store.read() as session:
        return {
            table.name: sorted(
                (dict(row._mapping) for row in session.execute(select(table))), key=str
            )
            for table in Base.metadata.sorted_tables
            if table.name != "logins"
        }


def unpacked(file: Path) -> str:
    return gzip.decompress(file.read_bytes()).decode()


def rows(store: Store) -> list[int]:
    with store.read() as session:
        return [
            session.scalar(select(func.count()).select_from(t)) or 0
            for t in (Conversation, Message, Feedback, Ticket)
        ]


def test_an_owner_gets_all_that_is_kept_as_typed_and_nothing_of_others(store: Store) -> None:
    live(store, ANN, "I am ann@example.org")
    live(store, BEN, "I am ben@example.org")
    found = store.owners.export(ANN)
    (conversation,) = found["conversations"]
    assert [m["content"] for m in conversation["messages"]] == ["I am ann@example.org", "Noted."]
    assert conversation["memory"] == {"identified": {"FK-1": "I am ann@example.org"}}
    assert found["samples"][0]["content"] == "I am ann@example.org"
    assert found["feedback"][0]["correction"] == "Better: I am ann@example.org"
    assert found["tickets"][0]["packet"]["transcript"][0]["content"] == "I am ann@example.org"
    assert "ben" not in json.dumps(found)


def test_what_leaves_for_others_carries_no_address_number_or_owner(store: Store) -> None:
    live(store, ANN, "Mail ann@example.org or call +44 20 7946 0958, 我的手机是 13812345678")
    text_ = json.dumps(store.owners.export(ANN, redacted=True), ensure_ascii=False)
    for secret in ("ann@example.org", "7946", "13812345678", ANN):
        assert secret not in text_
    assert text_.count("<EMAIL>") >= 6


def test_deletion_takes_all_of_one_owner_and_nothing_of_another(store: Store) -> None:
    live(store, ANN, "one")
    live(store, ANN, "two")
    kept = live(store, BEN, "three")
    before = store.owners.export(BEN)
    assert store.owners.erase(ANN) == (2, 6, 2, 2)
    assert store.owners.erase(ANN) == (0, 0, 0, 0)
    assert rows(store) == [1, 3, 1, 1]
    assert store.owners.export(BEN) == before
    assert store.conversations.list(BEN)[0].id == kept
    with pytest.raises(NotFound, match="nothing is kept of the owner"):
        store.owners.known(ANN)


def test_retention_takes_tickets_and_memory_with_the_conversation(store: Store) -> None:
    from datetime import timedelta

    old = live(store, ANN, "old@example.org")
    with store.write() as session:
        session.get_one(Conversation, old).updated = utc_now() - timedelta(days=91)
        for message in session.scalars(select(Message)):
            message.created = utc_now() - timedelta(days=91)
    assert store.maintenance.retention(90) == (1, 1)
    assert rows(store) == [0, 0, 0, 0]


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Another empty database, of each kind."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    if request.param == "postgresql":
        from tests import helpers_postgres

        url = helpers_postgres.new_database(request.getfixturevalue("postgres"))
    opened = open_store(url)
    yield opened
    opened.close()


def test_a_backup_is_restored_on_either_database(
    store: Store, other: Store, tmp_path: Path
) -> None:
    store.orders.load_demo(DEMO)
    live(store, ANN, "包裹在哪里？ 🫖")
    store.conversations.create(BEN, "en")  # without a memory: NULL stays NULL
    store.users.add("ann", "admin", "hash")
    store.users.begin("ann", "token", utc_now())
    live(other, BEN, "is replaced")
    file = tmp_path / "b.jsonl.gz"
    written = backup.backup(store, file)
    assert file.stat().st_mode & 0o077 == 0
    assert backup.restore(other, file) == written == backup.count(store) == backup.count(other)
    assert dump(other) == dump(store)
    with other.read() as session:
        assert session.scalar(text("select count(*) from conversations where memory is null")) == 1
        assert session.scalar(text("select count(*) from logins")) == 0


def test_a_backup_is_of_one_moment_while_the_app_writes(store: Store, tmp_path: Path) -> None:
    conversation = live(store, ANN, "first")
    lines = backup._lines(store)
    next(lines)  # the snapshot stands
    late = store.conversations.append(ANN, conversation, "user", "too late for it")
    assert late not in "".join(lines)
    assert backup.backup(store, tmp_path / "b.gz") > 0
    assert late in unpacked(tmp_path / "b.gz")


def _cut(lines: list[str]) -> list[str]:
    return lines[:-1]


def _newer(lines: list[str]) -> list[str]:
    return [lines[0].replace('"0', '"9'), *lines[1:]]


def _bad_row(lines: list[str]) -> list[str]:
    return [lines[0], '{"table": "messages", "row": {"secret words": 1}}\n', *lines[1:]]


def _orphan(lines: list[str]) -> list[str]:
    row = {"id": "1", "message_id": "nowhere", "owner": "a", "rating": 1, "consent": False,
           "created": "2026-01-01T00:00:00+00:00"}  # fmt: skip
    line = json.dumps({"table": "feedback", "row": row}) + "\n"
    return [*lines[:-1], line, json.dumps({"end": len(lines) - 1}) + "\n"]


def _not_ours(lines: list[str]) -> list[str]:
    return ["{}\n", *lines]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_cut, "cut short"), (_newer, "newer Frontdesk"), (_bad_row, "damaged"),
        (_not_ours, "something else"), (_orphan, "do not fit"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_broken_or_newer_backup_changes_nothing(
    store: Store, tmp_path: Path, spoil: Callable[[list[str]], list[str]], told: str
) -> None:
    live(store, ANN, "kept")
    file = tmp_path / "b.gz"
    backup.backup(store, file)
    before = dump(store)
    lines = spoil(unpacked(file).splitlines(keepends=True))
    with gzip.open(file, "wt") as stream:
        stream.writelines(lines)
    with pytest.raises(InputError, match=told) as raised:
        backup.restore(store, file)
    assert "secret" not in raised.value.message
    assert dump(store) == before


@pytest.mark.parametrize("content", [b"", b"\x00\xff not gzip", b"cut"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_file_that_is_no_backup_is_a_sentence(
    store: Store, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "b.gz"
    backup.backup(store, file)
    file.write_bytes(file.read_bytes()[:40] if content == b"cut" else content)
    with pytest.raises(InputError, match=r"damaged or something else|cut short"):
        backup.restore(store, file)
    with pytest.raises(InputError, match="no such file"):
        backup.restore(store, tmp_path / "absent.gz")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_commands_say_what_they_do_and_ask_before_they_destroy(
    store: Store, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("FRONTDESK_DATABASE_URL", database)
    monkeypatch.setenv("DATABASE_URL", database)
    live(store, ANN, "my words, ann@example.org")
    file = str(tmp_path / "b.gz")

    def said(*arguments: str, status: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["data", *arguments])
        assert ended.value.code == status
        out = capsys.readouterr()
        return out.err if status else out.out

    assert "my words, ann@example.org" in json.loads(said("export", ANN))["conversations"][0][
        "messages"][0]["content"]  # fmt: skip
    assert "ann@example.org" not in said("export", ANN, "--redacted")
    assert "no" not in said("backup", file)[:2]
    assert "nothing is kept of the owner" in said("export", "visitor:nobody", status=2)
    assert "nothing is kept of the owner" in said("delete", "visitor:nobody", "--yes", status=2)
    assert "say --yes" in said("delete", ANN, status=2)
    assert "1 conversations, 3 messages, 1 feedback, 1 tickets" in said("delete", ANN, "--yes")
    assert "restored" in said("restore", file)  # the database is empty: nothing to lose
    assert rows(store) == [1, 3, 1, 1]
    assert "which a restore replaces" in said("restore", file, status=2)
    assert "restored" in said("restore", file, "--yes")
