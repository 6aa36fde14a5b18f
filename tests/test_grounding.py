"""What a model states is in the passages, or the passages speak themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.messages import Passage
from app.support.grounding import ground, nearest_sentence, unsupported

TEXT = (
    "Standard delivery within the EU costs €4.90, and it is free from €45. Delivery takes 2–4 "
    "working days. We roast on Tuesdays and Thursdays. A box comes every 2, 4 or 6 weeks. "
    "Open Wed–Sat, 9:00–17:00. Our decaf is Low Tide, roasted by Maren. A pallet costs €1,200."
)
PASSAGES = [Passage(id="a#0", article="a", title="Delivery in Port Ellery", text=TEXT)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Delivery costs €4.90 within the EU.",
        "It costs 4,90 euros.",
        "It takes 2 to 4 days.",
        "You can have a box every four weeks.",
        "We roast each Tuesday.",
        "You can come on Wednesday from 9:00.",
        "Maren's decaf is called Low Tide.",
        "You can fetch it in Port Ellery.",
        "I think that I can help you with that.",
        "A pallet is 1200 euro.",
        "The two of them are fine.",
        "Yes, it is free.",
    ],
)
def test_what_the_passages_say_is_shown_as_it_is(sentence: str) -> None:
    assert ground(sentence, PASSAGES) == (sentence, [])


@pytest.mark.parametrize(
    ("sentence", "lacking"),
    [
        ("Delivery costs €5.90.", ["5.90"]),
        ("It takes 24 days.", ["24"]),
        ("It takes 2 to 4 hours.", ["2", "4"]),
        ("A box comes every four months.", ["four"]),
        ("We roast on Mondays.", ["Mondays"]),
        ("It comes with Royal Mail.", ["Royal", "Mail"]),
        ("Royal Mail brings it.", ["Royal", "Mail"]),
        ("Write to sales@shop.example.", ["sales@shop.example"]),
        ("See https://shop.example/help.", ["https://shop.example/help."]),
        ("It is free from $45.", ["45"]),
    ],
)
def test_what_they_do_not_say_is_named_and_replaced(sentence: str, lacking: list[str]) -> None:
    said, found = ground(sentence, PASSAGES)
    assert found == lacking
    assert said in TEXT


def test_the_replacement_is_the_sentence_nearest_to_what_was_meant() -> None:
    assert ground("Delivery takes 9 days.", PASSAGES).text == "Delivery takes 2–4 working days."


def test_the_question_helps_where_the_sentence_says_little() -> None:
    said = ground("The answer is 7.", PASSAGES, "When do you roast?").text
    assert said == "We roast on Tuesdays and Thursdays."


def test_a_fact_of_the_user_does_not_count() -> None:
    """ "Can I return it in 60 days?" must not make "Yes, in 60 days" true."""
    assert ground("Yes, within 60 days.", PASSAGES, "within 60 days?").unsupported == ["60"]


def test_without_passages_nothing_can_be_said() -> None:
    assert ground("It costs €5.", []) == ("", ["5"])
    assert nearest_sentence("anything", []) == ""


@given(st.text(max_size=300))
def test_what_is_shown_is_supported_whatever_the_model_says(sentence: str) -> None:
    said, lacking = ground(sentence, PASSAGES)
    assert said in TEXT if lacking else said == sentence
    assert unsupported(said, PASSAGES) == []


@given(st.integers(0, 10**6), st.sampled_from(["days", "weeks", "€", "kg", "%"]))
def test_a_number_that_no_passage_has_never_passes(number: int, unit: str) -> None:
    known = {"4.90", "45", "2", "4", "6", "9:00", "17:00", "1200"}
    sentence = f"It is {number} {unit} in all."
    assert (unsupported(sentence, PASSAGES) == []) <= (str(number) in known)


@given(st.text(max_size=200), st.text(max_size=400))
def test_it_holds_for_any_passage_text(sentence: str, text: str) -> None:
    passages = [Passage(id="x#0", article="x", text=text)]
    assert isinstance(ground(sentence, passages).text, str)


def test_a_megabyte_is_checked_in_reasonable_time() -> None:
    assert ground("tea " * 250_000 + "for 9 years", PASSAGES).unsupported == ["9"]
