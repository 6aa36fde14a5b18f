"""The contract of app.knowledge.passages.PassageIndex: subclass it where a database takes over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.knowledge.clues import OWN
from app.knowledge.passages import Audience, PassageIndex, fingerprint
from app.knowledge.retrieve import Knowledge, shipped
from app.knowledge.settings import RetrievalConfig
from app.knowledge.shelf import Candidates

DOCS: list[dict[str, Any]] = [
    {"id": "cost", "title": "What delivery costs", "url": "/help/cost",
     "text": "Delivery to the UK costs €7.50, and you pay it at the checkout with the goods.\n\n"
             "Norway costs €9.50, because a parcel that goes there has to cross a border."},
    {"id": "kettle", "title": "Heron kettle", "visibility": "public",
     "text": "Descale it every six weeks with vinegar, because lime shortens its life by years."},
    {"id": "cost-zh", "title": "运费说明", "lang": "zh", "text": "寄往英国的运费是 7.50 欧元。"},
    {"id": "limits", "title": "Refund limits", "visibility": "agents",
     "text": "An agent refunds up to €50 without asking anybody for permission beforehand."},
    {"id": "draft", "title": "Unwritten", "visibility": "draft", "text": "Nobody sees this yet."},
]  # fmt: skip
ALL = "delivery norway kettle refund nobody 运费"


class PassageIndexContract:
    """What every PassageIndex does; a subclass makes an empty one over a HashEncoder."""

    def make(self) -> PassageIndex:
        raise NotImplementedError

    @pytest.fixture
    def full(self) -> PassageIndex:
        return self.make().changed(DOCS)

    def test_what_was_put_is_a_candidate_with_all_that_a_citation_needs(
        self, full: PassageIndex
    ) -> None:
        found = full.candidates(["delivery norway"], "en")
        passage = found.passages[found.rows["cost#1"]]
        assert (passage.article, passage.title, passage.url) == (
            "cost", "What delivery costs", "/help/cost",
        )  # fmt: skip
        assert passage.text.startswith("Norway costs €9.50")

    def test_rows_and_articles_say_which_passage_is_which(self, full: PassageIndex) -> None:
        found = full.candidates([ALL], "en")
        assert [p.article for p in found.passages] == list(found.articles)
        assert [found.rows[p.id] for p in found.passages] == list(range(len(found.passages)))

    def test_an_empty_index_has_no_candidates(self) -> None:
        found = self.make().candidates([ALL], "en")
        assert len(found.passages) == len(found.scores(ALL, 0.9).dense) == 0

    @pytest.mark.parametrize(
        ("audience", "seen"),
        [("public", {"cost", "kettle"}), ("agents", {"cost", "kettle", "limits"})],
    )
    def test_an_audience_has_what_it_may_see_and_nothing_else(
        self, full: PassageIndex, audience: Audience, seen: set[str]
    ) -> None:
        assert seen_in(full.candidates([ALL], "en", audience)) == seen

    def test_the_public_is_the_audience_of_whoever_names_none(self, full: PassageIndex) -> None:
        assert "limits" not in seen_in(full.candidates([ALL], "en"))

    def test_what_an_audience_may_not_see_does_not_count_either(self, full: PassageIndex) -> None:
        alone = self.make().changed([doc for doc in DOCS if doc["id"] in ("cost", "kettle")])
        for question in ("refund permission", "delivery norway"):
            with_others = full.candidates([question], "en").scores(question, 0.9)
            without = alone.candidates([question], "en").scores(question, 0.9)
            assert np.array_equal(with_others.bm25, without.bm25)
            assert np.array_equal(with_others.dense, without.dense)

    def test_candidates_are_in_the_language_and_in_another_where_there_are_none(
        self, full: PassageIndex
    ) -> None:
        assert seen_in(full.candidates([ALL], "zh")) == {"cost-zh"}
        english = full.changed(remove=["cost-zh"])
        assert seen_in(english.candidates([ALL], "zh")) == {"cost", "kettle"}

    def test_a_replaced_article_has_its_new_words_alone_in_every_field(
        self, full: PassageIndex
    ) -> None:
        after = full.changed([{"id": "cost", "title": "Prices", "text": "Sweden is €5."}])
        found = after.candidates([ALL], "en")
        (passage,) = [p for p in found.passages if p.article == "cost"]
        assert (passage.title, passage.text) == ("Prices", "Sweden is €5.")
        for old in ("Norway border", "What delivery costs"):
            scores = found.scores(old, 0.9)
            assert scores.bm25[found.rows["cost#0"]] == 0
        assert best(found, "Sweden") == best(found, "Prices") == "cost"

    def test_a_removed_article_is_gone_for_every_audience(self, full: PassageIndex) -> None:
        after = full.changed(remove=["cost", "limits", "no such id"])
        for audience in ("public", "agents"):
            assert seen_in(after.candidates([ALL], "en", audience)) == {"kettle"}  # type: ignore[arg-type]

    def test_an_article_that_becomes_the_agents_own_leaves_the_public(
        self, full: PassageIndex
    ) -> None:
        after = full.changed([{**DOCS[1], "visibility": "agents"}])
        assert seen_in(after.candidates([ALL], "en")) == {"cost"}
        assert "kettle" in seen_in(after.candidates([ALL], "en", "agents"))
        back = after.changed([DOCS[1]])
        assert "kettle" in seen_in(back.candidates([ALL], "en"))

    def test_an_article_that_changes_its_language_moves(self, full: PassageIndex) -> None:
        after = full.changed([{"id": "kettle", "lang": "zh", "text": "水壶每六周除一次水垢。"}])
        assert seen_in(after.candidates([ALL], "en")) == {"cost"}
        assert seen_in(after.candidates([ALL], "zh")) == {"cost-zh", "kettle"}

    def test_the_index_that_is_followed_stays_as_it_was(self, full: PassageIndex) -> None:
        before = full.candidates([ALL], "en")
        full.changed([{"id": "new", "text": "Something new."}], remove=["cost"])
        assert seen_in(full.candidates([ALL], "en")) == seen_in(before)

    def test_what_is_held_is_known_by_its_content(self, full: PassageIndex) -> None:
        assert full.held() == {doc["id"]: fingerprint(doc) for doc in DOCS}
        after = full.changed([{**DOCS[0], "url": "/else"}], remove=["draft"])
        assert after.held().keys() == full.held().keys() - {"draft"}
        assert [id_ for id_ in after.held() if after.held()[id_] != full.held()[id_]] == ["cost"]

    def test_each_candidate_has_one_score_a_field(self, full: PassageIndex) -> None:
        found = full.candidates(["kettle", ALL], "en")
        for text in ("kettle", ALL):
            scores = found.scores(text, 0.9)
            assert scores.bm25.shape == scores.dense.shape == (len(found.passages),)
            assert scores.bm25.dtype == scores.dense.dtype == np.float32
            assert float(max(scores.bm25.max(), scores.dense.max())) <= 1.1

    def test_each_candidate_has_its_clues_in_any_order(self, full: PassageIndex) -> None:
        found = full.candidates(["kettle", ALL], "en")
        rows = list(range(len(found.passages)))
        clues = found.clues(ALL, rows)
        assert clues.shape == (len(rows), OWN)
        assert clues.dtype == np.float32
        assert np.allclose(found.clues(ALL, rows[::-1]), clues[::-1])

    def test_how_much_of_a_question_articles_know_is_a_share(self, full: PassageIndex) -> None:
        found = full.candidates(["kettle", ALL], "en")
        for doc in DOCS[:2]:
            assert found.known(doc["text"], [doc["id"]]) == 1.0
            assert 0 < found.known(f"{doc['text']} zyxwv", [doc["id"]]) < 1
        assert found.known("zyxwv", [DOCS[0]["id"]]) == 0.0
        assert found.known("kettle", []) == 0.0
        assert found.known("?!", [DOCS[0]["id"]]) == 1.0

    def test_a_passage_is_the_best_for_its_own_words(self, full: PassageIndex) -> None:
        for doc in DOCS[:2]:
            found = full.candidates([doc["text"]], "en")
            assert best(found, doc["text"]) == doc["id"]

    def test_a_question_without_words_scores_zero(self, full: PassageIndex) -> None:
        for question in ("", "?!", "😀"):
            found = full.candidates([question], "en")
            scores = found.scores(question, 0.9)
            assert not scores.bm25.any()
            assert not scores.dense.any()
            assert not found.clues(question, range(len(found.passages))).any()

    def test_the_same_question_has_the_same_scores(self, full: PassageIndex) -> None:
        first, again = (full.candidates([ALL], "en").scores(ALL, 0.9) for _ in range(2))
        assert np.array_equal(first.bm25, again.bm25)
        assert np.array_equal(first.dense, again.dense)

    def test_knowledge_searches_it(self, full: PassageIndex) -> None:
        knowledge = Knowledge(full, RetrievalConfig(), shipped())
        asked = "What does delivery to Norway cost?"
        found = knowledge.search(asked)
        assert found[0].id == "cost#1"
        assert 0 < knowledge.confidence(asked, found) < 1
        after = knowledge.over([DOCS[1]])
        assert {p.article for p in after.search(asked, audience="agents")} == {"kettle"}


def seen_in(found: Candidates) -> set[str]:
    return {passage.article for passage in found.passages}


def best(found: Candidates, question: str) -> str:
    scores = found.scores(question, 0.9)
    return str(found.articles[int((scores.bm25 + scores.dense).argmax())])
