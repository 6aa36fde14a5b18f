"""Who asks for a temperature, a price, a time or a count is not answered by a text without one."""

from __future__ import annotations

import math

import pytest

from app.core.data import corpus
from app.knowledge import alternates
from app.knowledge.confidence import LACKING, less
from app.knowledge.wanted import FORMS, lacks


@pytest.mark.parametrize(
    ("question", "without", "given"),
    [
        ("How hot should the water be?", "Use fresh water.", "Pour at 93 °C."),
        ("how hot for green tea", "Green tea is mild.", "Let it come off the boil first."),
        ("水温多少度", "用新鲜的水。", "水温 80 度。"),
        ("How much does delivery to Norway cost?", "We ship to Norway.", "Norway costs €9.50."),
        ("what would gift wrapping cost", "We wrap in green.", "Wrapping is free from €45."),
        ("包装多少钱", "我们用绿纸包装。", "包装免费。"),
        ("How long is the warranty?", "The kettle has a warranty.", "It lasts two years."),
        ("how soon can I cancel", "You can cancel.", "You can cancel until it is packed."),
        ("保修多久", "水壶有保修。", "保修两年。"),
        ("How many cups does it hold?", "It holds tea.", "It holds eight cups."),
        ("能用几次", "可以用。", "可以用三次。"),
    ],
)
def test_the_form_is_missed_where_it_is_nowhere(question: str, without: str, given: str) -> None:
    assert lacks(question, without)
    assert not lacks(question, given)


@pytest.mark.parametrize(
    "question", ["Do you ship to Norway?", "可以退货吗", "What is Low Tide?", ""]
)
def test_other_questions_want_no_form(question: str) -> None:
    assert not lacks(question, "")


def test_articles_seldom_lack_the_form_of_what_they_answer() -> None:
    """The counts that LACKING is made of: on the ways to ask that were written for the articles."""
    answered, lacking = {True: 0, False: 0}, {True: 0, False: 0}
    for doc in corpus("demo:support").docs:
        for way in alternates.of(doc):
            if any(form.asks.search(way.text) for form in FORMS.values()):
                answered[way.answered] += 1
                lacking[way.answered] += lacks(way.text, doc["text"])
    assert (answered, lacking) == ({True: 1502, False: 155}, {True: 4, False: 17})
    assert pytest.approx(math.log((17 / 155) / (4 / 1502)), abs=0.05) == LACKING


def test_a_missing_form_takes_off_the_log_odds() -> None:
    assert less(0.5) == pytest.approx(1 / (1 + 2.718281828**LACKING))
    assert less(0.0) == 0.0
    assert less(1.0) == pytest.approx(1.0)
    assert less(0.97) < 0.5
