"""The gate over simulated pairs of reports whose truth is known: how often it errs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


def gate(times: int) -> dict[str, Any]:
    """The whole policy's errors and power over simulated pairs of reports, with exact 95 % bounds.

    Sentiment's rule, guards and protected slices among it, on rows as its reports have them: 15 %
    of the samples flip. 150 samples where the candidate is worse by exactly the margin of 0.10
    (shipping it is the error) or equal (blocking it is the error); 500 where it is better by 0.05
    and a gain is required (shipping it is right).
    """
    from scipy.stats import binomtest

    found = {}
    for name, verdict, case in (
        ("ship_worse", "ship", _Case(150, -0.10)),
        ("block_equal", "block", _Case(150, 0.0)),
        ("ship_better", "ship", _Case(500, 0.05, min_gain=0.0)),
    ):
        said = [_simulated(np.random.default_rng((17, run)), case) for run in range(times)]
        count = said.count(verdict)
        bounds = binomtest(count, times).proportion_ci(0.90)
        found[name] = {
            "count": count, "runs": times,
            "lower_95": round(float(bounds.low), 4), "upper_95": round(float(bounds.high), 4),
        }  # fmt: skip
    return found


class _Case(NamedTuple):
    """A candidate whose true accuracy is the baseline's plus `gain`."""

    n: int
    gain: float
    min_gain: float | None = None
    flips: float = 0.15


def _simulated(rng: np.random.Generator, case: _Case) -> str:
    from eval.compare import Pairs
    from eval.gate import judged_pairs
    from eval.policy import rule
    from eval.tasks import task

    # P(only candidate right) - P(only baseline right) = gain, their sum = flips; both 70 %.
    up, down = (case.flips + case.gain) / 2, (case.flips - case.gain) / 2
    kind = rng.choice(4, case.n, p=[up, down, 0.7, 0.3 - case.flips])
    gold, lengths = rng.integers(0, 2, case.n), rng.choice(3, case.n, p=[0.3, 0.5, 0.2])
    sides = [
        _rows(np.isin(kind, right), gold, lengths, rng.beta(6, 2, case.n) / 2 + 0.5)
        for right in ((0, 2), (1, 2))
    ]
    asked = task("sentiment")
    judged = rule(asked).model_copy(update={"min_gain": case.min_gain, "resamples": 1000})
    return judged_pairs(asked, Pairs(sides[0], sides[1], {}), judged).verdict


def _rows(right: Any, gold: Any, lengths: Any, confidence: Any) -> list[Any]:
    from eval.samples import Row

    labels = ("negative", "positive")
    return [
        Row(
            id=f"s{i}", text_sha256="", gold=labels[gold[i]],
            prediction={"label": labels[gold[i] if right[i] else 1 - gold[i]]},
            scores={"accuracy": float(right[i]), "confidence": float(confidence[i])},
            slices={"length": ("short", "medium", "long")[lengths[i]]},
        )
        for i in range(len(gold))
    ]  # fmt: skip
