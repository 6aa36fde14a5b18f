"""Articles are cut into passages that can be read alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.split import MAX_WORDS, first_sentence, joined, sentences, split, word_count

LONG = "The kettle takes one litre of water and should be filled to the line. "


def doc(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "kettle", "title": "The kettle", "url": "/help/kettle", "text": text, **more}


def texts(text: str, **more: Any) -> list[str]:
    return [section.passage.text for section in split(doc(text, **more))]


def test_a_paragraph_is_a_passage_with_its_article_title_and_place() -> None:
    first, second = split(doc(f"{LONG}\n\n{LONG}Twice."))
    assert (first.passage.id, second.passage.id) == ("kettle#0", "kettle#1")
    assert first.passage.text == LONG.strip()
    assert second.passage.text == f"{LONG}Twice."
    assert (first.passage.article, first.passage.title) == ("kettle", "The kettle")
    assert first.passage.url == "/help/kettle"


def test_a_heading_is_searched_but_not_quoted() -> None:
    (section,) = split(doc(f"## Filling it\n{LONG}"))
    assert section.heading == "Filling it"
    assert section.searched == f"The kettle. Filling it. {LONG.strip()}"
    assert "Filling" not in section.passage.text


def test_a_heading_stands_over_all_paragraphs_until_the_next() -> None:
    sections = split(doc(f"{LONG}\n\n## Care\n\n{LONG}\n\n{LONG}\n\n## Parts\n{LONG}"))
    assert [section.heading for section in sections] == ["", "Care", "Care", "Parts"]


def test_a_very_short_paragraph_joins_the_next_of_its_section() -> None:
    assert texts(f"Yes, we do.\n\n{LONG}") == [f"Yes, we do. {LONG.strip()}"]


def test_a_short_paragraph_does_not_cross_a_heading() -> None:
    assert texts(f"Yes, we do.\n\n## Care\n{LONG}") == ["Yes, we do.", LONG.strip()]


def test_a_long_paragraph_is_cut_between_sentences_into_equal_parts() -> None:
    sizes = [word_count(text) for text in texts(LONG * 12)]  # 12 x 14 = 168 words
    assert sizes == [84, 84]


def test_a_sentence_without_an_end_is_cut_between_words() -> None:
    pieces = texts("tea " * 500)
    assert max(word_count(piece) for piece in pieces) <= MAX_WORDS
    assert sum(word_count(piece) for piece in pieces) == 500


def test_headings_alone_give_no_passage() -> None:
    assert texts("## Care\n\n## Parts") == []


def test_the_language_is_that_of_the_article_else_of_its_text() -> None:
    assert split(doc(LONG, lang="zh-CN"))[0].passage.lang == "zh"
    assert split(doc("壶里加一升水，烧开以后倒掉，再冲洗两遍。"))[0].passage.lang == "zh"
    assert split(doc(LONG))[0].passage.lang == "en"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs €4.90. Open 9.30–17.00!", ["It costs €4.90.", "Open 9.30–17.00!"]),
        ('She said "no." Then she left.', ['She said "no."', "Then she left."]),
        ("Use it, e.g. for tea. Done.", ["Use it, e.g. for tea.", "Done."]),
        ("可以退货。请附照片！好吗？", ["可以退货。", "请附照片！", "好吗？"]),
        ("他说“好。”然后走了。", ["他说“好。”", "然后走了。"]),
        ("no end", ["no end"]),
        ("  ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_sentence_is_whole_only_when_another_has_begun() -> None:
    assert first_sentence("It costs €4.90.") is None
    assert first_sentence("It costs €4.90. I") == ("It costs €4.90.", "I")


def test_items_and_rows_keep_their_lines_and_no_other_sentence_gets_one() -> None:
    listed = "You get:\n1) a lid. It fits.\n2) a filter"
    (text,) = texts(listed)
    assert text == "You get:\n1. a lid. It fits.\n2. a filter"
    assert joined(sentences(text)) == text
    assert sentences(text) == ["You get:", "1. a lid.", "It fits.", "2. a filter"]
    aside = "The instance is a number (e.g. 15) and the answer is yes."
    assert joined(sentences(aside)) == aside


def test_a_year_at_the_beginning_of_a_line_makes_no_list() -> None:
    assert texts("The roastery has been in Port Ellery and open since\n2019. It has a view.") == [
        "The roastery has been in Port Ellery and open since 2019. It has a view."
    ]


@given(st.text(alphabet="ab. !?。\n#“”é壶9", max_size=300))
def test_no_letter_of_an_article_is_lost_or_doubled(text: str) -> None:
    body = text.replace("#", "")
    joined = "".join(texts(body or " "))
    assert [c for c in joined if c.isalnum()] == [c for c in body if c.isalnum()]
