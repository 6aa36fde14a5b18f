"""Intervals, paired tests and sample sizes of eval.stats, worked by hand where that is possible."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics import refusal
from eval.paired import _score, holm, mcnemar, p_value, permutation, tango
from eval.stats import Units, detectable, difference, interval, n_needed


def column(*values: float) -> Units:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def coins(n: int, heads: int) -> Units:
    return column(*[1.0] * heads, *[0.0] * (n - heads))


def test_an_interval_holds_its_value_and_is_seeded() -> None:
    units = coins(100, 80)
    found = interval(units)
    assert found.value == pytest.approx(0.8)
    assert found.low < 0.8 < found.high
    assert found.n == 100
    assert interval(units) == found
    assert interval(units, seed=18) != found


def test_the_interval_of_a_share_is_near_the_normal_one() -> None:
    # 400 of 500: standard error sqrt(.8 * .2 / 500) = 0.0179, so 0.8 -+ 0.035.
    found = interval(coins(500, 400))
    assert found.low == pytest.approx(0.765, abs=0.004)
    assert found.high == pytest.approx(0.835, abs=0.004)


def test_all_right_gets_the_exact_bound_of_clopper_and_pearson() -> None:
    # With 0 wrong of n the two-sided 95 % bound on the share of wrong is 1 - 0.025 ** (1 / n).
    found = interval(coins(100, 100))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 100))


def test_all_wrong_mirrors_all_right() -> None:
    found = interval(coins(100, 0))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_one_sample_says_almost_nothing() -> None:
    found = interval(column(1.0))
    assert found.low == pytest.approx(0.025)
    assert found.n == 1


def test_a_statistic_that_no_resample_moves_is_not_certain() -> None:
    # F1 is 1 in every resample though the rows differ; the bound is that of 0 wrong in 40.
    units = np.array([[1.0, 1.0]] * 20 + [[0.0, 0.0]] * 20)
    found = interval(units, refusal.f1)
    assert found.value == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 40), abs=1e-9)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(5)
    hits = 0
    for trial in range(300):
        found = interval(column(*draw.beta(4, 1, size=60)), seed=trial, resamples=400)
        hits += found.low <= 0.8 <= found.high
    # 300 trials at 95 %: fewer than 270 has a chance of 1 in 10,000, were the intervals exact.
    assert 270 <= hits <= 299


def test_a_paired_difference_is_narrower_than_two_intervals_apart() -> None:
    a, b = coins(200, 150), coins(200, 140)  # the same 140 right, 10 more in a
    found = difference(a, b)
    assert found.value == pytest.approx(0.05)
    assert found.low > 0
    assert interval(a).low < interval(b).high  # apart, the two cannot be told from each other


def test_swapping_the_systems_turns_the_difference_round() -> None:
    a, b = coins(80, 60), column(*([0.0] * 30 + [1.0] * 50))
    one, two = difference(a, b), difference(b, a)
    assert one.value == pytest.approx(-two.value)
    assert one.p == two.p


def test_no_difference_in_any_sample_still_has_a_width() -> None:
    # 0 of 100 differ: with one-sided 95 % at most 1 - 0.05 ** 0.01 = 2.95 % of all samples do.
    same = coins(100, 70)
    found = difference(same, same, confidence=0.90)
    assert (found.value, found.p, found.test) == (0.0, 1.0, "no sample differs")
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 100))
    assert found.low == pytest.approx(-found.high)


def test_systems_over_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        difference(coins(5, 2), coins(6, 2))


def test_mcnemar_is_the_binomial_test_on_the_samples_that_changed() -> None:
    # 6 gained, 0 lost: 2 * (1/2) ** 6 = 1/32. 4 gained, 1 lost: 2 * (5 + 1) / 32 = 0.375.
    assert mcnemar(6, 0) == pytest.approx(1 / 32)
    assert mcnemar(4, 1) == pytest.approx(0.375)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) == 1.0


def test_scores_of_zero_and_one_are_tested_by_mcnemar() -> None:
    a, b = coins(20, 16), coins(20, 10)
    found = difference(a, b)
    assert found.test == "McNemar"
    assert found.p == pytest.approx(1 / 32)


def test_graded_scores_are_tested_by_sign_flip_exactly_where_they_are_few() -> None:
    # Four differences, all positive: of 16 sign patterns 1 is as high and 1 as low, so p = 2/16.
    a, b = column(0.9, 0.8, 0.7, 0.6), column(0.8, 0.6, 0.4, 0.2)
    found = difference(a, b)
    assert found.test == "sign-flip"
    assert found.p == pytest.approx(2 / 16)


def test_permutation_agrees_with_all_sign_patterns_counted_by_hand() -> None:
    draw = np.random.default_rng(3)
    a, b = column(*draw.random(8)), column(*draw.random(8))
    gaps = (a - b)[:, 0]
    flipped = [np.dot(signs, gaps) for signs in product((1, -1), repeat=8)]
    above = np.mean([total >= gaps.sum() - 1e-12 for total in flipped])
    below = np.mean([total <= gaps.sum() + 1e-12 for total in flipped])
    assert permutation(a, b) == pytest.approx(min(1, 2 * min(above, below)))


def test_f1_is_compared_by_permutation_over_whole_rows() -> None:
    gold = [1.0] * 20 + [0.0] * 20
    good = np.column_stack([gold, gold])
    none = np.column_stack([gold, [0.0] * 40])
    found = difference(good, none, refusal.f1)
    assert found.test == "permutation"
    assert found.value == 1.0
    assert found.p < 0.01


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_an_interval_never_leaves_the_range_of_the_scores(scores: list[float]) -> None:
    found = interval(column(*scores), resamples=200)
    assert -1e-9 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1 + 1e-9
    assert not math.isnan(found.low + found.high)


def test_the_needed_n_is_that_of_the_textbook() -> None:
    # One-sided 5 %, power 80 %: ((1.645 + 0.842) * sd / gap) ** 2; sd = 0.4, gap 0.05 -> 396.
    n, sd = 100, 0.4
    assert n_needed(n, sd / math.sqrt(n), 0.05, alpha=0.05, power=0.8) == 396


def test_the_needed_n_does_not_hang_on_the_n_at_hand() -> None:
    few = n_needed(50, 0.4 / math.sqrt(50), 0.05, alpha=0.05, power=0.8)
    many = n_needed(500, 0.4 / math.sqrt(500), 0.05, alpha=0.05, power=0.8)
    assert few == many


# Score bounds of paired shares


def test_tangos_bounds_invert_his_score_test() -> None:
    # At each bound, a difference of `low` or `high`, the score statistic is the normal quantile.
    low, high = tango(9, 1, 43, confidence=0.90)
    assert low < 8 / 43 < high
    assert _score(9, 1, 43, low) == pytest.approx(1.6449, abs=1e-3)
    assert _score(9, 1, 43, high) == pytest.approx(-1.6449, abs=1e-3)


def test_tangos_bounds_turn_round_with_the_systems() -> None:
    low, high = tango(12, 5, 80, 0.95)
    assert tango(5, 12, 80, 0.95) == pytest.approx((-high, -low))


def test_where_nothing_differs_tangos_bounds_have_a_width() -> None:
    # With b = c = 0 the score is -n d / sqrt(n |d| (1 - |d|)), so |d| = z^2 / (n + z^2).
    low, high = tango(0, 0, 100, 0.90)
    assert high == pytest.approx(1.6449**2 / (100 + 1.6449**2), abs=1e-4)
    assert low == pytest.approx(-high)


def test_tangos_bounds_end_where_shares_end() -> None:
    assert tango(20, 0, 20, 0.95)[1] == 1.0
    assert tango(0, 20, 20, 0.95)[0] == -1.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 100))
def test_tangos_bounds_hold_the_value(gained: int, lost: int, others: int) -> None:
    n = gained + lost + others
    if not n:
        return
    low, high = tango(gained, lost, n, 0.90)
    assert -1 <= low <= (gained - lost) / n <= high <= 1


# Several metrics


def test_holm_multiplies_the_smallest_p_most() -> None:
    # 0.01 * 3, 0.03 * 2, and 0.04 * 1 raised to the 0.06 before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holm_never_exceeds_one_and_keeps_a_single_p() -> None:
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_one_sided_p_asks_whether_a_is_worse() -> None:
    a, b = coins(20, 10), coins(20, 16)
    assert p_value(a, b, alternative="less")[0] == pytest.approx(1 / 64)  # 6 lost, none gained
    assert p_value(b, a, alternative="less")[0] == 1.0
    worse = column(0.1, 0.2, 0.3, 0.4)
    assert p_value(worse, worse + 0.1, alternative="less")[0] == pytest.approx(1 / 16)


# Clusters


def test_clusters_of_one_change_nothing_but_the_draws() -> None:
    units = coins(80, 50)
    alone = interval(units, groups=np.arange(80), resamples=4000)
    assert alone.low == pytest.approx(interval(units, resamples=4000).low, abs=0.01)


def test_repeated_samples_say_no_more_than_one() -> None:
    # Every sample five times over: by rows the interval is sqrt(5) too narrow, by clusters right.
    once = coins(60, 40)
    often, groups = np.repeat(once, 5, axis=0), np.repeat(np.arange(60), 5)
    width = [i.high - i.low for i in (interval(once), interval(often, groups=groups))]
    assert width[1] == pytest.approx(width[0], rel=0.05)
    assert interval(often).high - interval(often).low < 0.6 * width[0]


def test_systems_are_swapped_by_clusters() -> None:
    # Three clusters of four rows, a better in all: of 8 sign patterns 1 is as high and 1 as low.
    b = column(*[0.1] * 12)
    p, test = p_value(b + 0.2, b, groups=np.repeat(np.arange(3), 4))
    assert (p, test) == (pytest.approx(2 / 8), "sign-flip of clusters")


def test_zeros_and_ones_in_clusters_are_not_mcnemars() -> None:
    groups = np.repeat(np.arange(5), 4)
    assert difference(coins(20, 16), coins(20, 10), groups=groups).test == "sign-flip of clusters"


def test_one_cluster_says_almost_nothing() -> None:
    found = interval(coins(40, 40), groups=np.zeros(40, dtype=np.int64))
    assert (found.low, found.n) == (pytest.approx(0.025), 40)


def test_the_detectable_difference_is_that_of_the_textbook() -> None:
    # Two-sided 5 %, power 80 %: (1.96 + 0.842) standard errors.
    assert detectable(0.02) == pytest.approx(2.8016 * 0.02, rel=1e-4)
    n = n_needed(100, 0.02, detectable(0.02, alpha=0.1), alpha=0.05, power=0.8)
    assert n in (100, 101)  # the two say the same, turned round
