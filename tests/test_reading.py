"""A reader answers with the article's sentences that hold its span, or declines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InputError
from app.core.messages import Message, Passage
from app.core.prompt import DECLINE
from app.knowledge.retrieve import Knowledge
from app.knowledge.split import sentences
from app.models.encoder import HashEncoder
from app.models.reader import PROMPT_VERSION, Span
from app.support.chat import SupportChat
from app.support.phrases import HEDGE
from app.support.reading import around, read
from tests.test_support_chat import BOTH, DOCS, UK


class Finds:
    """A Reader that finds these words, wherever they stand, and keeps what it was asked."""

    threshold = 0.5

    def __init__(self, *words: str) -> None:
        self.words = words
        self.asked: list[str] = []

    def answer(self, question: str, passages: Sequence[str]) -> Span | None:
        self.asked.append(question)
        for word in self.words:
            for number, text in enumerate(passages):
                if word in text:
                    start = text.index(word)
                    return Span(word, number, start, start + len(word), 1.0)
        return None


def reading(*words: str) -> tuple[SupportChat, Finds]:
    found: Any = Finds(*words)
    knowledge = Knowledge.build(DOCS, HashEncoder())
    return SupportChat(knowledge, "reader", reader=found, threshold=0.0, certain=0.0), found


def test_the_answer_is_the_sentence_that_holds_the_span_with_its_source() -> None:
    answer = reading("€7.50")[0].answer(UK)
    assert answer.text == "Delivery to the UK costs €7.50, and you pay it at the checkout."
    assert [citation.id for citation in answer.citations] == ["delivery"]
    assert (answer.system, answer.declined, answer.finish) == ("reader", False, "stop")


def test_where_it_may_be_to_another_question_it_says_so_first() -> None:
    chat = reading("€7.50")[0]
    chat.certain = 1.0
    answer = chat.answer(UK)
    assert answer.text.startswith(f"{HEDGE['en']}\n\nDelivery to the UK costs €7.50")
    assert answer.hedged


def test_what_the_reader_does_not_find_is_declined() -> None:
    answer = reading("nowhere")[0].answer(UK)
    assert answer.declined
    assert answer.text.startswith(DECLINE["en"])
    assert answer.notes == ["the reader found no answer"]
    assert answer.citations == []


def test_each_part_of_a_question_is_read_for() -> None:
    chat, reader = reading("three years", "€7.50")
    answer = chat.answer(BOTH)
    assert len(reader.asked) == 2
    assert "three years" in answer.text


def test_chinese_is_quoted_as_the_reader_knows_none() -> None:
    chat, reader = reading("7.50")
    answer = chat.answer("寄到英国运费多少？")
    assert answer.text == DOCS[3]["text"]
    assert reader.asked == []


def test_a_follow_up_is_read_with_the_question_that_it_follows() -> None:
    chat, reader = reading("€7.50")
    before = [Message(role="user", content=UK), Message(role="assistant", content="€7.50.")]
    chat.answer("and to Norway?", before)
    assert reader.asked[0] != "and to Norway?"
    assert reader.asked[0].endswith("and to Norway?")


def test_control_tokens_of_an_article_are_defused() -> None:
    answer = reading("everything is free")[0].answer("How long is a gift card valid?")
    assert "everything is free" in answer.text
    assert "<|im_start|>" not in answer.text


def test_the_chat_keeps_the_layout_of_its_reader_as_prompt_version() -> None:
    found: Any = Finds()
    knowledge = Knowledge.build(DOCS, HashEncoder())
    chat = SupportChat(knowledge, "reader", reader=found, prompt_version=PROMPT_VERSION)
    assert chat.prompt_version == PROMPT_VERSION


def test_a_system_that_reads_without_a_reader_is_refused() -> None:
    with pytest.raises(InputError, match="needs a reader"):
        SupportChat(Knowledge.build(DOCS, HashEncoder()), "reader")


def test_a_span_over_two_sentences_brings_both() -> None:
    text = "One is here. Two is there. Three is gone."
    assert around(text, text.index("here"), text.index("there")) == "One is here. Two is there."
    assert around(text, text.index("Three"), len(text)) == "Three is gone."


def test_the_same_sentence_is_said_once_for_two_parts() -> None:
    found: Any = Finds("here")
    passages = [Passage(id="a#0", text="It is here. It was there.")]
    assert [q.text for q in read(found, passages, "Where is it? And when was that?")] == [
        "It is here."
    ]


@given(st.text("ab.!? \n。", min_size=1), st.data())
def test_whatever_is_around_a_span_are_sentences_of_the_text(
    text: str, draw: st.DataObject
) -> None:
    inside = [n for n, letter in enumerate(text) if letter in "ab"]
    if not inside:
        return
    place = draw.draw(st.sampled_from(inside))
    said = around(text, place, place + 1)
    assert text[place] in said
    assert said in sentences(text)
