"""How sure a search is of articles that carry no ways to ask, in a shop that the fit never saw."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from app.core import brief
from app.core.data import corpus
from app.core.kinds import Corpus, Query
from app.knowledge import confidence, fit, lessons, ranker
from app.knowledge.confidence import Fitted, features
from app.knowledge.fit_confidence import (
    Held,
    Point,
    Sample,
    _features,
    choose,
    curve,
    fitted_on,
    samples,
)
from app.knowledge.retrieve import UNFITTED, Knowledge
from app.knowledge.settings import RetrievalConfig
from app.knowledge.shelf import FAR, Candidates, Ranking, Scores
from app.models.encoder import HashEncoder, TextEncoder
from app.support.chat import SupportChat
from tests.test_retrieve import DOCS


class Articles:
    """Candidates, as far as a margin asks."""

    articles = np.array(["tea", "tea", "post", "mugs"])


def ranked(*orders: list[float], parts: list[list[float]] | None = None) -> Ranking:
    shown = tuple(np.array(part, np.float32) for part in parts or [[0.5] * 4 for _ in orders])
    given = tuple(np.array(order, np.float32) for order in orders)
    return Ranking(cast("Candidates", Articles()), Scores(shown[0], shown[0]), shown, orders=given)


def test_the_margin_is_to_the_best_of_the_other_articles() -> None:
    found = ranked([1.0, 3.0, 2.5, -1.0])
    assert found.margin(0) == found.margin(1) == 0.5
    assert (found.margin(2), found.margin(3)) == (-0.5, -4.0)


def test_of_a_question_in_parts_the_margin_is_that_of_the_part_an_article_is_best_for() -> None:
    assert ranked([3.0, 0.0, 1.0, 0.0], [0.0, 0.0, 4.0, 1.0]).margin(2) == 3.0


def test_an_article_without_a_rival_or_that_was_not_put_in_order_has_a_bounded_margin() -> None:
    off = -np.inf
    assert ranked([1.0, off, 0.0, off]).margin(3) == -FAR
    assert ranked([1.0, off, off, off]).margin(0) == FAR
    alone = ranked([1.0, 2.0, 9.0, 9.0], parts=[[0.5, 0.4, off, off]])
    assert alone.margin(0) == FAR


class Known(HashEncoder):
    """Words hashed, under the name that the ranker was fitted on."""

    name = ranker.load().encoder


def test_where_the_ranker_puts_in_order_its_margin_counts_and_elsewhere_it_does_not() -> None:
    question = "What does delivery to the UK cost?"
    by_ranker = Knowledge.build(DOCS, Known()).rank(question)
    best = int(by_ranker.fused.argmax())
    told = features(by_ranker, best, question, ["delivery"])
    assert told.keys() == {"cosine", "share", "margin"}
    assert told["margin"] > 0
    shipped = confidence.load()
    assert shipped.of(by_ranker) == shipped.ordered
    without = Knowledge.build(DOCS, HashEncoder()).rank(question)
    assert shipped.of(without) == shipped.plain
    chinese = Knowledge.build(DOCS, Known()).rank("寄往英国的运费是多少？")
    assert shipped.of(chinese) == shipped.plain


def test_of_a_set_left_out_of_the_fit_much_is_answered_plainly_and_hardly_any_wrongly() -> None:
    """As `python -m app.knowledge.fit` recorded it: the confidence of each set by a fit on the
    others alone, its order by a ranker that saw other documents of the set."""
    found: Any = confidence.load().fitted["ordered"]
    rate = brief.read().feature("support").max_error
    for name in fit.PUBLIC:
        assert found[name]["wrong_of_plain"] <= rate, name
        assert found[name]["plainly_without_article"] <= 0.05, name
        assert found[name]["declined_without_article"] >= 0.45, name
    assert found["data:stackfaq"]["plainly"] >= 0.6


def sample(lang: str, n: int, answerable: bool) -> Sample:
    query = Query(f"q{n}", "Where is it?", (), topic=f"t{n}", lang=lang)
    near = 0.4 + 0.3 * answerable + 0.0001 * n
    told = {"cosine": near, "share": near, "margin": 4.0 * answerable - 2 + 0.0001 * n}
    return Sample(query, told, answerable, answerable, True, answerable)


def test_the_order_of_the_ranker_is_fitted_on_its_language_and_on_all_sets() -> None:
    own = [sample(lang, n, n % 2 == 0) for lang in ("en", "zh") for n in range(200)]
    other = {"data:other": [sample("en", 500 + n, n % 2 == 0) for n in range(40)]}
    found, told = fitted_on(own, RetrievalConfig(), other)
    assert found.languages.keys() == {"en"}
    assert len(found.held.chances) == 240
    assert told["data:other"] == {
        "n": 20, "answered": 1.0, "plainly": 1.0, "wrong_of_plain": 0.0,
        "declined_without_article": 1.0, "plainly_without_article": 0.0,
    }  # fmt: skip
    plain, _ = fitted_on(own, RetrievalConfig())
    assert plain.languages.keys() == {"en", "zh"}
    assert "margin" not in plain.languages["en"].features


def test_where_nothing_can_be_promised_there_is_no_share_of_wrong_answers() -> None:
    few = [sample("en", n, n % 2 == 0) for n in range(40)]
    told = fitted_on(few, RetrievalConfig(), {"data:other": few})[1]["data:other"]
    assert (told["plainly"], told["wrong_of_plain"]) == (0.0, None)


def test_a_language_of_which_words_decide_is_not_judged_by_the_cosine() -> None:
    config = RetrievalConfig(bm25_weight=0.3, bm25_weight_zh=0.9)
    assert _features(config, "zh", heard=False) == ("share",)
    assert _features(config, "en", heard=False) == ("cosine", "share")
    for language in ("en", "zh"):
        assert _features(config, language, heard=True) == ("asked", "elsewhere", "known")
    multilingual = config.model_copy(update={"bm25_weight_zh": 0.3})
    assert _features(multilingual, "zh", heard=False) == ("cosine", "share")


def test_the_middle_of_the_thresholds_near_the_best_refusal_f1_is_chosen() -> None:
    points = [
        Point(0.1, 0.2, 0.5, 40, 0.1), Point(0.2, 0.49, 0.4, 30, 0.3),
        Point(0.3, 0.5, 0.4, 20, 0.2), Point(0.4, 0.485, 0.4, 20, 0.0),
        Point(0.5, 0.4, 0.4, 10, 0.0),
    ]  # fmt: skip
    assert choose(points) == points[2]
    assert choose(points[:3]) == points[2]
    assert choose(points, "gain") == points[1]


def test_a_right_answer_gains_what_a_wrong_one_loses_and_declining_is_neither() -> None:
    wrong, right = np.array([False, True, False, True]), np.array([True, True, False, True])
    held = Held(np.array([0.2, 0.4, 0.6, 0.8]), right, right, right)
    assert [point.gain for point in curve(held)] == [0.5, 0.25, 0.0, 0.25]
    assert curve(held._replace(found_right=wrong))[0].gain == 0.0


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    from app.models.load import resolve, text_encoder

    return text_encoder(resolve("sentence-transformers/all-MiniLM-L6-v2"))


def shuffled(found: Corpus) -> list[Query]:
    """The answerable questions in the order in which the fit draws them."""
    return sorted((q for q in found.queries if q.gold), key=lambda query: ranker.drawn(query.id))


@pytest.mark.realdata
def test_a_shop_of_which_neither_ranker_nor_fit_saw_a_word(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """StackFAQ, as a shop comes to us; printed for the README by `pytest -s -k saw_a_word`."""
    demo, config = corpus("demo:support"), confidence.load().retrieval
    bare = [fit._without_questions(doc) for doc in demo.docs]
    seen = Corpus(bare, [query for query in demo.queries if query.split != "test"])
    sets = {"demo:support": seen, "data:squad2_small": corpus("data:squad2_small")}
    weights = {"demo:support": fit.WEIGHT, **fit.PUBLIC}
    rows = [lessons.asked(n, own, encoder, weights[n], config) for n, own in sets.items()]
    drawn = samples(Knowledge.build(bare, encoder, config, UNFITTED), seen, hide=True)
    others = {"data:squad2_small": fit.strangers("data:squad2_small", encoder, config)}
    fitted, _ = fitted_on(drawn, config, others)
    order = lessons.fitted([row for own in rows for row in own], encoder.name)
    monkeypatch.setattr(ranker, "without", lambda _: order)
    told = judged(fit.strangers("data:stackfaq", encoder, config), fitted)
    print(f"\nStackFAQ, {fit.STRANGERS} questions, by what saw nothing of it: {told}")
    assert told["answered"] > 0.8
    assert told["plainly"] > 0.35
    assert told["wrong_of_plain"] <= brief.read().feature("support").max_error
    assert told["declined_without_article"] > 0.55


def judged(drawn: list[Sample], fitted: Fitted) -> dict[str, float]:
    """What `fitted` makes of questions as they were asked, in shares; as in the fit's record."""
    certain = fitted.certain(brief.read().feature("support").max_error)
    sure = np.array([fitted(one.found, "en") for one in drawn]) >= fitted.threshold
    plainly = sure & (np.array([fitted.rightness(one.found, "en") for one in drawn]) >= certain)
    asked = np.array([one.answerable for one in drawn])
    right = np.array([one.found_right for one in drawn])
    shares = {
        "answered": sure[asked], "plainly": plainly[asked],
        "wrong_of_plain": ~right[asked & plainly],
        "declined_without_article": ~sure[~asked], "plainly_without_article": plainly[~asked],
    }  # fmt: skip
    return {name: round(float(share.mean()), 3) for name, share in shares.items()}


