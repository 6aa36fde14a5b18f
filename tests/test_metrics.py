"""Every metric on cases worked by hand, its edge cases, and rankings against an oracle and ranx."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics import (
    accuracy,
    answer_f1,
    citations,
    coverage,
    ece,
    facts,
    macro_f1,
    mrr,
    ndcg,
    recall,
    refusal,
    unsupported,
    wrong_unhedged,
)
from eval.metrics.base import Metric, clustered, columns, ratio
from eval.samples import Row
from eval.tasks import TASKS


def row(gold: Any = None, prediction: Any = None, **scores: float) -> Row:
    return Row(
        id="x", text_sha256="", gold=gold, prediction=prediction, scores=scores, slices={}
    )  # fmt: skip


def value(metric: Metric, rows: Sequence[Row]) -> float:
    return metric.of(metric.units(rows, {}))


# accuracy, macro_f1, ece


def test_accuracy_is_the_share_of_right_labels() -> None:
    assert accuracy.accuracy("positive", "positive") == 1.0
    assert accuracy.accuracy("positive", "negative") == 0.0
    assert accuracy.accuracy("positive", None) == 0.0
    assert value(accuracy.METRIC, [row(accuracy=1), row(accuracy=1), row(accuracy=0)]) == 2 / 3


def labelled(*pairs: tuple[str, str | None]) -> list[Row]:
    return [row(gold=gold, prediction={"label": said}) for gold, said in pairs]


def test_macro_f1_is_the_mean_over_classes() -> None:
    # a: TP 2, FP 1, FN 0 -> 4/5. b: TP 1, FP 0, FN 1 -> 2/3.
    rows = labelled(("a", "a"), ("a", "a"), ("b", "a"), ("b", "b"))
    assert value(macro_f1.METRIC, rows) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_macro_f1_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    draw = np.random.default_rng(2)
    gold, said = draw.choice(list("abcd"), 60), draw.choice(list("abcd"), 60)
    rows = labelled(*zip(gold.tolist(), said.tolist(), strict=True))
    assert value(macro_f1.METRIC, rows) == pytest.approx(f1_score(gold, said, average="macro"))


def test_macro_f1_counts_a_class_that_is_only_predicted() -> None:
    # a: TP 1, FN 1 -> 2/3. c occurs as a false prediction alone -> 0.
    assert value(macro_f1.METRIC, labelled(("a", "a"), ("a", "c"))) == pytest.approx(1 / 3)


def test_macro_f1_of_a_missing_prediction_is_a_miss_and_no_class() -> None:
    assert value(macro_f1.METRIC, labelled(("a", "a"), ("a", None))) == pytest.approx(2 / 3)


def test_macro_f1_of_one_class_always_right_is_one() -> None:
    assert value(macro_f1.METRIC, labelled(("a", "a"), ("a", "a"))) == 1.0


def test_ece_weighs_the_gap_of_each_bin() -> None:
    # Two at 0.9 with one right: gap 0.4, weight 1/2. Two at 0.6, both right: gap 0.4, weight 1/2.
    units = np.array([[0.9, 1], [0.9, 0], [0.6, 1], [0.6, 1]])
    assert ece.ece(units) == pytest.approx(0.4)


def test_ece_of_a_calibrated_classifier_is_zero() -> None:
    assert ece.ece(np.array([[0.5, 1], [0.5, 0]])) == 0.0


def test_ece_at_its_ends() -> None:
    assert ece.ece(np.array([[1.0, 1]])) == 0.0
    assert ece.ece(np.array([[1.0, 0]])) == 1.0
    assert ece.ece(np.array([[0.0, 0]])) == 0.0


def test_ece_bins_are_closed_above() -> None:
    # 1/15 ends the first bin; a hair more opens the second, where the gaps no longer cancel.
    edge = 1 / 15
    together = np.array([[edge, 1], [edge / 2, 0]])
    apart = np.array([[edge + 1e-9, 1], [edge / 2, 0]])
    assert ece.ece(together) == pytest.approx((1 - edge - edge / 2) / 2)
    assert ece.ece(apart) == pytest.approx((1 - edge + edge / 2) / 2)


# rankings


def test_recall_counts_gold_items_among_the_first_k() -> None:
    assert recall.recall(["a", "b", "c"], {"c"}, 2) == 0.0
    assert recall.recall(["a", "b", "c"], {"c"}, 3) == 1.0
    assert recall.recall(["a", "b", "c"], {"a", "z"}, 3) == 0.5
    assert recall.recall([], {"a"}, 5) == 0.0


def test_reciprocal_rank_is_that_of_the_first_gold_item() -> None:
    assert mrr.reciprocal_rank(["a", "b"], {"a"}) == 1.0
    assert mrr.reciprocal_rank(["x", "b", "a"], {"a", "b"}) == 0.5
    assert mrr.reciprocal_rank(["x"], {"a"}) == 0.0
    assert mrr.reciprocal_rank([], {"a"}) == 0.0


def test_ndcg_by_hand() -> None:
    # One gold item at rank 2: 1 / log2(3). Two at ranks 1 and 3 of an ideal 1 and 2.
    assert ndcg.ndcg(["x", "a"], {"a"}) == pytest.approx(1 / math.log2(3))
    found = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert ndcg.ndcg(["a", "x", "b"], {"a", "b"}) == pytest.approx(found)


def test_ndcg_at_its_ends() -> None:
    assert ndcg.ndcg(["a", "b"], {"a", "b"}) == 1.0
    assert ndcg.ndcg(["x"], {"a"}) == 0.0
    assert ndcg.ndcg([*"bcdefghijk", "a"], {"a"}) == 0.0  # rank 11


def test_ndcg_with_more_gold_items_than_places_can_reach_one() -> None:
    gold = {f"g{i}" for i in range(12)}
    assert ndcg.ndcg(sorted(gold)[:10], gold) == pytest.approx(1.0)


def test_the_ideal_of_ndcg_is_the_best_of_all_orders() -> None:
    items, gold = "abcde", {"b", "e"}
    best = max(dcg(order, gold) for order in permutations(items))
    for order in islice(permutations(items), 0, None, 7):
        assert ndcg.ndcg(order, gold) == pytest.approx(dcg(order, gold) / best)


def dcg(ranked: Sequence[str], gold: set[str]) -> float:
    """Discounted gain as the paper writes it, place by place."""
    total = 0.0
    for place in range(len(ranked)):
        total += (1.0 if ranked[place] in gold else 0.0) / math.log2(place + 2)
    return total


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.permutations([f"d{i}" for i in range(25)]), st.sets(st.integers(0, 24), min_size=1))
def test_ranking_metrics_agree_with_a_brute_force_oracle(ranked: list[str], at: set[int]) -> None:
    gold = {f"d{i}" for i in at}
    places = [place for place, item in enumerate(ranked, 1) if item in gold]
    assert mrr.reciprocal_rank(ranked, gold) == 1 / min(places)
    for k in (1, 5, 20):
        hits = sum(place <= k for place in places)
        assert recall.recall(ranked, gold, k) == pytest.approx(hits / len(gold))
    top = [item for item in ranked if item in gold] + [i for i in ranked if i not in gold]
    assert ndcg.ndcg(ranked, gold) == pytest.approx(dcg(ranked[:10], gold) / dcg(top[:10], gold))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # numba's own, while ranx compiles
def test_ranking_metrics_agree_with_ranx() -> None:
    from ranx import Qrels, Run, evaluate

    draw = np.random.default_rng(7)
    qrels, run, ours = {}, {}, {name: [] for name in ("mrr", "ndcg@10", "recall@1", "recall@5")}
    for query in range(40):
        ranked = [f"d{i}" for i in draw.permutation(40)[:30]]
        gold = {f"d{i}" for i in draw.choice(40, size=int(draw.integers(1, 6)), replace=False)}
        qrels[f"q{query}"] = dict.fromkeys(gold, 1)
        run[f"q{query}"] = {item: float(30 - place) for place, item in enumerate(ranked)}
        ours["mrr"].append(mrr.reciprocal_rank(ranked, gold))
        ours["ndcg@10"].append(ndcg.ndcg(ranked, gold))
        ours["recall@5"].append(recall.recall(ranked, gold, 5))
        ours["recall@1"].append(recall.recall(ranked, gold, 1))
    theirs = evaluate(Qrels(qrels), Run(run), list(ours))
    for name, scores in ours.items():
        assert np.mean(scores) == pytest.approx(theirs[name], abs=1e-9), name


def test_coverage_is_over_the_catalogue_and_the_first_ten() -> None:
    lists = [["a", "b"], ["b"], [*"cdefghijkl", "m"]]  # m stands at rank 11
    units = coverage.shown(lists, ["a", "b", "m", "z"])
    assert units[:, 0].tolist() == [1, 1, 0, 0]


def test_coverage_ignores_what_is_not_in_the_catalogue() -> None:
    assert coverage.shown([["ghost"]], ["a"]).tolist() == [[0.0]]


def test_coverage_has_a_row_an_item() -> None:
    rows = [row(prediction={"items": ["a"]}), row(prediction={"items": ["a", "b"]})]
    units = coverage.METRIC.units(rows, {"catalogue": ["a", "b", "c", "d"]})
    assert coverage.METRIC.of(units) == 0.5
    assert len(units) == 4


# facts


@pytest.mark.parametrize(
    ("answer", "fact", "stated"),
    [
        ("It takes 5 days.", "5 days", True),
        ("It takes 15 days.", "5 days", False),
        ("It costs €4.90.", "4.90", True),
        ("It costs €14.90.", "4.90", False),
        ("It costs 4.905 a gram", "4.90", False),
        ("From 45.50 on", "45", False),
        ("From €45, free.", "€45", True),
        ("Up to 45.", "45", True),
        ("from 16:30", "16", False),
        ("at 16:30.", "16:30", True),
        ("1,045 items", "45", False),
        ("the 2nd day", "2", False),
        ("Free RETURNS within reason", "free returns", True),
        ("returned", "return", False),
        ("We return it.", "return", True),
        ("2–4 working days", "2-4 working days", True),
        ("12-4 working days", "2-4", False),
        ("退货期是30天。", "30 天", True),
        ("退货期是 30 天。", "30天", True),
        ("退货期是３０天", "30天", True),
        ("退货期是130天", "30天", False),
        ("满45，120元封顶", "45", True),
        ("邮费４．９０欧元", "4.90", True),
        ("请发照片给我们", "照片", True),
        ("用My orders页面", "my orders", True),
        ("line one\nline   two", "one line two", True),
        ("it's free", "it’s free", True),
        ("within a fortnight", "14 days|fortnight|two weeks", True),
        ("within a year", "14 days|fortnight|two weeks", False),
        ("anything", "|", False),
        ("", "5 days", False),
    ],
)
def test_a_fact_is_stated_where_one_spelling_stands_alone(
    answer: str, fact: str, stated: bool
) -> None:
    assert facts.states(answer, fact) is stated


def test_gold_fact_recall_is_the_share_of_facts() -> None:
    answer = "Delivery to the UK costs €7.50 and takes 4–6 working days."
    assert facts.gold_fact_recall(answer, ["€7.50|7.50", "4-6|4 to 6"]) == 1.0
    assert facts.gold_fact_recall(answer, ["€7.50", "tracked"]) == 0.5
    assert facts.gold_fact_recall("", ["€7.50"]) == 0.0


def test_a_fact_with_signs_of_regular_expressions_is_plain_text() -> None:
    assert facts.states("costs 5 (five) euro + tax", "(five) euro + tax")
    assert not facts.states("costs 5", "5.*|.+")


# refusals


def refusals(both: int, due: int, needless: int, neither: int) -> np.ndarray:
    rows = [[1.0, 1.0]] * both + [[1.0, 0.0]] * due + [[0.0, 1.0]] * needless
    return np.array(rows + [[0.0, 0.0]] * neither)


def test_refusal_by_hand() -> None:
    units = refusals(both=3, due=1, needless=2, neither=4)
    assert refusal.precision(units) == pytest.approx(3 / 5)
    assert refusal.recall(units) == pytest.approx(3 / 4)
    assert refusal.f1(units) == pytest.approx(2 * 0.6 * 0.75 / (0.6 + 0.75))


def test_declining_nothing_scores_zero() -> None:
    units = refusals(both=0, due=2, needless=0, neither=2)
    assert (refusal.precision(units), refusal.recall(units), refusal.f1(units)) == (0, 0, 0)


def test_declining_everything_has_full_recall_and_the_precision_of_chance() -> None:
    units = refusals(both=1, due=0, needless=3, neither=0)
    assert (refusal.precision(units), refusal.recall(units)) == (0.25, 1.0)


def test_refusal_applies_only_where_both_kinds_are_asked() -> None:
    rows = [row(unanswerable=0, declined=1), row(unanswerable=0, declined=0)]
    assert len(clustered(refusal.F1, rows, {})[0]) == 0
    assert len(clustered(refusal.F1, [*rows, row(unanswerable=1, declined=1)], {})[0]) == 3


def test_a_cluster_of_one_kind_counts_where_the_whole_set_has_both() -> None:
    kinds = [("a", 0, 0), ("a", 0, 1), ("b", 1, 1), ("b", 1, 0)]
    rows = [
        row(unanswerable=u, declined=d).model_copy(update={"id": f"{n}", "cluster": cluster})
        for n, (cluster, u, d) in enumerate(kinds)
    ]
    units, groups = clustered(refusal.F1, rows, {})
    assert units.tolist() == [[0, 0], [0, 1], [1, 1], [1, 0]]
    assert groups is not None
    assert groups.tolist() == [0, 0, 1, 1]
    assert len(clustered(refusal.F1, rows[:2], {})[0]) == 0


# answers


def test_answer_f1_by_hand() -> None:
    # said: fee is 5 euro (4 words), gold: 5 euro: 2 common -> 2 * 2 / (4 + 2).
    assert answer_f1.answer_f1("The fee is 5 euro.", ["5 euro"]) == pytest.approx(4 / 6)
    assert answer_f1.answer_f1("The fee is 5 euro.", ["nothing", "fee is 5 euro"]) == 1.0


def test_answer_f1_strikes_out_case_articles_and_punctuation() -> None:
    assert answer_f1.answer_f1('A "Norman" Duke!', ["the norman duke"]) == 1.0
    assert answer_f1.answer_f1("$1,000", ["1000"]) == 1.0


def test_answer_f1_reads_each_han_character_as_a_word() -> None:
    # 三十天 against 十天: 2 common of 3 and 2.
    assert answer_f1.answer_f1("三十天", ["十天"]) == pytest.approx(4 / 5)


def test_answer_f1_at_its_ends() -> None:
    assert answer_f1.answer_f1("", ["yes"]) == 0.0
    assert answer_f1.answer_f1("the", ["a"]) == 1.0
    assert answer_f1.answer_f1("the", ["a", "b"]) == 1.0


def test_citation_precision_and_recall_are_counted_over_the_whole_set() -> None:
    rows = [
        row(**citations.counts(["a", "b", "a"], ["a"])),  # 1 of 2 right, 1 of 1 found
        row(**citations.counts(["c"], [])),  # nothing to cite: wrong
        row(**citations.counts([], ["d", "e"])),  # declined: 2 missed
    ]
    assert value(citations.PRECISION, rows) == pytest.approx(1 / 3)
    assert value(citations.RECALL, rows) == pytest.approx(1 / 3)


def test_citation_recall_asks_only_questions_that_have_an_article() -> None:
    rows = [row(**citations.counts(["c"], [])), row(**citations.counts(["a"], ["a"]))]
    assert len(citations.RECALL.units(rows, {})) == 1
    assert len(citations.PRECISION.units(rows, {})) == 2


def test_reach_counts_what_is_cited_or_offered_whatever_was_declined() -> None:
    rows = [
        row(reached_gold=citations.reached(["a"], ["b"], ["b", "z"]), gold_articles=2),
        row(reached_gold=citations.reached([], ["c", "d"], ["d"]), gold_articles=1),
        row(reached_gold=citations.reached(["e"], ["f"], []), gold_articles=0),  # nothing to reach
    ]
    assert value(citations.REACH, rows) == pytest.approx(2 / 3)
    assert len(citations.REACH.units(rows, {})) == 2


def test_citing_nothing_has_precision_zero() -> None:
    assert value(citations.PRECISION, [row(**citations.counts([], ["a"]))]) == 0.0


SOURCE = "Delivery to the UK takes 4–6 working days and costs €7.50. Ask Maren before Friday."


def test_a_number_with_letters_is_supported_by_the_same_and_by_the_number_alone() -> None:
    answer = "In the 1850s, late in the 19th century, 30cm long, and in 1850."
    lacking = unsupported.unsupported(answer, ["The 1850s and the 19th century; 30 cm."])
    assert lacking["numbers"] == ["1850"]


@pytest.mark.parametrize(
    ("answer", "kind", "lacking"),
    [
        ("It costs €7.50.", "", []),
        ("It takes 4-6 working days.", "", []),
        ("It takes 4 to 6 working days.", "", []),
        ("It costs €17.50.", "numbers", ["17.50"]),
        ("It costs 7.50euro.", "", []),
        ("In the 1850s, in the 19th century.", "numbers", ["1850s", "19th"]),
        ("It costs 7,50.", "numbers", ["7,50"]),
        ("Ask before Monday.", "dates", ["Monday"]),
        ("It starts in december.", "dates", ["december"]),
        ("Please ask Maren.", "", []),
        ("Please ask Greta.", "names", ["Greta"]),
        ("Greta knows.", "", []),  # a sentence's first word says nothing about names
        ("We will see to it.", "", []),
        ("运费17欧元", "numbers", ["17"]),
    ],
)
def test_a_statement_is_unsupported_where_no_source_has_it(
    answer: str, kind: str, lacking: list[str]
) -> None:
    found = unsupported.unsupported(answer, [SOURCE])
    assert {k: said for k, said in found.items() if said} == ({kind: lacking} if kind else {})


def test_an_answer_may_be_unsupported_in_several_ways() -> None:
    found = unsupported.scores("On Monday, ask Greta for 9 of them.", [SOURCE])
    assert found == {
        "unsupported": 1, "unsupported_numbers": 1, "unsupported_dates": 1, "unsupported_names": 1
    }  # fmt: skip
    assert unsupported.scores("", [SOURCE])["unsupported"] == 0


def test_unsupported_rate_is_over_the_answers_given() -> None:
    rows = [row(unsupported=1, answered=1), row(unsupported=0, answered=1)]
    declined = row(unsupported=0, answered=0)
    assert value(unsupported.METRIC, [*rows, declined]) == 0.5
    assert value(unsupported.METRIC, [declined]) == 0.0


@pytest.mark.parametrize(
    ("answered", "fact", "cited", "hedged", "wrong"),
    [
        (True, False, False, False, (1, 1, 0)),
        (True, False, False, True, (1, 0, 1)),
        (True, True, False, False, (0, 0, 0)),
        (True, False, True, True, (0, 0, 1)),
        (False, False, False, True, (0, 0, 0)),
    ],
)
def test_wrong_unhedged_and_hedged(
    answered: bool, fact: bool, cited: bool, hedged: bool, wrong: tuple[int, int, int]
) -> None:
    found = wrong_unhedged.scores(
        answered=answered, fact_stated=fact, gold_cited=cited, hedged=hedged
    )
    assert (found["wrong"], found["wrong_unhedged"], found["hedged"]) == wrong


# what all metrics share


def test_a_sample_without_the_score_has_no_row() -> None:
    units = columns("a", "b")([row(a=1, b=2), row(a=1), row(a=3, b=4)], {})
    assert units.tolist() == [[1, 2], [3, 4]]
    assert columns("a")([], {}).shape == (0, 1)


def test_a_ratio_over_nothing_is_zero() -> None:
    assert ratio(np.zeros((3, 2))) == 0.0


def test_metric_names_are_unique_in_a_task_and_lower_case() -> None:
    for task in TASKS.values():
        names = [metric.name for metric in task.metrics]
        assert len(set(names)) == len(names)
        assert all(name == name.lower() for name in names)
