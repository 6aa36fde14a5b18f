"""The page as a whole: what it says of itself, and that no text becomes markup."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Mismatch
from app.services import Services
from app.serving.loading import Loaded
from app.ui import bubbles, build, page, recommend, sentiment
from tests.helpers_ui import (
    EVIL,
    Markup,
    Toasts,
    asked,
    loaded,
    made,
    owner,
    services,
    toasts,
    ui,
    visitor,
)

__all__ = ["loaded", "toasts", "ui"]


def test_the_page_is_built_before_any_model_is_loaded() -> None:
    waking = services()
    shown = made(waking)
    _, status, foot, *_ = _looked(shown, None)
    assert "waking" in status
    assert foot.count("waking up") == 3
    waking.store.close()


def test_every_event_is_private(ui: build.Page) -> None:
    events = ui.blocks.get_config_file()["dependencies"]
    assert events
    assert {event["api_visibility"] for event in events} == {"private"}


def test_the_thread_on_the_page_is_never_read_back(ui: build.Page) -> None:
    events = ui.blocks.get_config_file()["dependencies"]
    assert not [e for e in events if ui.chat.thread._id in e["inputs"]]


def test_a_change_of_language_says_everything_in_it(ui: build.Page, loaded: Services) -> None:
    updates = ui._change("en", None, None, None, visitor(loaded))
    assert updates[ui.chat.send]["value"] == "发送"
    assert updates[ui.mood.box]["label"] == "一段英文评论"
    assert updates[ui.shop.category] | {} == updates[ui.shop.category]
    assert updates[ui.shop.category]["label"] == "分类"
    assert ("茶", "Tea") in updates[ui.shop.category]["choices"]


def test_the_first_language_is_the_browsers_and_then_the_chosen_one(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded, **{"accept-language": "zh-CN"})
    assert ui._open("", request)[ui._language] == "zh"
    assert ui._open("en", request)[ui._language] == "en"
    assert ui._open("xx", request)[ui._language] == "en"


def _looked(ui: build.Page, seen: Any) -> tuple[Any, str, str, Any]:
    updates = ui._look(seen, "en")
    return updates[ui._seen], updates[ui._status], updates[ui._foot], updates[ui._timer]


def test_a_look_that_finds_nothing_new_changes_nothing(ui: build.Page) -> None:
    seen, status, _, _ = _looked(ui, None)
    assert status == ""
    assert list(ui._look(seen, "en")) == [ui._seen]


def test_a_swapped_release_is_told_and_marked(ui: build.Page) -> None:
    seen, _, foot, _ = _looked(ui, None)
    assert "fresh" not in foot
    before = seen | {"sentiment": {"state": "ready", "release": "an-older-one"}}
    _, status, foot, _ = _looked(ui, before)
    assert "newer model now serves sentiment" in status
    assert re.search(
        r'data-feature="sentiment" class="fresh">sentiment <code>sentiment-test<', foot
    )


def test_a_feature_that_failed_is_named() -> None:
    state = {"support": {"state": "failed", "error": "<secret path>"}}
    assert "(chat)" in build.status(state, None, "en")
    foot = build.foot(state, None, "en", demo=True)
    assert "secret" not in build.status(state, None, "en") + foot


def test_the_page_stands_where_every_model_failed(toasts: Toasts) -> None:
    def broken() -> Loaded:
        raise Mismatch("the adapter is another one", zh="模型校验未通过。")

    failed = services(load=dict.fromkeys(("support", "sentiment", "recommend"), (broken, None)))
    failed.load()
    ui, request = made(failed), visitor(failed)
    _, status, foot, _ = _looked(ui, None)
    assert "would not start (chat, sentiment, recommendations)" in status
    assert foot.count("not available") == 3
    ui._open("zh", request)
    asked(ui, "Hello?", request)
    assert ui.mood.read("bad", "en", request) == {}
    assert list(ui.shop.welcome(None, "zh", request)) == [{ui.shop.cards: ""}]
    assert [bool(re.search("number [0-9a-f]{8}|编号 [0-9a-f]{8}", t)) for t in toasts] == [True] * 3
    failed.store.close()


def test_release_names_are_escaped() -> None:
    state = {"support": {"state": "ready", "release": EVIL}}
    assert "img" not in Markup(build.foot(state, None, "en", demo=False)).tags


def test_without_a_cookie_the_limit_counts_the_address(loaded: Services) -> None:
    request = visitor(loaded)
    assert page.asker(loaded, request).quota == f"{owner(loaded, request)} from 192.0.2.7"
    request.cookies = {"frontdesk_visitor": "forged"}
    asker = page.asker(loaded, request)
    assert asker.owner.startswith("session:")
    assert asker.quota == "address:192.0.2.7"


@given(st.text())
def test_a_bubble_shows_any_text_and_interprets_none(said: str) -> None:
    markup = Markup(bubbles.bubble(said))
    assert set(markup.tags) == {"span"}
    assert markup.text == said


@pytest.mark.parametrize(
    "make",
    [
        lambda: bubbles.sources([{"title": EVIL, "passage": EVIL}], "en"),
        lambda: bubbles.spoken(EVIL),
        lambda: recommend.message(EVIL),
        lambda: build.banner("waking", EVIL),
        lambda: sentiment.verdict(
            {
                "label": EVIL,
                "score": 0.9,
                "probabilities": {EVIL: 0.9},
                "not_sure": False,
                "text": EVIL,
            },
            "en",
        ),
    ],
)
def test_no_text_becomes_markup(make: Callable[[], str]) -> None:
    markup = Markup(make())
    assert "img" not in markup.tags
    assert "onerror" not in markup.attributes
    assert EVIL in markup.text