@pytest.mark.realdata
def test_on_stackfaq_most_answers_are_plain_and_what_no_article_answers_is_declined(
    encoder: TextEncoder,
) -> None:
    """By questions that the fit did not draw, each by a ranker that never saw their documents."""
    found = corpus("data:stackfaq")
    asked = Corpus(found.docs, shuffled(found)[fit.STRANGERS : 500])
    told = judged(
        samples(Knowledge.build(found.docs, encoder), asked, hide=True), confidence.load().ordered
    )
    assert told["answered"] > 0.93
    assert told["plainly"] > 0.6
    assert told["wrong_of_plain"] < 0.02
    assert told["declined_without_article"] > 0.5
    assert told["plainly_without_article"] < 0.15


@pytest.mark.realdata
def test_a_chat_over_articles_without_ways_answers_plainly_where_it_is_sure(
    encoder: TextEncoder,
) -> None:
    found = corpus("data:stackfaq")
    chat = SupportChat(Knowledge.build(found.docs, encoder))
    said = [(query, chat.answer(query.text)) for query in shuffled(found)[500:560]]
    plain = [(query, answer) for query, answer in said if answer.citations and not answer.hedged]
    assert len(plain) > 30
    assert all(answer.citations[0].id in query.gold for query, answer in plain)
    assert not chat.answer("Who won the football match on Sunday?").citations
