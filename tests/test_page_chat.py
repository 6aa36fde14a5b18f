"""The chat's handlers over the real Services and a stand-in model."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from app.core.errors import AppError, NotReady
from app.core.memory import Memory
from app.services import Services
from app.ui import bubbles, build, page
from tests.helpers_ui import (
    ANSWER,
    EVIL,
    FakeSupport,
    Markup,
    Toasts,
    asked,
    loaded,
    made,
    newest,
    owner,
    services,
    thread,
    toasts,
    ui,
    visitor,
)

__all__ = ["loaded", "toasts", "ui"]


def test_an_answer_grows_and_ends_with_its_article(ui: build.Page, loaded: Services) -> None:
    updates = asked(ui, "What does delivery cost?", visitor(loaded))
    answers = [newest(u, ui.chat) for u in updates if ui.chat.thread in u]
    assert "typing" in answers[0]
    grown = [Markup(a).text for a in answers if "typing" not in a]
    assert all(later.startswith(earlier.strip()) for earlier, later in pairwise(grown))
    last = updates[-1]
    assert "<details" in answers[-1]
    assert last[ui.chat.send]["visible"]
    assert not last[ui.chat.stop]["visible"]
    assert ANSWER in last[ui.chat.spoken]
    assert last[ui.chat.list]["choices"] == [
        ("What does delivery cost?", last[ui.chat.conversation])
    ]


def test_the_stop_button_is_there_from_the_first_moment(ui: build.Page, loaded: Services) -> None:
    first = asked(ui, "Hello?", visitor(loaded))[0]
    assert first[ui.chat.stop]["visible"]
    assert not first[ui.chat.send]["visible"]


def test_stop_ends_the_turn_and_keeps_what_was_said(toasts: Toasts) -> None:
    slow = services(FakeSupport(pause=0.02))
    slow.load()
    ui, request = made(slow), visitor(slow)
    turn = ui.chat.ask("What does delivery cost?", None, "en", request)
    for update in turn:
        if "Standard" in newest(update, ui.chat):
            ui.chat.halt(request)
            break
    last = list(turn)[-1]
    answer = newest(last, ui.chat)
    assert "Stopped" in answer
    assert len(Markup(answer).text) < len(ANSWER) + 300
    kept = slow.store.conversations.history(owner(slow, request), last[ui.chat.conversation])
    assert kept[-1].finish == "cancelled"
    assert kept[-1].content != ANSWER
    assert toasts == []
    slow.store.close()


def test_stop_from_another_page_or_visitor_stops_nothing(loaded: Services) -> None:
    ui, mine = made(loaded), visitor(loaded)
    turn = ui.chat.ask("What does delivery cost?", None, "en", mine)
    next(turn)
    ui.chat.halt(visitor(loaded, session="tab-1"))
    elsewhere: Any = SimpleNamespace(**vars(mine) | {"session_hash": "tab-2"})
    ui.chat.halt(elsewhere)
    last = list(turn)[-1]
    assert "Stopped" not in newest(last, ui.chat)


def test_a_page_that_goes_away_stops_its_turn(loaded: Services) -> None:
    ui, request = made(loaded), visitor(loaded)
    turn = ui.chat.ask("What does delivery cost?", None, "en", request)
    while "Standard" not in newest(next(turn), ui.chat):
        pass
    turn.close()  # type: ignore[attr-defined]
    [kept] = loaded.store.conversations.list(owner(loaded, request))
    assert (
        loaded.store.conversations.history(owner(loaded, request), kept.id)[-1].finish
        == "cancelled"
    )
    assert ui.chat._running == {}


def test_a_question_waits_for_the_model_to_wake_up() -> None:
    waking = services()
    ui = made(waking)
    turn = ui.chat.ask("What does delivery cost?", None, "en", visitor(waking))
    next(turn)
    assert "wake up" in newest(next(turn), ui.chat)
    waking.load()
    assert ANSWER in newest(list(turn)[-1], ui.chat)
    waking.store.close()


def test_stop_also_ends_the_wait_for_the_model(toasts: Toasts) -> None:
    waking = services()
    ui, request = made(waking), visitor(waking)
    turn = ui.chat.ask("What does delivery cost?", None, "en", request)
    next(turn)
    next(turn)
    ui.chat.halt(request)
    began = time.monotonic()
    last = list(turn)[-1]
    assert time.monotonic() - began < 5
    assert thread(last, ui.chat) == []
    assert toasts == ["The model is waking up: try again in a few seconds"]
    waking.store.close()


@pytest.mark.parametrize(
    ("sent", "told"), [("", "empty"), ("  \n ", "empty"), (None, "empty"), ("x" * 2001, "2,000")]
)
def test_a_refused_question_is_told_and_stays_in_the_box(
    sent: Any, told: str, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    updates = asked(ui, sent, request)
    assert [told in toast for toast in toasts] == [True]
    assert not [u for u in updates if ui.chat.box in u]
    assert thread(updates[-1], ui.chat) == []
    assert loaded.store.conversations.list(owner(loaded, request)) == []


def test_the_box_is_emptied_once_the_question_is_stored(ui: build.Page, loaded: Services) -> None:
    updates = asked(ui, "What does delivery cost?", visitor(loaded))
    assert [u[ui.chat.box] for u in updates if ui.chat.box in u] == [""]


def test_a_bug_becomes_a_number_and_nothing_is_lost(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    last = asked(ui, "boom", request)[-1]
    [toast] = toasts
    assert re.search(r"number: [0-9a-f]{8}$", toast)
    assert "bug" not in toast
    question, answer = thread(last, ui.chat)
    assert "boom" in question
    assert "Interrupted" in answer


def test_errors_are_told_in_the_language_of_the_page(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    list(ui.chat.ask("", None, "zh", visitor(loaded)))
    list(ui.chat.ask("boom", None, "zh", visitor(loaded)))
    assert all(re.search(r"[\u4e00-\u9fff]", toast) for toast in toasts)
    assert len(toasts) == 2


def test_toasts_are_escaped_and_only_faults_of_ours_have_a_number(toasts: Toasts) -> None:
    page.toast(NotReady(EVIL), "en")
    page.toast(AppError(EVIL), "en")
    assert not [t for t in toasts if "<img" in t]
    assert ["(number " in t for t in toasts] == [False, True]


def test_history_survives_a_restart_of_the_page(ui: build.Page, loaded: Services) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    again = made(loaded)
    shown = again._open("", request)
    assert shown[again.chat.conversation] == conversation
    question, answer = thread(shown, again.chat)
    assert "What does delivery cost?" in question
    assert "What delivery costs" in answer


def test_the_model_is_given_the_stored_turns_and_nothing_from_the_page(toasts: Toasts) -> None:
    model = FakeSupport()
    loaded = services(model)
    loaded.load()
    ui, request = made(loaded), visitor(loaded)
    conversation = asked(ui, "First?", request)[-1][ui.chat.conversation]
    asked(ui, "Second?", request, conversation)
    assert [(m.role, m.content) for m in model.histories[1]] == [
        ("user", "First?"), ("assistant", ANSWER)
    ]  # fmt: skip
    assert toasts == []
    loaded.store.close()


def test_somebody_elses_conversation_is_not_found(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    theirs = asked(ui, "My address is 7 Quay St", visitor(loaded))[-1][ui.chat.conversation]
    thief = visitor(loaded)
    picked: Any = SimpleNamespace(value=theirs)
    opened = ui.chat.open("en", picked, thief)
    last = asked(ui, "What did I say?", thief, theirs)[-1]
    for update in (opened, last):
        assert thread(update, ui.chat) == []
        assert update[ui.chat.conversation] is None
    assert ["no such conversation" in t.lower() for t in toasts] == [True, True]


def test_a_new_conversation_is_empty_and_the_old_one_can_be_opened(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    first = asked(ui, "First?", request)[-1][ui.chat.conversation]
    begun = ui.chat.begin()
    assert thread(begun, ui.chat) == []
    assert begun[ui.chat.conversation] is None
    asked(ui, "Second?", request)
    picked: Any = SimpleNamespace(value=first)
    opened = ui.chat.open("en", picked, request)
    assert "First?" in thread(opened, ui.chat)[0]
    assert [title for title, _ in opened[ui.chat.list]["choices"]] == ["Second?", "First?"]


def test_over_the_limit_is_told(toasts: Toasts) -> None:
    strict = services(messages_per_minute=1)
    strict.load()
    ui, request = made(strict), visitor(strict)
    first = asked(ui, "One?", request)[-1]
    asked(ui, "Two?", request, first[ui.chat.conversation])
    assert ["wait" in t for t in toasts] == [True]
    strict.store.close()


# Again, and otherwise ----------------------------------------------------------------------------


def last_question(ui: build.Page, conversation: str, who: str) -> str:
    turns = ui._services.store.conversations.history(who, conversation)
    return [turn.id for turn in turns if turn.role == "user"][-1]


def test_an_edited_question_takes_the_place_of_the_old_one(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    me = owner(loaded, request)
    talk = asked(ui, "Frist?", request)[-1][ui.chat.conversation]
    edited = last_question(ui, talk, me)
    updates = list(ui.chat.ask("First?", talk, "en", request, edited))
    assert "Frist?" not in "".join(thread(updates[0], ui.chat))
    shown = thread(updates[-1], ui.chat)
    assert [Markup(m).text.startswith("First?") for m in shown] == [True, False]
    kept = loaded.store.conversations.history(me, talk, replaced=True)
    assert [t.content for t in kept if t.role == "user"] == ["Frist?", "First?"]
    assert toasts == []


def test_an_answer_is_given_again_to_the_words_that_are_stored(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    me = owner(loaded, request)
    talk = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    first = last_question(ui, talk, me)
    updates = list(ui.chat.again(talk, "en", request, first))
    assert not [u for u in updates if ui.chat.box in u]
    assert len(thread(updates[-1], ui.chat)) == 2
    kept = loaded.store.conversations.history(me, talk, replaced=True)
    assert [t.content for t in kept] == ["What does delivery cost?", ANSWER] * 2
    assert toasts == []


@pytest.mark.parametrize("forged", ["nonsense", None, 7, {"id": 1}])
def test_what_is_not_the_last_question_is_not_asked_again(
    forged: Any, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    talk = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    assert list(ui.chat.again(talk, "en", request, forged)) == []
    assert toasts == ["The conversation has gone on since: ask once more below."]


def test_somebody_elses_question_is_not_asked_again(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    victim = visitor(loaded)
    talk = asked(ui, "My address is 7 Quay St", victim)[-1][ui.chat.conversation]
    theirs = last_question(ui, talk, owner(loaded, victim))
    assert list(ui.chat.again(talk, "en", visitor(loaded), theirs)) == []
    last = list(ui.chat.ask("Mine?", talk, "en", visitor(loaded), theirs))[-1]
    assert thread(last, ui.chat) == []
    assert ["no such conversation" in t.lower() for t in toasts] == [True, True]


def test_only_the_last_question_and_answer_can_be_asked_again(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    talk = asked(ui, "First?", request)[-1][ui.chat.conversation]
    shown = thread(asked(ui, "Second?", request, talk)[-1], ui.chat)
    assert ['name="edit"' in m for m in shown] == [False, False, True, False]
    assert ['name="retry"' in m for m in shown] == [False, False, False, True]
    assert ['name="copy"' in m for m in shown] == [False, True, False, True]


def test_what_a_person_answered_is_not_asked_again(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    me = owner(loaded, request)
    talk = asked(ui, "First?", request)[-1][ui.chat.conversation]
    loaded.store.conversations.append(me, talk, "assistant", "I am on it.", author="alex")
    shown = "".join(thread(ui._open("", request), ui.chat))
    assert 'name="edit"' not in shown
    assert 'name="retry"' not in shown
    assert list(ui.chat.again(talk, "en", request, last_question(ui, talk, me))) == []
    assert len(toasts) == 1


# Quick replies and the way to a person -----------------------------------------------------------


def test_quick_replies_stand_under_the_last_answer_and_are_asked_with_one_click(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    me = owner(loaded, request)
    talk = asked(ui, "Shall I?", request)[-1][ui.chat.conversation]
    offered = Memory(offered=["Yes, please", "<b>No</b>"])
    append = loaded.store.conversations.append
    append(me, talk, "assistant", "Shall I really?", finish="stop", memory=offered)
    options = options_of(ui.chat.restored(me, talk, "en"), ui)
    assert options == ["Yes, please", "<b>No</b>"]
    picked: Any = SimpleNamespace(value="Yes, please")
    replied = list(ui.chat.ask_reply(talk, "en", picked, request))
    assert "Yes, please" in thread(replied[-1], ui.chat)[-2]


@pytest.mark.parametrize("cut", [{"finish": "cancelled"}, {"finish": "error"}, {"author": "alex"}])
def test_nothing_is_offered_under_what_is_cut_or_an_agents(
    cut: dict[str, str], ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    me = owner(loaded, request)
    talk = asked(ui, "Shall I?", request)[-1][ui.chat.conversation]
    append = loaded.store.conversations.append
    append(me, talk, "assistant", "Shall I", memory=Memory(offered=["Yes"]), **cut)
    assert options_of(ui.chat.restored(me, talk, "en"), ui) == []


@pytest.mark.parametrize(
    ("language", "label"), [("en", "Read: Ways to pay"), ("zh", "看看：Ways to pay")]
)
def test_an_article_that_is_offered_is_called_one_and_its_title_is_sent(
    language: str, label: str, ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    me = owner(loaded, request)
    talk = asked(ui, "Shall I?", request)[-1][ui.chat.conversation]
    memory = Memory(offered=["Ways to pay", "Talk to a human"], near=["Ways to pay"])
    append = loaded.store.conversations.append
    append(me, talk, "assistant", "Perhaps.", finish="stop", memory=memory)
    shown = ui.chat.restored(me, talk, language)[ui.chat.thread]["value"][-1]["options"]
    assert shown == [
        {"label": label, "value": "Ways to pay"},
        {"label": "Talk to a human", "value": "Talk to a human"},
    ]


def options_of(shown: Any, ui: build.Page) -> list[str]:
    """Quick replies under the last bubble."""
    return [o["value"] for o in shown[ui.chat.thread]["value"][-1].get("options", [])]


@pytest.mark.parametrize(("language", "words"), [("en", "talk to a person"), ("zh", "转人工")])
def test_a_person_is_one_click_away_and_the_draft_stays(
    language: str, words: str, ui: build.Page, loaded: Services
) -> None:
    updates = list(ui.chat.ask_human(None, language, visitor(loaded)))
    assert words in thread(updates[-1], ui.chat)[0]
    assert not [u for u in updates if ui.chat.box in u]


def test_the_first_line_says_that_a_program_answers() -> None:
    assert "talking to a program" in bubbles.notice("en")
    assert "程序" in bubbles.notice("zh")


def test_a_database_that_is_lost_is_told_and_loses_no_words(tmp_path: Path, toasts: Toasts) -> None:
    desk = services(database_url=f"sqlite:///{tmp_path / 'lost.db'}", secret="of the tests")
    desk.load()
    ui, request = made(desk), visitor(desk)
    talk = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    with desk.store.engine.begin() as database:
        database.execute(text("drop table feedback"))
        database.execute(text("drop table messages"))
    updates = asked(ui, "And now?", request, talk)
    assert not [u for u in updates if ui.chat.box in u]
    assert ui.chat.thread not in updates[-1]
    assert updates[-1][ui.chat.send]["visible"]
    [toast] = toasts
    assert re.search(r"database cannot be reached.*\(number [0-9a-f]{8}\)$", toast)
    assert "table" not in toast
    desk.store.close()


# The list of conversations -----------------------------------------------------------------------


def test_a_conversation_is_renamed_in_the_list_and_survives_a_restart(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    talk = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    talks = ui.chat.talks
    panel = talks.ask_title(talk, "en", request)
    assert panel[talks.title] == "What does delivery cost?"
    named = talks.named(talk, "Delivery", "en", request)
    assert named[talks.list]["choices"] == [("Delivery", talk)]
    assert not named[talks.naming]["visible"]
    again = made(loaded)
    assert again._open("", request)[again.chat.list]["choices"] == [("Delivery", talk)]
    assert toasts == []


def test_a_conversation_is_deleted_only_once_confirmed(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    talk = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    assert ui.chat.talks.ask_sure()[ui.chat.talks.deleting]["visible"]
    assert len(loaded.store.conversations.list(owner(loaded, request))) == 1
    gone = ui.chat.forget(talk, "en", request)
    assert thread(gone, ui.chat) == []
    assert gone[ui.chat.conversation] is None
    assert gone[ui.chat.list] == {"choices": [], "value": None, "__type__": "update"}
    assert loaded.store.conversations.list(owner(loaded, request)) == []
    assert toasts == ["Deleted."]


@pytest.mark.parametrize("forged", [None, "nonsense"])
def test_nobody_renames_or_deletes_what_is_not_theirs(
    forged: str | None, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    victim, thief = visitor(loaded), visitor(loaded)
    talk = asked(ui, "Mine?", victim)[-1][ui.chat.conversation]
    for target in (talk, forged):
        assert ui.chat.talks.ask_title(target, "en", thief) == {}
        assert ui.chat.talks.named(target, "Ha", "en", thief) == {}
        assert ui.chat.forget(target, "en", thief) == {}
    assert len(toasts) == 6
    assert [c.title for c in loaded.store.conversations.list(owner(loaded, victim))] == ["Mine?"]


# What is kept of the visitor ---------------------------------------------------------------------


def test_all_that_is_kept_is_deleted_only_once_confirmed(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    me, other = visitor(loaded), visitor(loaded)
    for request in (me, me, other):
        asked(ui, "What does delivery cost?", request)
    assert ui.chat.mine.ask_sure()[ui.chat.mine.sheet]["visible"]
    assert not ui.chat.mine.closed()[ui.chat.mine.sheet]["visible"]
    assert len(loaded.export_mine(owner(loaded, me))["conversations"]) == 2
    gone = ui.chat.forget_all("en", me)
    assert thread(gone, ui.chat) == []
    assert gone[ui.chat.conversation] is None
    assert gone[ui.chat.list]["choices"] == []
    assert not gone[ui.chat.talks.manage]["visible"]
    assert not gone[ui.chat.mine.sheet]["visible"]
    assert loaded.export_mine(owner(loaded, me))["conversations"] == []
    assert len(loaded.export_mine(owner(loaded, other))["conversations"]) == 1
    assert toasts == ["Everything that we kept of you is deleted."]


def test_what_cannot_be_deleted_is_told_in_the_language_and_nothing_is_put_away(
    ui: build.Page, loaded: Services, toasts: Toasts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: str) -> None:
        raise AppError("no disk", zh="没有磁盘")

    monkeypatch.setattr(loaded, "delete_mine", lost)
    assert ui.chat.forget_all("zh", visitor(loaded)) == {}
    assert len(toasts) == 1
    assert "没有磁盘" in toasts[0]


@pytest.mark.parametrize("cookies", [True, False])
def test_my_data_is_what_the_page_shows_me_with_cookies_and_without(
    ui: build.Page, loaded: Services, cookies: bool
) -> None:
    me, other = visitor(loaded, "tab-me"), visitor(loaded, "tab-other")
    for request in (me, other):
        if not cookies:  # in a frame of another site
            request.cookies = {}
        asked(ui, f"Asked in {request.session_hash}?", request)
    [data] = ui.chat.mine.taken_out("en", me).values()
    assert data == loaded.export_mine(owner(loaded, me))
    [talk] = data["conversations"]
    assert talk["messages"][0]["content"] == "Asked in tab-me?"


def test_data_that_cannot_be_read_is_told_in_the_language(
    ui: build.Page, loaded: Services, toasts: Toasts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: str) -> None:
        raise AppError("no disk", zh="没有磁盘")

    monkeypatch.setattr(loaded, "export_mine", lost)
    assert ui.chat.mine.taken_out("zh", visitor(loaded)) == {}
    assert "没有磁盘" in toasts[0]
