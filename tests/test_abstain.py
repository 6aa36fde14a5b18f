"""Thresholds from a tolerated rate: what they hold, on average over resplits of real questions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.core import data
from app.core.abstain import for_error, for_false_alarms
from app.core.kinds import OUT_OF_SCOPE

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def test_the_kth_lowest_score_is_taken() -> None:
    assert for_false_alarms([0.9, 0.1, 0.5, 0.3], rate=0.4) == 0.3  # 0.4 x 5 = 2


def test_too_few_scores_reject_nothing() -> None:
    assert for_false_alarms([0.5] * 9, rate=0.05) == -math.inf


def test_the_lowest_threshold_within_the_error_is_taken() -> None:
    sure, wrong = [0.9, 0.8, 0.7, 0.6], [False, False, False, True]
    assert for_error(sure, wrong, rate=0.25) == 0.7  # (0 + 1) / (3 + 1)


def test_ties_are_answered_together() -> None:
    assert for_error([0.9, 0.5, 0.5], [False, False, True], rate=0.4) == math.inf


def test_nothing_is_answered_where_no_threshold_keeps_the_error() -> None:
    assert for_error([0.9, 0.8], [True, True], rate=0.1) == math.inf
    assert for_error([], [], rate=0.1) == math.inf


@pytest.mark.parametrize("rate", [0.05, 0.10])
def test_rates_hold_within_two_points_over_resplits(rate: float) -> None:
    """Simulated: 2,000 questions; the chance of an error falls as the score rises."""
    rng = np.random.default_rng(17)
    sure = rng.random(2000)
    wrong = rng.random(2000) < 0.6 * (1 - sure)
    assert false_alarms(sure, rate) == pytest.approx(rate, abs=0.02)
    assert error(sure, wrong, rate) == pytest.approx(rate, abs=0.02)


@pytest.mark.realdata
def test_the_rates_hold_for_intents_of_clinc150() -> None:
    from app.models.load import resolve, text_encoder
    from app.support.intents import Intents

    train, dev, test = (data.classification(f"data:clinc150#{s}") for s in ("train", "dev", "test"))
    model = Intents.of_examples(text_encoder(resolve(ENCODER)), train)
    asked = [*dev, *test]
    said = model.predict([row.text for row in asked])
    sure = np.array([intent.score for intent in said])
    wrong = np.array([i.label != row.label for i, row in zip(said, asked, strict=True)])
    known = np.array([row.label != OUT_OF_SCOPE for row in asked])
    for rate in (0.02, 0.05, 0.10):
        assert false_alarms(sure[known], rate) == pytest.approx(rate, abs=0.02)
        assert error(sure, wrong, rate) == pytest.approx(rate, abs=0.02)


@pytest.mark.realdata
def test_the_error_holds_for_passages_found_in_squad() -> None:
    """1,200 answerable questions; with those that none answers no threshold comes down to 0.3."""
    from app.knowledge import ranker
    from app.knowledge.retrieve import Knowledge
    from app.models.load import resolve, text_encoder

    found = data.corpus("data:squad2_small")
    knowledge = Knowledge.build(found.docs, text_encoder(resolve(ENCODER)))
    asked = [query for query in found.queries if query.gold]
    sure, wrong = [], []
    for query in asked[:: max(1, len(asked) // 1200)]:
        ranking = knowledge.ordered(ranker.without(query)).rank(query.text)
        best = int(ranking.fused.argmax())
        sure.append(knowledge.sureness(ranking, query.text))
        wrong.append(ranking.shelf.articles[best] not in query.gold)
    assert len(sure) >= 1000
    assert error(np.array(sure), np.array(wrong), 0.10) == pytest.approx(0.10, abs=0.02)


def halves(n: int) -> Iterator[tuple[Any, Any]]:
    """Fifty times rows to fit on and rows to see, half each."""
    rng = np.random.default_rng(17)
    for _ in range(50):
        rows = rng.permutation(n)
        yield rows[: n // 2], rows[n // 2 :]


def false_alarms(sure: Any, rate: float) -> float:
    """Mean share of unseen rows below the threshold."""
    shares = [np.mean(sure[s] < for_false_alarms(sure[f], rate)) for f, s in halves(len(sure))]
    return float(np.mean(shares))


def error(sure: Any, wrong: Any, rate: float) -> float:
    """Mean error among the unseen rows that are answered, over the halves where any are."""
    errors = []
    for fit, seen in halves(len(sure)):
        answered = seen[sure[seen] >= for_error(sure[fit], wrong[fit], rate)]
        errors += [np.mean(wrong[answered])] if len(answered) else []
    return float(np.mean(errors))
