"""The gate agrees with statgate, a public tool, where the two ask the same question.

Both ship where the lower bound lies above the negative margin. statgate blocks below that margin,
ours at any sure loss that cannot be shown to lie within it; so its BLOCK must be ours, not the
other way round.
"""

from __future__ import annotations

import numpy as np
import pytest
from statgate.config import GateSettings
from statgate.core.bootstrap import bca_mean_interval
from statgate.records import EvalRecord
from statgate.verdict import Verdict, evaluate_gate

from eval import stats
from eval.compare import Pairs
from eval.gate import judged_pairs
from eval.policy import Rule
from eval.samples import Row
from tests.helpers_eval import toy, wrong_on

MARGIN = 0.05
RULE = Rule(
    metric="accuracy", margin=MARGIN, min_n=50, seed=17, alpha=0.05, power=0.8, resamples=2000,
    max_overlap=0.01,
)  # fmt: skip
CASES = [
    (n, gained, lost)
    for n in (120, 300, 800)
    for gained, lost in ((0, 0), (8, 2), (7, 4), (2, 11), (2, 40), (30, 12), (15, 18))
]


def scores(n: int, gained: int, lost: int) -> tuple[list[float], list[float]]:
    """(candidate, baseline): `gained` right in the candidate alone, `lost` in the baseline."""
    candidate = [1.0] * gained + [0.0] * lost + [1.0] * (n - gained - lost)
    baseline = [0.0] * gained + [1.0] * lost + [1.0] * (n - gained - lost)
    return candidate, baseline


def ours(candidate: list[float], baseline: list[float]) -> tuple[str, float]:
    """(verdict, distance of the nearer bound to the margin)."""
    sides = [
        [
            Row(id=f"s{i}", text_sha256="", gold="yes", prediction={"label": "yes"},
                scores={"accuracy": score}, slices={})
            for i, score in enumerate(side)
        ]
        for side in (candidate, baseline)
    ]  # fmt: skip
    found = judged_pairs(toy(wrong_on()), Pairs(*sides, {}), RULE)
    near = min(abs(found.bounds.low + MARGIN), abs(found.bounds.high + MARGIN))
    return found.verdict, near


def theirs(candidate: list[float], baseline: list[float]) -> Verdict:
    """statgate's verdict at the same confidence of each bound."""
    sides = [
        [EvalRecord(case_id=f"s{i}", score=score) for i, score in enumerate(side)]
        for side in (baseline, candidate)
    ]
    settings = GateSettings(margin=MARGIN, alpha=0.10, metric="score", seed=17, resamples=2000)
    return evaluate_gate(*sides, settings).verdict


@pytest.mark.parametrize(("n", "gained", "lost"), CASES)
def test_the_verdict_is_statgates(n: int, gained: int, lost: int) -> None:
    pair = scores(n, gained, lost)
    verdict, near = ours(*pair)
    assert near > 0.003, "so near the margin two right methods may differ: take another case"
    said = theirs(*pair)
    assert (verdict == "ship") == (said == Verdict.SHIP)
    if said == Verdict.BLOCK:
        assert verdict == "block"


def test_bootstrap_bounds_of_graded_scores_are_statgates() -> None:
    draw = np.random.default_rng(7)
    a, b = draw.beta(3, 1, 200), draw.beta(2, 1, 200)
    mine = stats.difference(a[:, None], b[:, None], confidence=0.90)
    other = bca_mean_interval(a - b, confidence=0.90, seed=3)
    assert mine.low == pytest.approx(other.low, abs=0.004)
    assert mine.high == pytest.approx(other.high, abs=0.004)
