"""The store: whose conversation it is, what survives, what is deleted, what may be trained on."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from app.core.errors import ConfigError, InputError, NotFound
from app.core.files import DEMO, ROOT
from app.core.records import read_rows
from app.store.db import Store, open_store
from app.store.models import Base, Conversation, Feedback, Message, OrderLine, utc_now

CITED = {"id": "returns", "title": "Returns", "url": "/help/returns", "passage": "30 days."}


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def talk(store: Store, owner: str = "visitor:a", question: str = "Where is it?") -> tuple[str, str]:
    """A conversation with one exchange: (conversation id, id of the answer)."""
    conversation = store.conversations.create(owner, "en")
    store.conversations.append(owner, conversation, "user", question)
    answer = store.conversations.append(
        owner, conversation, "assistant", "On its way.", citations=[CITED], release="support-1",
        prompt_version="support/1", finish="stop", confidence=0.5,
    )  # fmt: skip
    return conversation, answer


def age(store: Store, table: type[Base], column: str, days: int) -> None:
    with store.write() as session:
        for row in session.scalars(select(table)):
            setattr(row, column, utc_now() - timedelta(days=days))


def test_history_gives_back_what_was_said_in_order(store: Store) -> None:
    conversation, _ = talk(store, question="包裹在哪里？ 🫖")
    store.conversations.append("visitor:a", conversation, "user", "And now?")
    turns = store.conversations.history("visitor:a", conversation)
    assert [(t.role, t.content) for t in turns] == [
        ("user", "包裹在哪里？ 🫖"), ("assistant", "On its way."), ("user", "And now?"),
    ]  # fmt: skip
    assert turns[1].citations == [CITED]
    assert (turns[1].finish, turns[1].confidence, turns[1].rating) == ("stop", 0.5, None)


def test_times_are_aware_and_in_utc(store: Store) -> None:
    conversation, _ = talk(store)
    created = store.conversations.history("visitor:a", conversation)[0].created
    assert created.tzinfo == UTC
    assert abs((utc_now() - created).total_seconds()) < 60


def test_somebody_elses_conversation_is_not_found(store: Store) -> None:
    conversation, answer = talk(store)
    conversations = store.conversations
    with pytest.raises(NotFound, match="no such conversation of yours"):
        conversations.get("visitor:b", conversation)
    with pytest.raises(NotFound, match="no such conversation of yours"):
        conversations.history("visitor:b", conversation)
    with pytest.raises(NotFound, match="no such conversation of yours"):
        conversations.append("visitor:b", conversation, "user", "let me in")
    with pytest.raises(NotFound, match="no such answer of yours"):
        conversations.rateable("visitor:b", answer)
    assert len(conversations.history("visitor:a", conversation)) == 2
    assert conversations.list("visitor:b") == []


def test_the_list_shows_the_latest_first_by_its_first_question(store: Store) -> None:
    first, _ = talk(store, question="one " * 40)
    second, _ = talk(store, question="two")
    store.conversations.create("visitor:a", "en")  # never asked: not shown
    assert [s.title for s in store.conversations.list("visitor:a")] == [
        "two", store.conversations.get("visitor:a", first).title,
    ]  # fmt: skip
    assert len(store.conversations.get("visitor:a", first).title) <= 60
    store.conversations.append("visitor:a", first, "user", "again")
    assert [s.id for s in store.conversations.list("visitor:a")] == [first, second]


def test_a_conversation_is_renamed_by_its_owner_and_an_empty_name_goes_back(store: Store) -> None:
    conversation, _ = talk(store, question="Where is it?")
    store.conversations.rename("visitor:a", conversation, "  The lost\n parcel ")
    assert store.conversations.get("visitor:a", conversation).title == "The lost parcel"
    assert [c.title for c in store.conversations.list("visitor:a")] == ["The lost parcel"]
    store.conversations.rename("visitor:a", conversation, "x" * 999)
    assert len(store.conversations.get("visitor:a", conversation).title) == 60
    store.conversations.rename("visitor:a", conversation, " ")
    assert store.conversations.get("visitor:a", conversation).title == "Where is it?"


def test_a_deleted_conversation_is_gone_with_all_that_hangs_on_it(store: Store) -> None:
    gone, answer = talk(store)
    kept, _ = talk(store, question="And this?")
    store.feedback.add("visitor:a", answer, 1, consent=True)
    store.conversations.delete("visitor:a", gone)
    assert [c.id for c in store.conversations.list("visitor:a")] == [kept]
    assert store.feedback.consented("support") == []
    with store.read() as session:
        assert {m.conversation_id for m in session.scalars(select(Message))} == {kept}


def test_nobody_renames_or_deletes_what_is_not_theirs(store: Store) -> None:
    conversation, _ = talk(store)
    for act in (store.conversations.delete, lambda o, c: store.conversations.rename(o, c, "Ha")):
        for who, which in (("visitor:b", conversation), ("visitor:a", "nonsense")):
            with pytest.raises(NotFound):
                act(who, which)
    assert store.conversations.get("visitor:a", conversation).title == "Where is it?"


def test_only_answers_and_kept_predictions_can_be_rated(store: Store) -> None:
    conversation, answer = talk(store)
    question = store.conversations.history("visitor:a", conversation)[0].id
    kept = store.conversations.keep_sample("visitor:a", "nice", "positive", 0.9, "s-1", None)
    assert store.conversations.rateable("visitor:a", answer).kind == "chat"
    assert store.conversations.rateable("visitor:a", kept).predicted == "positive"
    with pytest.raises(NotFound, match="no such answer"):
        store.conversations.rateable("visitor:a", question)


def test_feedback_given_again_replaces_rating_and_consent(store: Store) -> None:
    conversation, answer = talk(store)
    store.feedback.add("visitor:a", answer, 1, consent=True)
    store.feedback.add("visitor:a", answer, -1, correction="It left today.", consent=False)
    assert store.conversations.history("visitor:a", conversation)[1].rating == -1
    assert store.feedback.consented("support") == []
    with store.read() as session:
        assert len(session.scalars(select(Feedback)).all()) == 1


def test_consented_support_feedback_carries_question_history_and_citations(store: Store) -> None:
    conversation, _ = talk(store)
    store.conversations.append("visitor:a", conversation, "user", "How long?")
    answer = store.conversations.append(
        "visitor:a", conversation, "assistant", "2 days", citations=[CITED], release="support-1"
    )
    store.feedback.add("visitor:a", answer, -1, correction="2 to 4 days", consent=True)
    (sample,) = store.feedback.consented("support")
    assert (sample.text, sample.answer, sample.correction) == ("How long?", "2 days", "2 to 4 days")
    assert sample.history == [
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "On its way."},
    ]
    assert sample.citations == [CITED]
    assert (sample.feature, sample.owner, sample.synthetic) == ("support", "visitor:a", False)
    assert store.feedback.consented("sentiment") == []


def test_the_question_of_an_agents_answer_is_the_users_whatever_was_noted_between(
    store: Store,
) -> None:
    conversation, _ = talk(store)
    said = store.conversations.append
    said("visitor:a", conversation, "user", "How long?")
    said("visitor:a", conversation, "assistant", "A person answers now.", finish="stop")
    answer = said("visitor:a", conversation, "assistant", "2 days", author="alex")
    store.feedback.add("visitor:a", answer, 1, consent=True)
    (sample,) = store.feedback.consented("support")
    assert (sample.text, sample.answer) == ("How long?", "2 days")
    assert [turn["content"] for turn in sample.history] == ["Where is it?", "On its way."]


def test_consented_sentiment_feedback_carries_text_label_and_correction(store: Store) -> None:
    keep = store.conversations.keep_sample
    wrong = keep("visitor:a", "not bad at all", "negative", 0.8, "sentiment-1", "sentiment/1")
    silent = keep("visitor:a", "private words", "negative", 0.8, "sentiment-1", "sentiment/1")
    store.feedback.add("visitor:a", wrong, -1, correction="positive", consent=True)
    store.feedback.add("visitor:a", silent, -1, correction="positive", consent=False)
    (sample,) = store.feedback.consented("sentiment")
    assert (sample.text, sample.answer, sample.correction) == (
        "not bad at all", "negative", "positive",
    )  # fmt: skip
    assert sample.history == []


def test_retention_deletes_old_conversations_with_all_that_hangs_on_them(store: Store) -> None:
    _, answer = talk(store)
    kept = store.conversations.keep_sample("visitor:a", "nice", "positive", 0.9, "s-1", None)
    store.feedback.add("visitor:a", answer, 1)
    store.feedback.add("visitor:a", kept, 1)
    age(store, Conversation, "updated", 91)
    age(store, Message, "created", 91)
    fresh, _ = talk(store, question="fresh")
    assert store.maintenance.retention(90) == (1, 1)
    assert [s.id for s in store.conversations.list("visitor:a")] == [fresh]
    with store.read() as session:
        assert session.scalars(select(Feedback)).all() == []
        assert {m.conversation_id for m in session.scalars(select(Message))} == {fresh}


def test_retention_keeps_a_conversation_that_went_on(store: Store) -> None:
    conversation, _ = talk(store)
    age(store, Message, "created", 91)
    age(store, Conversation, "updated", 89)
    assert store.maintenance.retention(90) == (0, 0)
    assert len(store.conversations.history("visitor:a", conversation)) == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_sqlite_runs_in_wal_with_foreign_keys_and_patience(store: Store) -> None:
    with store.engine.connect() as connection:
        pragmas = {
            name: connection.execute(text(f"pragma {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert pragmas == {
        "journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000, "synchronous": 2,
    }  # fmt: skip


def test_many_writers_lose_nothing(store: Store) -> None:
    conversation, _ = talk(store)
    faults: list[Exception] = []

    def write(number: int) -> None:
        try:
            for n in range(10):
                store.conversations.append("visitor:a", conversation, "user", f"{number}-{n}")
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    said = [t.content for t in store.conversations.history("visitor:a", conversation)[2:]]
    assert sorted(said) == sorted(f"{number}-{n}" for number in range(6) for n in range(10))


def test_a_failed_transaction_leaves_no_trace(store: Store) -> None:
    conversation, _ = talk(store)
    with pytest.raises(RuntimeError, match="halfway"), store.write() as session:
        session.add(Message(conversation_id=conversation, owner="visitor:a", position=2,
                            role="user", content="lost"))  # fmt: skip
        session.flush()
        raise RuntimeError("halfway")
    assert len(store.conversations.history("visitor:a", conversation)) == 2


WRITER = """
import sys
from app.store.db import open_store
store = open_store(sys.argv[1])
conversation = store.conversations.create("visitor:a", "en")
while True:
    print(store.conversations.append("visitor:a", conversation, "user", "word " * 50), flush=True)
