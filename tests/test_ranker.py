"""The ranker: what it is given, what it makes of it, and that its weights fit what is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from app.core.config import parse
from app.core.data import sha256_of
from app.core.errors import ConfigError
from app.core.kinds import Query
from app.knowledge import fit, ranker
from app.knowledge.clues import NAMES, OWN, Clues
from app.knowledge.learn import Lesson, learn
from app.knowledge.ranker import Net, Ranker
from app.knowledge.retrieve import Knowledge, reordered
from app.knowledge.settings import RetrievalConfig
from app.knowledge.split import split
from app.models.encoder import HashEncoder

DOCS: list[dict[str, Any]] = [
    {"id": f"a{n}", "title": f"About {word}", "text": f"The {word} costs {n} euros and is blue."}
    for n, word in enumerate(["kettle", "grinder", "cup", "scale", "filter", "mug", "jug"])
] + [{"id": "zh", "lang": "zh", "title": "运费说明", "text": "寄往英国的运费是 7.50 欧元。"}]
ENCODER = HashEncoder()


def clues_of(docs: Sequence[dict[str, Any]], question: str, rows: Sequence[int]) -> Any:
    sections = [section for doc in docs for section in split(doc)]
    return Clues(sections, ENCODER)(question, ENCODER.encode([question])[0], rows)


def test_clues_are_about_one_for_the_text_itself_and_nothing_for_another() -> None:
    found = clues_of(DOCS[:7], "the grinder costs 1 euros and is blue", [1, 0])
    assert found.shape == (2, OWN)
    assert found.dtype == np.float32
    assert (found[0] >= found[1]).all()
    assert not clues_of(DOCS[:7], "xylophone", [0])[:, NAMES.index("coverage")].any()


def test_clues_do_not_depend_on_the_order_of_the_candidates() -> None:
    first = clues_of(DOCS[:7], "blue grinder", [0, 1, 4])
    again = clues_of(DOCS[:7], "blue grinder", [4, 0, 1])
    assert np.allclose(first[[2, 0, 1]], again)


@pytest.mark.parametrize("question", ["", "?!", "grinder " * 500, "运费"])
@pytest.mark.parametrize("docs", [DOCS[:1], DOCS[7:], DOCS])
def test_clues_are_finite_whatever_is_asked_of_whatever(
    docs: list[dict[str, Any]], question: str
) -> None:
    rows = range(sum(len(split(doc)) for doc in docs))
    assert np.isfinite(clues_of(docs, question, rows)).all()


def test_no_passages_have_no_clues() -> None:
    assert Clues([], ENCODER)("grinder", ENCODER.encode(["grinder"])[0], []).shape == (0, OWN)


def test_the_shipped_ranker_scores_the_same_in_any_order_of_candidates() -> None:
    clues = np.random.default_rng(3).random((9, len(NAMES)), dtype=np.float32)
    order = np.random.default_rng(4).permutation(9)
    scores = ranker.load()(clues, "en")
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) == 9
    assert np.allclose(scores[order], ranker.load()(clues[order], "en"), atol=1e-5)
    assert ranker.load()(clues[:1], "en").shape == (1,)


def test_more_of_every_clue_is_ranked_higher() -> None:
    clues = np.stack([np.full(len(NAMES), value, dtype=np.float32) for value in (0.1, 0.4, 0.7)])
    assert list(np.argsort(ranker.load()(clues, "en"))) == [0, 1, 2]


def test_reordering_deals_the_same_scores_out_to_the_rows_it_is_given() -> None:
    scores = np.array([0.9, 0.1, 0.5, 0.3], dtype=np.float32)
    out = reordered(scores, np.array([0, 2, 3]), np.array([1.0, 3.0, 2.0]))
    assert out.tolist() == pytest.approx([0.3, 0.1, 0.9, 0.5], abs=1e-5)
    tied = reordered(np.full(3, 0.5, dtype=np.float32), np.arange(3), np.array([1.0, 3.0, 2.0]))
    assert np.argsort(-tied).tolist() == [1, 2, 0]
    equal = reordered(np.array([0.5, 0.5, 0.9], dtype=np.float32), np.arange(3), np.zeros(3))
    assert equal[0] == equal[1] < equal[2]
    same = reordered(scores, np.array([0, 2, 3]), np.zeros(3))
    assert np.allclose(same, scores, atol=1e-5)


def test_a_ranker_that_prefers_what_is_less_near_turns_the_order_around() -> None:
    inverse = [0.0] * (3 * len(NAMES))
    inverse[NAMES.index("first")] = -1.0
    worst_first = Ranker(languages={"en": net(inverse)}, encoder=ENCODER.name)
    knowledge = Knowledge.build(DOCS, ENCODER)
    plain = knowledge.ordered(ranker.NONE).search("the grinder costs", k=7)
    turned = knowledge.ordered(worst_first).search("the grinder costs", k=7)
    assert plain[0].article == turned[-1].article == "a1"
    assert turned[0].score == pytest.approx(plain[0].score)
    assert [p.score for p in turned] == sorted((p.score for p in turned), reverse=True)


def test_what_was_fitted_on_another_encoder_changes_nothing() -> None:
    knowledge = Knowledge.build(DOCS, ENCODER)
    assert ranker.load().encoder != ENCODER.name
    plain = knowledge.ordered(ranker.NONE)
    assert knowledge.search("a blue cup") == plain.search("a blue cup")


def test_a_chinese_question_keeps_the_order_of_the_first_search() -> None:
    knowledge = Knowledge.build(DOCS, ENCODER)
    plain = knowledge.ordered(ranker.NONE)
    assert knowledge.search("寄到英国运费多少") == plain.search("寄到英国运费多少")
    alone = Knowledge.build(DOCS[:7], ENCODER)  # searched where there is no Chinese article
    assert len(alone.search("grinder 多少钱")) == 5


def test_words_alone_and_vectors_alone_are_not_reordered() -> None:
    knowledge = Knowledge.build(DOCS, ENCODER)
    plain = knowledge.ordered(ranker.NONE)
    for mode in ("bm25", "dense"):
        assert knowledge.search("blue cup", mode=mode) == plain.search("blue cup", mode=mode)


def test_one_passage_and_the_same_question_twice() -> None:
    knowledge = Knowledge.build(DOCS[:1], ENCODER)
    assert [p.id for p in knowledge.search("kettle, and is it blue?")] == ["a0#0"]
    full = Knowledge.build(DOCS, ENCODER)
    assert full.search("a blue cup") == full.search("a blue cup")


def test_only_the_best_of_many_passages_are_given_to_the_ranker() -> None:
    docs = [{"id": str(n), "text": f"Order number {n} is in the warehouse."} for n in range(200)]
    knowledge = Knowledge.build(docs, ENCODER)
    first = knowledge.ordered(ranker.NONE).rank("Where is order number 7?")
    rows, (view,) = knowledge.evidence(first, "Where is order number 7?", [])
    assert RetrievalConfig().candidates <= len(rows) <= 2 * RetrievalConfig().candidates
    assert view.shape == (len(rows), len(NAMES))
    assert int(first.fused.argmax()) in rows


def test_learning_is_the_same_twice_and_finds_what_tells_right_from_wrong() -> None:
    random = np.random.default_rng(5)
    lessons = [lesson(random, f"c{n}") for n in range(80)]
    first, again = (learn(lessons, hidden=frozenset()) for _ in range(2))
    assert first == again
    assert np.mean([first(one.clues).argmax() == 0 for one in lessons]) > 0.6  # 0.125 by chance


def test_a_fold_learns_nothing_from_what_is_hidden() -> None:
    random = np.random.default_rng(5)
    lessons = [lesson(random, f"c{n}") for n in range(20)]
    spoilt = [*lessons[1:], lessons[0]._replace(clues=lessons[0].clues[::-1] * 9)]
    without = learn(lessons[1:], hidden=frozenset({"c0"}))
    assert learn(spoilt, hidden=frozenset({"c0"})) == without


def test_the_weights_were_fitted_on_the_data_at_hand() -> None:
    """Else run `python -m app.knowledge.fit` again."""
    fitted: Any = ranker.load().fitted
    assert fitted["data_sha256"]["demo:support"] == sha256_of("demo:support")
    assert set(fitted["data_sha256"]) == {"demo:support", *fit.PUBLIC}
    assert ranker.load().languages.keys() == {"en"}


@pytest.mark.realdata
def test_the_weights_were_fitted_on_the_public_sets_at_hand() -> None:
    fitted: Any = ranker.load().fitted
    for name in fit.PUBLIC:
        assert fitted["data_sha256"][name] == sha256_of(name)


def test_each_set_gains_or_keeps_what_the_first_search_found() -> None:
    found: Any = ranker.load().fitted["cross_fitted"]
    for name, before in found["first_search"].items():
        assert found["fitted"][name]["mrr"] >= before["mrr"] - 0.01, name


def test_the_folds_are_of_the_shipped_kind_and_differ() -> None:
    folds = ranker.folds()
    assert len(folds) == ranker.FOLDS
    assert len({fold.model_dump_json() for fold in folds}) == ranker.FOLDS
    assert ranker.FOLDS_FILE.stat().st_size < 300_000


def test_documents_that_belong_together_are_in_one_fold() -> None:
    first, second = (Query(id=str(n), text="?", topic="Normans", gold=(str(n),)) for n in range(2))
    assert ranker.without(first) == ranker.without(second)
    assert ranker.cluster(Query(id="q", text="?", gold=("d",))) == "d"


def test_weights_for_other_clues_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"app\.knowledge\.fit"):
        parse(Net, net([0.0] * 3).model_dump() | {"clues": ["words"]}, "ranker.json")


def net(linear: list[float]) -> Net:
    n = len(linear)
    return Net(
        clues=NAMES, mean=[0.0] * n, scale=[1.0] * n, linear=linear, hidden=[], bias=[], out=[]
    )


def lesson(random: np.random.Generator, cluster: str) -> Lesson:
    clues = random.random((8, len(NAMES)), dtype=np.float32)
    clues[:, -1] = 0.5  # the prior says nothing
    clues[0, 0] += 0.7
    right = np.arange(8) == 0
    return Lesson(cluster, clues, right, right, np.full(8, cluster), 1.0)
