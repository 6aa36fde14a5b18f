"""What the plots of a report show, as numbers: computed from samples alone, whatever their task.

Each function returns None, or nothing, where the samples do not carry what it needs. Bounds are of
95 %: exact (Clopper and Pearson 1934) where a share is counted, normal where a mean is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eval.metrics.ece import BINS
from eval.samples import Row
from eval.stats import CONFIDENCE

Floats = npt.NDArray[np.float64]
RIGHT = ("accuracy", "correct")
"""Scores that say, as 0 or 1, whether a sample is right; the first that is there counts."""
FAILED = "(failed)"


class Point(NamedTuple):
    """A share over n samples, at x."""

    x: float
    share: float
    low: float
    high: float
    n: int


class Confusion(NamedTuple):
    """counts[i][j]: samples of labels[i] that were called labels[j]."""

    labels: list[str]
    counts: list[list[int]]


def sureness(rows: Sequence[Row]) -> tuple[Floats, Floats] | None:
    """Confidence, and 1 where right, of the samples that carry both."""
    pairs = [(sure, right) for row in rows for sure, right in [(_sure(row), _right(row))]]
    kept = np.array([p for p in pairs if None not in p], dtype=np.float64)
    return (kept[:, 0], kept[:, 1]) if len(kept) else None


def reliability(sure: Floats, right: Floats) -> list[Point]:
    """For each bin of ece that holds samples: mean confidence, and the share that is right."""
    bins = np.clip(np.ceil(sure * BINS) - 1, 0, BINS - 1)
    inside = [bins == b for b in range(BINS)]
    return [_share(float(sure[m].mean()), right[m]) for m in inside if m.any()]


def risk_coverage(sure: Floats, right: Floats) -> list[Point]:
    """For each threshold: the share answered (x), and of these the share that is wrong.

    Samples of one confidence are answered together (El-Yaniv and Wiener 2010).
    """
    order = np.argsort(-sure, kind="stable")
    wrong = np.cumsum(1 - right[order])
    last = np.append(sure[order][1:] != sure[order][:-1], True)
    counts = np.flatnonzero(last) + 1
    low, high = exact(wrong[last], counts)
    risks = wrong[last] / counts
    columns = zip(counts / len(sure), risks, low, high, counts, strict=True)
    return [Point(float(x), float(r), float(a), float(b), int(n)) for x, r, a, b, n in columns]


def confusion(rows: Sequence[Row]) -> Confusion | None:
    """Gold label against predicted one, where the gold is a label and predictions carry one."""
    pairs = Counter(
        (row.gold, _label(row)) for row in rows if isinstance(row.gold, str) and _labelled(row)
    )
    if not pairs:
        return None
    labels = sorted({gold for gold, _ in pairs} | {said for _, said in pairs})
    return Confusion(labels, [[pairs[gold, said] for said in labels] for gold in labels])


def ranks(rows: Sequence[Row]) -> list[Point]:
    """recall@k for k = 1, 2, ... as deep as the rankings go; empty where there are none."""
    ranked = [(row.gold, _ranking(row)) for row in rows if "mrr" in row.scores]
    found = [(_many(gold), ranking) for gold, ranking in ranked if ranking is not None and gold]
    depth = max((len(ranking) for _, ranking in found), default=0)
    return [
        _mean(k, [_recall(gold, said[:k]) for gold, said in found]) for k in range(1, depth + 1)
    ]


def worst(rows: Sequence[Row], metric: str, higher_is_better: bool) -> list[Row]:
    """Failed samples, then those not at the metric's best, worst first and surest first."""
    sign = 1 if higher_is_better else -1
    scored = [row for row in rows if metric in row.scores]
    best = max((sign * row.scores[metric] for row in scored), default=0.0)
    bad = [row for row in scored if row.error or sign * row.scores[metric] < best]
    return sorted(bad, key=lambda row: _badness(row, sign * row.scores[metric]))


def exact(part: Any, whole: Any) -> tuple[Floats, Floats]:
    """Two-sided bounds of part / whole, by Clopper and Pearson; arrays of counts, whole > 0."""
    from scipy.stats import beta

    part, whole, tail = np.asarray(part), np.asarray(whole), (1 - CONFIDENCE) / 2
    low = np.where(part > 0, beta.ppf(tail, np.maximum(part, 1), whole - part + 1), 0.0)
    high = np.where(part < whole, beta.ppf(1 - tail, part + 1, np.maximum(whole - part, 1)), 1.0)
    return low, high


def _share(x: float, right: Floats) -> Point:
    low, high = exact(right.sum(), len(right))
    return Point(x, float(right.mean()), float(low), float(high), len(right))


def _mean(x: float, values: Sequence[float]) -> Point:
    from scipy.stats import norm

    mean, n = float(np.mean(values)), len(values)
    reach = float(norm.ppf((1 + CONFIDENCE) / 2) * np.std(values) / n**0.5)
    return Point(x, mean, max(0.0, mean - reach), min(1.0, mean + reach), n)


def _recall(gold: Sequence[str], said: Sequence[str]) -> float:
    return len(set(gold) & set(said)) / len(set(gold))


def _sure(row: Row) -> float | None:
    said = row.prediction if isinstance(row.prediction, dict) else {}
    sure = row.scores.get("confidence", said.get("confidence"))
    return float(sure) if isinstance(sure, (int, float)) and 0 <= sure <= 1 else None


def _right(row: Row) -> float | None:
    found = [row.scores[name] for name in RIGHT if row.scores.get(name) in (0, 1)]
    return found[0] if found else None


def _labelled(row: Row) -> bool:
    return isinstance(row.prediction, dict) and "label" in row.prediction


def _label(row: Row) -> str:
    said = row.prediction["label"]
    return FAILED if said is None else str(said)


def _ranking(row: Row) -> list[str] | None:
    """The list of ids in a prediction, best first."""
    said = row.prediction.values() if isinstance(row.prediction, dict) else ()
    lists = [v for v in said if isinstance(v, list) and all(isinstance(i, str) for i in v)]
    return lists[0] if lists else None


def _many(gold: Any) -> list[str]:
    return [gold] if isinstance(gold, str) else list(gold)


def _badness(row: Row, score: float) -> tuple[bool, float, float, str]:
    return not row.error, score, -(_sure(row) or 0.0), row.id