"""


def test_a_killed_process_loses_no_message_that_it_confirmed(python: str, database: str) -> None:
    confirmed: set[str] = set()
    for _ in range(3):
        writer = subprocess.Popen(
            [python, "-c", WRITER, database], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        confirmed.update(writer.stdout.readline().strip() for _ in range(20))
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate()[0]
        confirmed.update(line for line in rest.splitlines() if len(line) == 32)
    store = open_store(database)
    with store.read() as session:
        stored = set(session.scalars(select(Message.id)))
        if store.engine.dialect.name == "sqlite":
            assert session.scalar(text("pragma integrity_check")) == "ok"
    store.close()
    assert len(confirmed) >= 60
    assert confirmed <= stored


def test_the_demo_shop_is_loaded_whole_and_once(store: Store) -> None:
    counts = store.orders.load_demo(DEMO)
    rows = read_rows(DEMO / "shop" / "orders.csv")
    assert counts.lines == len(rows)
    assert counts.orders == len({row["order"] for row in rows})
    assert store.orders.load_demo(DEMO) == counts
    with store.read() as session:
        cents = sum(line.quantity * line.price_cents for line in session.scalars(select(OrderLine)))
    expected = sum(int(r["quantity"]) * round(float(r["price"]) * 100) for r in rows)
    assert cents == expected


def test_a_bad_row_of_the_shop_is_named_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    before = store.orders.load_demo(DEMO)
    (tmp_path / "recommend").mkdir()
    (tmp_path / "recommend" / "items.csv").write_text(
        "item,title,category,price,stock\ntea,Tea,Tea,four euro,3\n"
    )
    with pytest.raises(InputError, match=r"items\.csv:2: expected a price such as 4\.90"):
        store.orders.load_demo(tmp_path)
    assert store.orders.counts() == before


def test_every_table_can_be_made_on_postgresql() -> None:
    made = [
        str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for table in Base.metadata.sorted_tables
    ]
    assert any("TIMESTAMP WITH TIME ZONE" in statement for statement in made)
    assert len(made) == 14


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "expected an SQLAlchemy URL"),
        ("oracle+nothing://x/y", "expected an SQLAlchemy URL"),
        ("postgresql+asyncpgg://x/y", "expected an SQLAlchemy URL"),
    ],
)
def test_a_url_that_names_no_database_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_store(url)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write in .*file"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'test.db'}")


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("shopping list: tea, more tea, " * 20)
    with pytest.raises(InputError, match=r"notes\.db cannot be used: file is not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_text().startswith("shopping list")


def test_the_sqlite_library_here_knows_what_we_ask_of_it() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35)


def test_history_tells_who_wrote_and_what_it_was_taken_for(store: Store) -> None:
    conversation, _ = talk(store)
    append = store.conversations.append
    append("visitor:a", conversation, "assistant", "Done.", intent="cancel")
    append("visitor:a", conversation, "assistant", "I am Ann.", author="ann")
    turns = store.conversations.history("visitor:a", conversation)
    assert [(t.author, t.intent) for t in turns[1:]] == [
        (None, None), (None, "cancel"), ("ann", None),
    ]  # fmt: skip
