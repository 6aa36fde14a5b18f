"""A question asked anew: what is shown, what is kept, what models and training are given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.core.errors import InputError, NotFound
from app.services import Services
from app.store.db import Store
from app.store.models import Message
from tests.helpers_ui import ANSWER, FakeSupport, services

ME = "visitor:a"


@pytest.fixture
def model() -> FakeSupport:
    return FakeSupport()


@pytest.fixture
def desk(tmp_path: Path, model: FakeSupport) -> Iterator[Services]:
    ready = services(model, database_url=f"sqlite:///{tmp_path / 'b.db'}", secret="of the tests")
    ready.load()
    yield ready
    ready.store.close()


def ask(desk: Services, text: str, conversation: str | None = None, **more: Any) -> str:
    """One turn; its conversation."""
    parts = list(desk.chat(ME, text, conversation_id=conversation, **more))
    return parts[-1].conversation_id


def shown(store: Store, conversation: str, **more: Any) -> list[str]:
    return [turn.content for turn in store.conversations.history(ME, conversation, **more)]


def question(store: Store, conversation: str) -> str:
    """Id of the last question."""
    turns = store.conversations.history(ME, conversation)
    return [turn.id for turn in turns if turn.role == "user"][-1]


def test_an_edited_question_takes_the_place_of_the_old_one_which_is_kept(
    desk: Services, model: FakeSupport
) -> None:
    store = desk.store
    talk = ask(desk, "First?")
    ask(desk, "Secnod?", talk)
    ask(desk, "Second?", talk, replaces=question(store, talk))
    assert shown(store, talk) == ["First?", ANSWER, "Second?", ANSWER]
    assert shown(store, talk, replaced=True) == [
        "First?", ANSWER, "Secnod?", ANSWER, "Second?", ANSWER
    ]  # fmt: skip
    everything = store.conversations.history(ME, talk, replaced=True)
    assert [t.finish for t in everything if t.role == "user"] == [None, "replaced", None]
    assert [m.content for m in model.histories[-1]] == ["First?", ANSWER]


def test_the_first_question_can_be_asked_again_and_again_and_names_the_conversation(
    desk: Services, model: FakeSupport
) -> None:
    talk = ask(desk, "One?")
    for word in ("Two?", "Three?"):
        ask(desk, word, talk, replaces=question(desk.store, talk))
    assert shown(desk.store, talk) == ["Three?", ANSWER]
    assert len(shown(desk.store, talk, replaced=True)) == 6
    assert [c.title for c in desk.store.conversations.list(ME)] == ["Three?"]
    assert desk.store.conversations.get(ME, talk).title == "Three?"
    assert model.histories[-1] == []


def test_only_the_last_question_can_be_replaced(desk: Services) -> None:
    talk = ask(desk, "One?")
    old = question(desk.store, talk)
    ask(desk, "Two?", talk)
    answer = desk.store.conversations.history(ME, talk)[-1].id
    for wrong in (old, answer, "nonsense", ""):
        with pytest.raises(InputError, match="only the last question"):
            ask(desk, "Three?", talk, replaces=wrong)
    assert shown(desk.store, talk, replaced=True) == ["One?", ANSWER, "Two?", ANSWER]


def test_a_question_is_not_replaced_twice(desk: Services) -> None:
    talk = ask(desk, "One?")
    old = question(desk.store, talk)
    ask(desk, "Two?", talk, replaces=old)
    with pytest.raises(InputError):
        ask(desk, "Three?", talk, replaces=old)


@pytest.mark.parametrize(
    ("intent", "undone"), [(None, True), ("question", True), ("cancel_order", False)]
)
def test_what_a_flow_did_is_not_undone(desk: Services, intent: str | None, undone: bool) -> None:
    talk = ask(desk, "One?")
    with desk.store.write() as session:
        session.execute(update(Message).where(Message.role == "assistant").values(intent=intent))
    again = {"replaces": question(desk.store, talk)}
    if undone:
        ask(desk, "Two?", talk, **again)
    else:
        with pytest.raises(InputError):
            ask(desk, "Two?", talk, **again)


def test_what_a_person_answered_is_not_undone(desk: Services) -> None:
    talk = ask(desk, "One?")
    with desk.store.write() as session:
        session.execute(update(Message).where(Message.role == "assistant").values(author="alex"))
    with pytest.raises(InputError):
        ask(desk, "Two?", talk, replaces=question(desk.store, talk))


def test_somebody_elses_question_cannot_be_replaced(desk: Services) -> None:
    talk = ask(desk, "One?")
    theirs = question(desk.store, talk)
    with pytest.raises(NotFound):
        list(desk.chat("visitor:b", "Mine?", conversation_id=talk, replaces=theirs))
    with pytest.raises(InputError):
        list(desk.chat("visitor:b", "Mine?", replaces=theirs))
    assert shown(desk.store, talk) == ["One?", ANSWER]
    assert desk.store.conversations.list("visitor:b") == []


def test_a_correction_of_an_answer_left_behind_is_trained_on_with_the_turns_it_was_given(
    desk: Services,
) -> None:
    talk = ask(desk, "Wrong?")
    ask(desk, "First?", talk, replaces=question(desk.store, talk))
    ask(desk, "Second?", talk)
    second = desk.store.conversations.history(ME, talk)[-1].id
    ask(desk, "Third?", talk, replaces=question(desk.store, talk))
    desk.feedback(ME, second, -1, correction="Better.", consent=True)
    [sample] = desk.store.feedback.consented("support")
    assert (sample.text, sample.correction) == ("Second?", "Better.")
    assert [m["content"] for m in sample.history] == ["First?", ANSWER]
