"""What is learnt from ways to ask: the article, its sentence, and that there is no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.files import cache_dir
from app.knowledge import asked
from app.knowledge.asked import LEAST, asked_index, elsewhere, ways
from app.knowledge.confidence import features, load
from app.knowledge.retrieve import Knowledge
from app.knowledge.split import Section, split
from app.models.encoder import HashEncoder

COST = "Delivery to the UK costs seven pounds, whatever the size of your parcel may be."
TIME = "It arrives within four days, as the van leaves our yard every morning at nine."
TOWNS = ["Leeds", "York", "Bath", "Hull", "Ely", "Dover", "Derby", "Ayr", "Perth", "Wells", "Ripon"]
DOCS: list[dict[str, Any]] = [
    {"id": "post", "title": "Sending", "text": f"{COST} {TIME}", "questions": [
        *({"text": f"what would the postman charge me to {town}", "says": COST} for town in TOWNS),
        *({"text": f"when will it be here in {town}", "says": TIME} for town in TOWNS),
        {"text": "does the postman take a dog to Leeds", "answered": False},
    ]},
    {"id": "pot", "title": "The pot", "text": "Rinse the pot with vinegar once in every month.",
     "questions": [f"white crust in my {thing}" for thing in
                   [f"{colour} {kind}" for colour in ("old", "blue", "big", "new", "red")
                    for kind in ("jug", "kettle", "boiler", "can")]]},
    {"id": "cups", "title": "Cups", "text": "A cup holds two hundred millilitres of whatever tea."},
]  # fmt: skip


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.build(DOCS, HashEncoder())


def sections(docs: list[dict[str, Any]] = DOCS) -> list[Section]:
    return [section for doc in docs for section in split(doc)]


def test_a_question_in_none_of_the_articles_words_finds_its_article(knowledge: Knowledge) -> None:
    asked_ = "the postman, what would he charge me to Truro?"
    assert knowledge.search(asked_, k=1)[0].article == "post"
    bare = Knowledge.build([{**d, "questions": []} for d in DOCS], HashEncoder())
    assert bare.rank(asked_).heard is None


def test_the_sentence_that_was_named_is_the_one_that_is_heard(knowledge: Knowledge) -> None:
    cost = knowledge.rank("what would the postman charge me to Truro").heard
    time = knowledge.rank("when will it be here in Truro").heard
    assert cost is not None
    assert time is not None
    (row,) = {row for row, sentence in cost.sentences if sentence >= 0}
    assert cost.sentences[row, 0] > cost.sentences[row, 1]
    assert time.sentences[row, 1] > time.sentences[row, 0]


def test_a_near_miss_and_what_is_asked_anywhere_sound_like_no_answer(knowledge: Knowledge) -> None:
    def none(text: str) -> float:
        heard = knowledge.rank(text).heard
        assert heard is not None
        return heard.elsewhere

    answered = none("what would the postman charge me to Truro")
    assert none("does the postman take a dog to Truro") > answered
    assert none(elsewhere("en")[0]) > answered


def test_an_article_with_fewer_than_a_score_of_ways_is_found_by_the_search_alone(
    knowledge: Knowledge,
) -> None:
    few = [{**DOCS[0], "questions": [f"way {n}" for n in range(LEAST - 1)]}]
    assert ways(sections(few), "en") is None
    ranking = knowledge.rank("how much does a cup hold")
    best = int(ranking.fused.argmax())
    assert ranking.shelf.articles[best] == "cups"
    assert ranking.heard is not None
    assert np.isnan(ranking.heard.rows[best])
    assert features(ranking, best, "a cup", ["cups"]).keys() == {"cosine", "share"}
    assert knowledge.fitted.confidence.of(ranking) == load().plain


def test_confidence_goes_by_the_ways_where_the_best_article_has_them(knowledge: Knowledge) -> None:
    question = "what would the postman charge me to Truro"
    ranking = knowledge.rank(question)
    best = int(ranking.fused.argmax())
    told = features(ranking, best, question, knowledge.rests_on(ranking, best))
    assert told.keys() == {"asked", "elsewhere", "known", "top"}
    assert 0 < told["known"] < 1, "no Truro is written or asked of"
    assert ranking.shelf.known("what would the postman charge me to York", ["post"]) == 1.0
    assert knowledge.fitted.confidence.of(ranking) == load().asked


def test_what_was_taken_out_is_heard_no_more(knowledge: Knowledge) -> None:
    after = knowledge.over(DOCS[1:])
    heard = after.rank("what would the postman charge me to Truro").heard
    assert heard is not None
    assert len(heard.rows) == 2
    gone = after.over([{**doc, "questions": []} for doc in DOCS[1:]])
    assert gone.rank("white crust in my old jug").heard is None


def test_of_many_ways_what_was_learnt_serves_on_without_what_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path))
    first = Knowledge.build(DOCS, HashEncoder())
    was = first.rank(crust := "white crust in my old jug").heard
    monkeypatch.setattr(asked, "QUICK", 0)
    monkeypatch.setattr(asked, "fit", lambda *_: pytest.fail("a turn would wait"))
    cost = "what would the postman charge me to Truro"
    other = {**DOCS[0], "questions": [f"another way {n}" for n in range(LEAST)]}
    assert was is not None
    without = first.over(DOCS[1:]).rank(crust).heard
    assert without is not None
    assert without.rows[0] == was.rows[1]  # the pot, which moved up
    heard = first.over([other, *DOCS[1:]]).rank(cost).heard
    assert heard is not None
    assert list(np.isnan(heard.rows)) == [True, False, True]
    assert not heard.sentences
    assert Knowledge.build(DOCS, HashEncoder()).rank(cost).heard is not None  # read from the cache


def test_another_articles_words_leave_what_was_learnt_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path))
    encoder = HashEncoder()
    first = asked_index(sections(), encoder, "en")
    (kept,) = (cache_dir() / "asked").iterdir()
    monkeypatch.setattr(asked, "fit", lambda *_: pytest.fail("fitted again"))
    again = asked_index(sections(), encoder, "en")
    question = "white crust in my teapot"
    vector = encoder.encode([question])[0]
    assert first is not None
    assert again is not None
    assert np.array_equal(first(question, vector).rows, again(question, vector).rows, True)
    monkeypatch.undo()
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path))
    kept.write_bytes(b"torn")
    mended = asked_index(sections(), encoder, "en")
    assert mended is not None
    assert np.array_equal(mended(question, vector).rows, again(question, vector).rows, True)


def test_a_cache_that_cannot_be_written_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "file"))
    assert asked_index(sections(), HashEncoder(), "en") is not None


def test_letters_alone_serve_a_language_that_the_encoder_does_not_speak() -> None:
    made = asked_index(sections(), None, "en")
    assert made is not None
    text = "white crust in my teapot"
    assert np.array_equal(
        made(text, np.zeros(8, np.float32)).total, made(text, np.ones(8, np.float32)).total, True
    )


@pytest.mark.parametrize("text", ["", "?!", "\0", "😀" * 50, "x" * 8000, "\ud800"])
def test_any_question_is_heard_without_harm(knowledge: Knowledge, text: str) -> None:
    heard = knowledge.rank(text).heard if text.strip("?!\0") else None
    assert heard is None or np.nanmax(heard.rows) <= 1


def test_many_statements_are_told_apart_by_article_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "STATEMENTS", 1)
    found = ways(sections(), "en")
    assert found is not None
    assert found.statement_places == []
    made = asked_index(sections(), None, "en")
    assert made is not None
    heard = made("white crust in my teapot", np.zeros(8, np.float32))
    assert not heard.sentences
    assert int(np.nanargmax(heard.rows)) == 1


def test_the_encoder_without_weights_waits_for_nothing_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path))
    monkeypatch.setattr(asked, "LONG", 0)
    monkeypatch.setattr(asked, "fit", lambda *_: pytest.fail("learnt at start"))
    for language in ("en", "zh"):
        docs = [{**doc, "lang": language} for doc in DOCS]
        assert Knowledge.build(docs, HashEncoder()).rank("white crust in my jug").heard is None
