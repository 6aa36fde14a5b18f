"""Services: a turn and its memory, quotas, feedback, and what a caller may not do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.core.errors import InputError, NotFound, NotReady, TooLarge, TooMany
from app.core.settings import Settings
from app.services import ChatPart, Services
from app.serving.quota import counted
from app.store.models import Conversation, Message, utc_now
from tests.helpers_server import Fakes, make_services, watching

ME, OTHER = "visitor:me", "visitor:other"


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def services(fakes: Fakes) -> Iterator[Services]:
    made = make_services(fakes)
    yield made
    made.stop()
    made.store.close()


def say(
    services: Services, text: str, conversation: str | None = None, owner: str = ME
) -> ChatPart:
    """A whole turn; its last part."""
    return list(services.chat(owner, text, conversation_id=conversation))[-1]


def turns(services: Services, conversation: str) -> list[tuple[str, str, str | None]]:
    stored = services.store.conversations.history(ME, conversation)
    return [(t.role, t.content.strip(), t.finish) for t in stored]


def test_the_first_part_has_the_ids_and_comes_after_the_question_is_stored(
    services: Services,
) -> None:
    parts = services.chat(ME, "  where is my tea?\x00 ")
    first = next(parts)
    assert (first.text, first.done) == ("", False)
    assert turns(services, first.conversation_id) == [("user", "where is my tea?", None)]
    last = list(parts)[-1]
    assert last.done
    assert last.message_id == first.message_id
    stored = services.store.conversations.history(ME, first.conversation_id)[1]
    assert (stored.id, stored.content.strip(), stored.finish, stored.release) == (
        first.message_id, "where is my tea?", "stop", "support-1",
    )  # fmt: skip
    assert stored.citations[0]["id"] == "returns"


def test_the_parts_joined_are_the_answer(services: Services) -> None:
    parts = list(services.chat(ME, "one two three"))
    assert "".join(part.text for part in parts) == "one two three "
    assert parts[-1].answer is not None
    assert [part.done for part in parts] == [False, False, False, False, True]


def test_earlier_turns_come_from_the_store(services: Services, fakes: Fakes) -> None:
    first = say(services, "one")
    say(services, "two", first.conversation_id)
    assert [(m.role, m.content) for m in fakes.support.heard[1]] == [
        ("user", "one"), ("assistant", "one "),
    ]  # fmt: skip


def test_a_question_whose_answer_never_came_is_not_given_to_the_model(
    services: Services, fakes: Fakes
) -> None:
    first = say(services, "one")
    services.store.conversations.append(ME, first.conversation_id, "user", "killed")
    say(services, "three", first.conversation_id)
    assert [m.content for m in fakes.support.heard[-1]] == ["one", "one "]


def test_somebody_elses_conversation_is_refused_before_anything_is_stored(
    services: Services, fakes: Fakes
) -> None:
    mine = say(services, "one")
    with pytest.raises(NotFound, match="no such conversation of yours"):
        say(services, "let me in", mine.conversation_id, owner=OTHER)
    assert len(turns(services, mine.conversation_id)) == 2
    assert len(fakes.support.heard) == 1


@pytest.mark.parametrize("text", ["", "  \n\t ", "\x00\x01"])
def test_an_empty_message_is_refused(services: Services, text: str) -> None:
    with pytest.raises(InputError, match="your message is empty"):
        say(services, text)
    assert services.store.conversations.list(ME) == []


def test_a_message_of_a_megabyte_is_refused_with_its_bound(services: Services) -> None:
    with pytest.raises(TooLarge, match=r"1,000,000 characters; at most 2,000"):
        say(services, "x" * 1_000_000)


def test_closing_the_iterator_stops_the_model_and_keeps_what_was_said(
    services: Services, fakes: Fakes
) -> None:
    parts = services.chat(ME, "one two three four")
    for _ in range(3):
        part = next(parts)
    parts.close()  # type: ignore[attr-defined]
    assert fakes.support.closed.is_set()
    assert turns(services, part.conversation_id)[1] == ("assistant", "one two", "cancelled")


def test_setting_cancel_ends_the_turn_as_cancelled(services: Services) -> None:
    cancel = threading.Event()
    parts = services.chat(ME, "one two three", cancel=cancel)
    next(parts)
    second = next(parts)
    cancel.set()
    last = list(parts)[-1]
    assert last.answer is not None
    assert last.answer.finish == "cancelled"
    assert turns(services, second.conversation_id)[1] == ("assistant", "one", "cancelled")


def test_stopping_the_services_stops_the_turns_under_way(services: Services) -> None:
    parts = services.chat(ME, "one two three")
    next(parts)
    services.stop()
    last = list(parts)[-1]
    assert last.answer is not None
    assert last.answer.finish == "cancelled"


def test_an_answer_that_breaks_is_stored_as_far_as_it_got(services: Services) -> None:
    parts = services.chat(ME, "one explode")
    first = next(parts)
    with pytest.raises(RuntimeError, match="secret"):
        list(parts)
    assert turns(services, first.conversation_id)[1] == ("assistant", "one", "error")


def test_a_visitor_has_one_turn_at_a_time_and_others_are_not_held_up(services: Services) -> None:
    parts = services.chat(ME, "one two")
    next(parts)
    with pytest.raises(TooMany, match="still being answered"):
        next(services.chat(ME, "and another"))
    assert say(services, "hello", owner=OTHER).done
    list(parts)
    assert say(services, "now again").done


def test_the_message_after_the_limit_is_refused_with_the_seconds_to_wait(fakes: Fakes) -> None:
    services = make_services(fakes, messages_per_minute=3)
    for _ in range(3):
        say(services, "hello")
    with pytest.raises(TooMany, match="more than 3 requests in a minute") as refused:
        say(services, "one too many")
    assert 1 <= refused.value.retry_after_s <= 60
    assert say(services, "hello", owner=OTHER).done
    services.store.close()


def test_the_quota_counts_who_it_is_told_to_count(fakes: Fakes) -> None:
    services = make_services(fakes, messages_per_minute=1)
    list(services.chat("visitor:1", "hello", quota="address:10.0.0.9"))
    with pytest.raises(TooMany, match="more than 1"):
        list(services.chat("visitor:2", "hello", quota="address:10.0.0.9"))
    services.store.close()


def test_one_visitor_has_one_turn_at_a_time_from_wherever(fakes: Fakes) -> None:
    services = make_services(fakes)
    turn = services.chat("visitor:1", "one two", quota=counted("visitor:1", "10.0.0.9"))
    next(turn)
    with pytest.raises(TooMany, match="still being answered"):
        list(services.chat("visitor:1", "hello", quota=counted("visitor:1", "10.0.0.8")))
    list(turn)
    services.store.close()


def test_before_the_models_are_there_calls_say_so_and_store_nothing(fakes: Fakes) -> None:
    services = Services(Settings(), load=fakes.loaders())
    with pytest.raises(NotReady, match="waking up"):
        say(services, "hello")
    with pytest.raises(NotReady, match="waking up"):
        services.classify(["good"], ME)
    with pytest.raises(NotReady, match="waking up"):
        services.recommend(ME)
    assert services.store.conversations.list(ME) == []
    assert services.ready() == (False, {key: {"state": "loading"} for key in fakes.loaders()})
    services.store.close()


def test_classifying_keeps_a_text_only_when_asked(services: Services) -> None:
    (gone,) = services.classify(["good tea"], ME)
    (kept,) = services.classify(["bad tea"], ME, keep=True)
    assert (gone.prediction.label, gone.message_id) == ("positive", None)
    with services.store.read() as session:
        rows = session.scalars(select(Message)).all()
    assert [(row.id, row.content, row.predicted) for row in rows] == [
        (kept.message_id, "bad tea", "negative")
    ]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "at least one text"),
        ([" "], "the text is empty"),
        (["x"] * 65, "at most 64 in one call, found 65"),
        (["x" * 5001], "5,001 characters; at most 5,000"),
    ],
)
def test_texts_are_bounded(services: Services, texts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        services.classify(texts, ME)


def test_feedback_reaches_the_training_rows_only_with_consent(services: Services) -> None:
    chatted = say(services, "hello")
    (kept,) = services.classify(["bad tea"], ME, keep=True)
    assert kept.message_id
    services.feedback(ME, chatted.message_id, -1, correction="Hello!", consent=True)
    services.feedback(ME, kept.message_id, -1, correction="positive")
    assert [s.correction for s in services.store.feedback.consented("support")] == ["Hello!"]
    assert services.store.feedback.consented("sentiment") == []


def test_feedback_is_refused_for_others_messages_bad_ratings_and_unknown_labels(
    services: Services,
) -> None:
    chatted = say(services, "hello")
    (kept,) = services.classify(["bad tea"], ME, keep=True)
    assert kept.message_id
    with pytest.raises(NotFound, match="no such answer of yours"):
        services.feedback(OTHER, chatted.message_id, 1)
    with pytest.raises(InputError, match="rating: expected 1 or -1, found 5"):
        services.feedback(ME, chatted.message_id, 5)
    with pytest.raises(InputError, match="expected one of negative, positive, found 'great'"):
        services.feedback(ME, kept.message_id, -1, correction="great")
    with pytest.raises(TooLarge, match="at most 5,000"):
        services.feedback(ME, chatted.message_id, -1, correction="x" * 5001)


def test_what_is_liked_and_looked_for_is_bounded(services: Services) -> None:
    with pytest.raises(TooLarge, match="at most 100 products, found 101"):
        services.recommend(ME, liked=["tea"] * 101)
    with pytest.raises(TooLarge, match="at most 5,000"):
        services.recommend(ME, query="x" * 5001)


def test_the_sweep_follows_the_brief(services: Services) -> None:
    old = say(services, "hello").conversation_id
    with services.store.write() as session:
        row = session.get(Conversation, old)
        assert row is not None
        row.updated = utc_now() - timedelta(days=services.brief.retention_days + 1)
    services.sweep()
    assert services.store.conversations.list(ME) == []


def test_the_background_thread_loads_sweeps_and_ends(fakes: Fakes) -> None:
    services = Services(Settings(), load=fakes.loaders())
    swept = threading.Event()
    services._watcher._daily = swept.set
    services.start()
    assert swept.wait(5)
    assert services.ready().ready
    services.stop()
    assert not watching()
    services.store.close()
