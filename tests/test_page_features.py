"""The page's Sentiment and Recommendations tabs."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from app.services import Services
from app.ui import build, page, recommend, sentiment
from tests.helpers_ui import (
    Markup,
    Toasts,
    loaded,
    toasts,
    trainable,
    ui,
    visitor,
)

__all__ = ["loaded", "toasts", "ui"]


def _samples(loaded: Services) -> Any:
    with loaded.store.engine.connect() as database:
        kept = text("select count(*) from messages where kind = 'sentiment'")
        return database.execute(kept).scalar()


def test_a_review_gets_a_word_and_probabilities_and_is_not_kept(
    ui: build.Page, loaded: Services
) -> None:
    request = visitor(loaded)
    before = _samples(loaded)
    read = ui.mood.read("this is bad", "zh", request)
    assert "负面" in read[ui.mood.verdict]["value"]
    assert read[ui.mood.bars]["value"] == pytest.approx({"负面": 0.93, "正面": 0.07})
    assert _samples(loaded) == before


def test_an_unsure_model_says_so(ui: build.Page, loaded: Services) -> None:
    shown = ui.mood.read("hm", "en", visitor(loaded))[ui.mood.verdict]["value"]
    assert "Not sure" in shown
    assert "54 %" in shown


def test_certainty_is_never_shown_as_100_percent() -> None:
    assert page.percent(0.9999) == "99 %"


@pytest.mark.parametrize(("sent", "told"), [("", "empty"), ("x" * 5001, "5,000")])
def test_a_refused_review_is_told(
    sent: str, told: str, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    assert ui.mood.read(sent, "en", visitor(loaded)) == {}
    assert told in toasts[0]


def test_a_corrected_label_is_kept_with_its_text_and_consent(
    ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    shown = ui.mood.read("not bad at all", "en", request)[ui.mood.shown]
    opened = ui.mood.open(shown, "en")
    assert opened[ui.mood.consent] is False
    assert opened[ui.mood.label]["choices"] == [("Positive", "positive")]
    ui.mood.send_correction(shown, "positive", True, "en", request)
    [sample] = trainable(loaded, "sentiment", request)
    assert (sample.text, sample.answer, sample.correction) == (
        "not bad at all",
        "negative",
        "positive",
    )
    assert toasts == ["Thank you, noted."]


@pytest.mark.parametrize("label", [None, "", "angry"])
def test_a_correction_without_a_known_label_is_refused(
    label: str | None, ui: build.Page, loaded: Services, toasts: Toasts
) -> None:
    request = visitor(loaded)
    shown = ui.mood.read("not bad", "en", request)[ui.mood.shown]
    assert ui.mood.send_correction(shown, label, True, "en", request) == {}
    assert len(toasts) == 1
    assert trainable(loaded, "sentiment", request) == []


def test_a_load_that_ends_late_wipes_out_no_verdict(ui: build.Page, loaded: Services) -> None:
    late = ui._open("zh", visitor(loaded))
    assert not {ui.mood.verdict, ui.mood.shown, ui.shop.cards} & late.keys()
    assert "value" not in late[ui.mood.bars]
    assert "visible" not in late[ui.mood.empty]


def test_every_example_review_can_be_read(ui: build.Page, loaded: Services) -> None:
    for number in range(len(sentiment.EXAMPLES)):
        read = ui.mood.read_example(number, "en", visitor(loaded))
        assert read[ui.mood.shown]["text"] == read[ui.mood.box]


def test_an_unsure_verdict_names_its_share_only_in_a_language_it_was_measured_on() -> None:
    shown = {"label": "positive", "score": 0.92, "probabilities": {}, "not_sure": True}
    english = sentiment.verdict({**shown, "text": "It is a mug."}, "zh")
    chinese = sentiment.verdict({**shown, "text": "这茶喝起来像洗碗水。"}, "zh")
    assert "92" in english
    assert "92" not in chinese
    assert "只学过英文" in chinese


def _cards(ui: build.Page, request: Any, **wish: Any) -> str:
    wanted: Any = {"liked": [], "query": "", "category": "", "max_price": 0} | wish
    updates = ui.shop.suggest(**wanted, language="en", request=request)
    return str(updates[ui.shop.cards])


def test_cards_say_why_and_what_it_costs(ui: build.Page, loaded: Services) -> None:
    shown = _cards(ui, visitor(loaded), query="a kettle")
    assert "€119.00" in shown
    assert "matches &#x27;a kettle&#x27;" in shown
    assert "Only 22 left" in shown
    assert "img" not in Markup(shown).tags


def test_a_price_bounds_what_is_shown(ui: build.Page, loaded: Services) -> None:
    shown = _cards(ui, visitor(loaded), max_price=20)
    assert "Jasmine Pearls" in shown
    assert "Heron" not in shown


def test_nothing_found_is_said(ui: build.Page, loaded: Services) -> None:
    assert "Nothing on the shelves" in _cards(ui, visitor(loaded), max_price=1)


def test_the_tab_opens_with_what_is_popular_and_the_catalogue(
    ui: build.Page, loaded: Services
) -> None:
    [opened] = ui.shop.welcome(None, "en", visitor(loaded))
    assert "popular" in opened[ui.shop.cards]
    assert ("Jasmine Pearls", "jasmine-pearls") in opened[ui.shop.liked]["choices"]
    assert list(ui.shop.welcome(opened[ui.shop.wish], "en", visitor(loaded))) == []


@pytest.mark.parametrize(
    ("left", "words"), [(0, "Sold out"), (3, "Only 3 left"), (300, "In stock"), (None, "")]
)
def test_stock_is_said_in_words(left: int | None, words: str) -> None:
    assert recommend.stock(left, "en") == words
