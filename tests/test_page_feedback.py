"""Thumbs, reasons and corrections on the page."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.services import Services
from app.store.models import Feedback
from app.ui import build, correction
from tests.helpers_ui import (
    Toasts,
    asked,
    loaded,
    owner,
    thumb,
    toasts,
    trainable,
    ui,
    visitor,
)

__all__ = ["loaded", "toasts", "ui"]


def test_a_thumb_down_is_stored_and_opens_an_unticked_correction(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    opened = ui.chat.correction.rate(conversation, "en", thumb(1, False), request)
    assert opened[ui.chat.correction.panel]["visible"]
    assert opened[ui.chat.correction.consent] is False
    stored = loaded.store.conversations.history(owner(loaded, request), conversation)
    assert stored[1].rating == -1
    assert opened[ui.chat.correction.message] == stored[1].id


@pytest.mark.parametrize(("ticked", "kept"), [(False, 0), (True, 1), ("yes", 0)])
def test_only_a_ticked_box_lets_a_correction_be_trained_on(
    ticked: Any, kept: int, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    message = ui.chat.correction.rate(conversation, "en", thumb(1, False), request)[
        ui.chat.correction.message
    ]
    closed = ui.chat.correction.send(message, [], "", "€4.90.", ticked, "en", request)
    assert not closed[ui.chat.correction.panel]["visible"]
    assert toasts == ["Thank you, noted."]
    samples = trainable(loaded, "support", request)
    assert len(samples) == kept
    assert all(s.correction == "€4.90." and s.text == "What does delivery cost?" for s in samples)


def test_thumbs_are_shown_again_after_a_reload(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "First?", request)[-1][ui.chat.conversation]
    asked(ui, "Second?", request, conversation)
    ui.chat.correction.rate(conversation, "en", thumb(3, True), request)
    shown = ui._open("", request)[ui.chat.thread]
    assert shown["feedback_value"] == [None, "Like"]
    assert toasts == ["Glad that helped."]


@pytest.mark.parametrize("index", [0, 2, -1, 99, "1", None, (1, 0)])
def test_a_thumb_on_what_is_no_answer_is_told(
    index: Any, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    ui.chat.correction.rate(conversation, "en", thumb(index, True), request)
    assert toasts == ["There is no answer to rate here any more."]


def test_feedback_on_somebody_elses_answer_is_refused(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    victim = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", victim)[-1][ui.chat.conversation]
    message = loaded.store.conversations.history(owner(loaded, victim), conversation)[1].id
    thief = visitor(loaded)
    assert ui.chat.correction.send(message, [], "", "lies", True, "en", thief) == {}
    assert "no such answer" in toasts[0].lower()
    assert trainable(loaded, "support", thief) == trainable(loaded, "support", victim) == []


@pytest.mark.parametrize(
    ("picked", "why", "stored"),
    [
        (["wrong", "unclear"], " Which PDF? ", "wrong, unclear: Which PDF?"),
        (["tone"], "", "tone"),
        ([], "Too long", "Too long"),
        (["lies", 7, "wrong"], None, "wrong"),
        ("wrong", {"a": 1}, None),
        (None, "  ", None),
    ],
)
def test_a_reason_is_what_was_picked_then_the_words(picked: Any, why: Any, stored: Any) -> None:
    assert correction.reason(picked, why) == stored


def test_a_reason_is_stored_under_names_that_no_language_changes(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    conversation = asked(ui, "What does delivery cost?", request)[-1][ui.chat.conversation]
    opened = ui.chat.correction.rate(conversation, "zh", thumb(1, False), request)
    message = opened[ui.chat.correction.message]
    closed = ui.chat.correction.send(
        message, ["incomplete"], "没说到挪威", "", False, "zh", request
    )
    assert closed[ui.chat.correction.reasons] == []
    with loaded.store.read() as session:
        query = select(Feedback.reason).where(Feedback.message_id == message)
        assert session.scalar(query) == "incomplete: 没说到挪威"
