"""Thresholds from a tolerated rate: what they hold, on average over resplits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.core.abstain import for_error, for_false_alarms


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
    """Simulated: 2,000 questions, half to fit and half to see; the chance of an error falls."""
    rng = np.random.default_rng(17)
    sure = rng.random(2000)
    wrong = rng.random(2000) < 0.6 * (1 - sure)
    alarms, errors = [], []
    for _ in range(50):
        rows = rng.permutation(2000)
        fit, seen = rows[:1000], rows[1000:]
        alarms.append(np.mean(sure[seen] < for_false_alarms(sure[fit], rate)))
        answered = seen[sure[seen] >= for_error(sure[fit], wrong[fit], rate)]
        errors.append(np.mean(wrong[answered]))
    assert np.mean(alarms) == pytest.approx(rate, abs=0.02)
    assert np.mean(errors) == pytest.approx(rate, abs=0.02)
