"""Answers that agents write: which questions get them, at once, and which answers are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import update

from app.core.errors import NotFound
from app.models.encoder import HashEncoder
from app.store.curated import Declined
from app.store.db import Store, open_store
from app.store.models import Curated as Row
from app.store.models import utc_now
from app.support.chat import SupportChat
from app.support.curated import Curated, same_subject
from app.support.declined import grouped

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Everything:
    """An encoder to which all texts are the same: what is left is what the words say."""

    name, dim = "same", 2

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.tile(np.array([1.0, 0.0], np.float32), (len(texts), 1))


@pytest.fixture
def url(database: str) -> str:
    return database


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


# Which question gets it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Do you rent out the roastery?", True),
        ("do you  RENT out the roastery", True),
        ("Do you sell the roastery?", False),
        ("你们的烘焙坊能租吗", False),
    ],
)
def test_the_same_words_find_it_without_an_encoder(store: Store, asked: str, found: bool) -> None:
    store.curated.add("Do you rent out the roastery?", "No.", "en", "alex")
    assert (Curated(store.curated).find(asked) is not None) is found


@pytest.mark.parametrize(
    ("written", "asked", "same"),
    [
        ("Do you roast green beans for me?", "Could you roast my green beans?", True),
        ("Do you ship to Norway?", "Do you ship to Sweden?", False),
        ("Can I return it after 30 days?", "Can I return it after 60 days?", False),
        ("Can I return the kettle?", "Can I not return the kettle?", False),
        ("Do you ship to Norway?", "Do you ship to Norway on Sundays?", True),
        ("能寄到挪威吗？", "能不能寄到挪威？", True),
        ("能寄到挪威吗？", "能寄到瑞典吗？", False),
        ("茶叶可以退吗？", "茶叶不可以退吗？", False),
    ],
)
def test_near_questions_must_also_name_the_same(written: str, asked: str, same: bool) -> None:
    assert same_subject(asked, written) is same


def test_nearness_alone_is_not_enough_and_words_alone_are_not_either(store: Store) -> None:
    store.curated.add("Do you ship to Norway?", "Yes.", "en", "alex")
    near = Curated(store.curated, Everything())
    assert near.find("Would you even ship to Norway?") is not None
    assert near.find("Would you even ship to Sweden?") is None
    far = Curated(store.curated, HashEncoder())
    assert far.find("Norway is a country whose capital is Oslo, where you do not ship") is None


def test_chinese_is_near_by_its_characters(store: Store) -> None:
    store.curated.add("你们能寄到挪威吗？", "可以。", "zh", "alex")
    lookup = Curated(store.curated, Everything())
    found = lookup.find("你们能寄到挪威么")
    assert found is not None
    assert found.answer == "可以。"
    assert lookup.find("你们能寄到瑞典吗？") is None
    assert lookup.find("Do you ship to Norway?") is None


def test_it_is_live_at_once_in_every_process(store: Store, url: str) -> None:
    elsewhere = open_store(url)
    lookup = Curated(elsewhere.curated)
    asked = "Do you rent out the roastery?"
    assert lookup.find(asked) is None
    row = store.curated.add(asked, "No.", "en", "alex")
    assert lookup.find(asked) == row
    store.curated.edit(row.id, asked, "Yes, on Sundays.", "en", "bea")
    found = lookup.find(asked)
    assert found is not None
    assert (found.answer, found.author) == ("Yes, on Sundays.", "bea")
    store.curated.delete(row.id)
    assert lookup.find(asked) is None
    elsewhere.close()


def test_a_change_is_live_even_if_the_clock_goes_back(store: Store) -> None:
    book, lookup = store.curated, Curated(store.curated)
    gone, row = (book.add(asked, "No.", "en", "alex") for asked in ("Gift wrap?", "By invoice?"))
    with store.write() as session:  # written by a machine whose clock is ahead
        session.execute(update(Row).values(updated=utc_now().replace(year=2100)))
    assert lookup.find("By invoice?") is not None
    seen = [book.revision()]
    book.edit(row.id, "By invoice?", "Yes.", "en", "bea")
    found = lookup.find("By invoice?")
    assert (found and found.answer) == "Yes."
    seen.append(book.revision())
    book.delete(gone.id)
    seen.append(book.revision())
    book.add("Gift cards?", "Yes.", "en", "bea")  # as many as before, and of another time
    seen.append(book.revision())
    assert len(set(seen)) == len(seen)


def test_what_is_gone_cannot_be_edited(store: Store) -> None:
    with pytest.raises(NotFound, match="deleted meanwhile"):
        store.curated.edit("none", "q", "a", "en", "alex")
    with pytest.raises(NotFound, match="deleted meanwhile"):
        store.curated.delete("none")


def test_it_comes_before_articles_and_model(store: Store) -> None:
    docs = [{"id": "returns", "title": "Returns", "text": "You have 30 days to return things."}]
    chat = SupportChat.of_system("base", docs, model="scripted")
    before = chat.answer("How many days do I have to return things?")
    assert "30 days" in before.text
    chat.curated = Curated(store.curated, chat.encoder)
    row = store.curated.add("How many days do I have to return things?", "45.", "en", "alex")
    after = chat.answer("how many days do I have to return things")
    assert (after.text, after.declined, after.confidence) == ("45.", False, 1.0)
    assert after.notes == [f"curated: {row.id}"]
    assert chat.over(docs).answer("How many days do I have to return things?").text == "45."


# Which are missing -------------------------------------------------------------------------------


def declined(*texts: str) -> list[Declined]:
    return [Declined(text, NOW - timedelta(minutes=n)) for n, text in enumerate(texts)]


def test_declined_questions_are_grouped_and_counted() -> None:
    groups = grouped(
        declined("Do you ship to Norway?", "Gift wrap?", "would you even ship to Norway",
                 "do you ship to norway", "Do you ship to Sweden?", "能寄到挪威吗？"),
        Everything(),
    )  # fmt: skip
    assert [(g.question, g.language, g.times) for g in groups] == [
        ("Do you ship to Norway?", "en", 3), ("Gift wrap?", "en", 1),
        ("Do you ship to Sweden?", "en", 1), ("能寄到挪威吗？", "zh", 1),
    ]  # fmt: skip
    assert groups[0].others == ("would you even ship to Norway",)
    assert groups[0].latest == NOW


def test_personal_data_is_not_shown_in_the_list() -> None:
    [group] = grouped(declined("Why does ada@example.com get no mail? Call +44 20 7946 0958"))
    assert "ada@" not in group.question
    assert "7946" not in group.question


def test_what_has_an_answer_by_now_is_left_out(store: Store) -> None:
    talk = store.conversations.create("visitor:a", "en")
    for question, finish in (("Gift wrap?", "declined"), ("Where is it?", "stop")):
        store.conversations.append("visitor:a", talk, "user", question)
        store.conversations.append("visitor:a", talk, "assistant", "...", finish=finish)
    found = store.curated.declined(days=30)
    assert [d.text for d in found] == ["Gift wrap?"]
    store.curated.add("Gift wrap?", "Yes.", "en", "alex")
    written = Curated(store.curated)
    assert grouped(found, None, lambda text: written.find(text) is not None) == []
