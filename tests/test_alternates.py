"""Ways to ask that articles carry: their shapes, where they go, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import InputError
from app.knowledge.alternates import MAX_EACH, MAX_TEXT, Alternate, of, places
from app.knowledge.split import split

TEXT = (
    "Delivery to the UK costs €7.50, and you pay it at the checkout with the goods. It is slow.\n\n"
    "Norway costs €9.50, because a parcel that goes there has to cross a border in the north."
)


def doc(*questions: Any) -> dict[str, Any]:
    return {"id": "cost", "title": "Costs", "text": TEXT, "questions": list(questions)}


def test_texts_and_maps_are_ways_to_ask_and_none_counts_twice() -> None:
    says = "Norway costs €9.50"
    found = of(doc("how dear", {"text": "oslo?", "says": says}, "how dear",
                   {"text": "mars?", "answered": False}))  # fmt: skip
    assert found == [
        Alternate("how dear"), Alternate("oslo?", says), Alternate("mars?", answered=False),
    ]  # fmt: skip


def test_an_article_without_any_has_none() -> None:
    assert of({"id": "a", "text": "b"}) == of({"id": "a", "text": "b", "questions": None}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"question": "oslo?"}, {"text": ""}, {"text": "x" * (MAX_TEXT + 1)}, 7, None,
        {"text": "a", "answered": "no"}, {"text": "a", "sais": "b"}, ["a"],
    ],
)  # fmt: skip
def test_what_is_no_way_to_ask_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(InputError, match="article 'cost'"):
        of(doc(wrong))


@pytest.mark.parametrize("questions", ["a text", {"text": "a"}, ["a"] * (MAX_EACH + 1)])
def test_what_is_no_list_or_too_long_a_one_is_refused(questions: Any) -> None:
    with pytest.raises(InputError, match="questions"):
        of({**doc(), "questions": questions})


def test_a_way_goes_to_the_sentence_that_it_names_and_else_to_every_section() -> None:
    first, second = split(doc("general", {"text": "oslo?", "says": "Norway costs €9.50"},
                              {"text": "slow?", "says": "It is slow."},
                              {"text": "both?", "says": "pay it at the checkout with the goods. "
                                                        "It is slow."}))  # fmt: skip
    assert [(way.text, way.sentence) for way in first.asked] == [
        ("general", -1), ("slow?", 1), ("both?", 1),
    ]  # fmt: skip
    assert [(way.text, way.sentence) for way in second.asked] == [("general", -1), ("oslo?", 0)]


def test_a_way_whose_words_are_not_there_stands_for_the_whole_article() -> None:
    sections = split(doc({"text": "mars?", "says": "Mars costs nothing"}))
    assert [way.sentence for section in sections for way in section.asked] == [-1, -1]


def test_near_misses_are_kept_once_at_the_first_section() -> None:
    first, second = split(doc({"text": "mars?", "answered": False}, "general"))
    assert (first.missed, second.missed) == (("mars?",), ())
    assert [way.text for way in first.asked] == ["general"]


def test_space_does_not_count_in_what_is_named() -> None:
    assert places("It is\n slow.", ["A.", "It is slow.", "B."]) == [1]
    assert places("", ["A."]) == places("C", ["A.", "B."]) == []
    assert places("One. Two.", ["One.", "Two.", "Three."]) == [0, 1]


def test_what_is_shown_and_cited_holds_no_way_to_ask() -> None:
    for section in split(doc("secret wording")):
        assert "secret wording" not in section.searched + section.passage.model_dump_json()
