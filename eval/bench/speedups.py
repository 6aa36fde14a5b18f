"""Speed-ups of the product over its peers: ratios within rounds, their median and their spread.

Above 1 the product is faster, below 1 slower, whatever way the measure itself points. The spread is
the least and the greatest ratio: of R independent rounds, these hold the true median with
probability 1 - 2 ** (1 - R) (Thompson 1936), 0.97 for 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from app.core.errors import InputError
from eval.bench.base import PEERS, PRODUCT, Bench, Measure
from eval.bench.record import Quality, Speed, Speedup
from eval.bench.turns import Round
from eval.stats import Groups, interval

DIGITS = 4


class Spread(NamedTuple):
    """Median, least and greatest."""

    value: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value, rounded for reports."""
    found = (median(values), min(values), max(values))
    return Spread(*(round(value, DIGITS) for value in found))


def held(rounds: int) -> float:
    """The probability that the least and the greatest of so many rounds hold the true median."""
    return 1 - 2.0 ** (1 - rounds)


def speedups(bench: Bench, rounds: Sequence[Round], suffix: str) -> list[Speedup]:
    """Each measure over each peer. Raises InputError for a speed that is no positive number."""
    found = []
    for measure in bench.measures:
        prefix = "" if measure is bench.measures[0] else f"{measure.name}_"
        for peer in PEERS:
            ratios = [_ratio(measure, each, peer) for each in rounds]
            name = f"{prefix}{peer}_speedup"
            found.append(
                Speedup(
                    name=bench.names.get(name, name) + suffix,
                    measure=measure.name,
                    peer=peer,
                    n=len(rounds),
                    **spread(ratios)._asdict(),
                )
            )
    return found


def speeds(measure: Measure, rounds: Sequence[Round], arm: str) -> Speed:
    """One measure of one arm over the rounds."""
    values = [_speed(measure, each, arm) for each in rounds]
    return Speed(
        measure=measure.name,
        unit=measure.unit,
        higher_is_better=measure.higher_is_better,
        rounds=[round(value, DIGITS) for value in values],
        **spread(values)._asdict(),
    )


def quality(bench: Bench, rounds: Sequence[Round], arm: str, groups: Groups | None) -> Quality:
    """The mean score of an arm with its interval; of its last round, as all give the same."""
    scores = rounds[-1][arm].scores
    found = interval(np.array(scores, dtype=float)[:, None], groups=groups)
    value, low, high = (round(bound, DIGITS) for bound in found[:3])
    return Quality(name=bench.quality, value=value, low=low, high=high, n=found.n)


def _ratio(measure: Measure, outcomes: Round, peer: str) -> float:
    ours, theirs = (_speed(measure, outcomes, arm) for arm in (PRODUCT, peer))
    return ours / theirs if measure.higher_is_better else theirs / ours


def _speed(measure: Measure, outcomes: Round, arm: str) -> float:
    value = float(outcomes[arm].speeds[measure.name])
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            f"{measure.name} of the arm {arm} is {value}: expected a positive number of "
            f"{measure.unit}"
        )
    return value
