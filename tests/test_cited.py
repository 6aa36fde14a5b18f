"""Which numbered passage a line of an answer points to."""

from __future__ import annotations

import re

import pytest

from app.ui import cited
from tests.helpers_ui import EVIL, Markup

PASSAGES = [
    {
        "title": "Delivery",
        "passage": "Delivery costs €4.90. It is free\nfrom €45.",
        "url": "/help/a",
    },
    {"title": "Returns", "passage": "You have 30 days. 退货免费。", "url": "/help/b"},
]


def marks(words: str) -> list[int]:
    """Numbers of the buttons in a line."""
    return [
        int(n)
        for n in re.findall(
            r'name="cite" value="(\d+)"', "".join(cited.lines(words, PASSAGES, "en"))
        )
    ]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("It is free from €45.", [1]),
        ("You have 30 days.", [2]),
        ("退货免费。", [2]),
        ("It is free from €45. You have 30 days.", [1, 2]),
        ("It is free from €45.\nDelivery costs €4.90.\n\nYou have 30 days.", [1, 2]),
        ("It is free from €45.\nYou have 30 days.\nDelivery costs €4.90.", [1, 2, 1]),
        ("It costs €4.90 for delivery.", [1]),  # phrased: 4 of 5 words and more are the first's
        ("The weather is fine today, thank you.", []),
        ("", []),
        ("!?", []),
        ("Free [1], and 30 days [2].", [1, 2]),  # where a model wrote the numbers, they stand
        ("It is free from €45 [2].", [2]),
        ("See [3] or [0].", []),  # no such passage
    ],
)
def test_a_line_points_to_what_it_rests_on(words: str, numbers: list[int]) -> None:
    assert marks(words) == numbers


def test_an_answer_without_articles_points_nowhere() -> None:
    assert cited.lines("See [1].", [], "en") == ["See [1]."]


def test_neither_words_nor_titles_become_markup() -> None:
    evil = [{"title": EVIL, "passage": EVIL, "url": EVIL}]
    markup = Markup("".join(cited.lines(EVIL, evil, "en")))
    assert set(markup.tags) == {"button"}
    assert set(markup.attributes) == {"type", "class", "name", "value", "title"}
    assert markup.text == f"{EVIL}1"
