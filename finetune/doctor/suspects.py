"""Labels that are probably wrong: confident learning on held-out predictions of a cheap model.

A row is suspect where the model (held_out.py), which has not seen it, finds that it looks like a
typical row of another label and like no row of its own: per-label thresholds, as in confident
learning (Northcutt et al. 2021), here quantiles, since scores of many labels are not calibrated.
Of several labels a row (multilabel) each is judged alone, given or not. Scores (regression) are
suspect where they are far from the prediction.

Whether such a model can judge the data at hand is tried on it: some labels are replaced, and the
share of these that is found is told. Where it is low, or hardly any row is suspect, that is worth
knowing and no warning: ambiguous rows look like that too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.doctor.finding import Finding, Place, finding, out_of
from finetune.doctor.held_out import HeldOut, vectors
from finetune.doctor.rows import Case, Sample

LEAST, MOST = 40, 10_000
"""Rows: of fewer nothing can be said, of more so many are drawn."""
RARE = 10
"""Rows with (or without) one of several labels, of fewer of which nothing can be said."""
TYPICAL, FOREIGN = 0.25, 0.95
"""A suspect row scores above this quantile of the other label's rows, and below this quantile of
the rows that do not have its own."""
ODDS = 8.0
"""How many times as likely as its own the other label must be: with 5 % of the labels wrong, half
of the suspects then are, on the hardest of our sets (SST-2)."""
FAR = 4.0
"""Robust standard deviations between a score and its prediction: of the ratings of products and
tweets 2 of 7,908 are so far, of their signs turned a fifth to two fifths, hardly anything else."""
REPLACED, ABLE, MANY = 0.05, 0.5, 0.01
"""Share of the labels that the trial replaces; share of these that must be found, and share of the
rows that must be suspect, for a warning."""
Array = NDArray[np.float64]
Labels = NDArray[np.integer]


class Verdict(NamedTuple):
    """What the held-out model says of n labelled rows."""

    suspect: NDArray[np.bool_]
    odds: Array
    """(n,) of the likeliest other label against the given one; the higher, the more suspect."""
    other: NDArray[np.intp]
    """(n,) the likeliest other label."""


def suspects(case: Case) -> Iterator[Finding]:
    """Rows of training and dev whose label or score is probably wrong."""
    pool = _spread(case.part("train", "dev"))
    judged = {"classification": _labels, "multilabel": _sets, "regression": _scores}
    if len(pool) < LEAST or case.config.task not in judged:
        return
    texts = [row.text for row in pool]
    model = HeldOut(texts, None if case.quick else vectors(texts))
    found, able = judged[case.config.task](model, pool)
    if found:
        serious = able >= ABLE and len(found) >= MANY * len(pool)
        yield finding(
            "suspect_labels", "warning" if serious else "info", found, len(pool),
            f"look as if labelled wrongly, most suspect first: {out_of(len(found), len(pool))}; of "
            f"labels replaced at random as a trial, {100 * able:.0f} % were found",
            "Look at them in this order, and stop when they are mostly right.",
        )  # fmt: skip


def _spread(rows: list[Sample]) -> list[Sample]:
    """MOST of the rows at most, drawn by seed, in order."""
    if len(rows) <= MOST:
        return rows
    drawn = np.random.default_rng(0).choice(len(rows), MOST, replace=False)
    return [rows[n] for n in sorted(drawn)]


def _labels(model: HeldOut, pool: Sequence[Sample]) -> tuple[list[Place], float]:
    """Suspect rows, and the share of replaced labels that is found."""
    names = sorted({row.labels[0] for row in pool})
    given = np.array([names.index(row.labels[0]) for row in pool])
    if not 2 <= len(names) <= len(pool) // 2:
        return [], 0.0
    said = judge(model, given, len(names))
    rng = np.random.default_rng(0)
    replaced = rng.random(len(given)) < REPLACED
    another = (given + rng.integers(1, len(names), len(given))) % len(names)
    tried = judge(model, np.where(replaced, another, given), len(names))
    order = [n for n in np.argsort(-said.odds, kind="stable") if said.suspect[n]]
    places = [
        Place(row.where, f"{row.text} -> {row.labels[0]}, not {names[said.other[n]]}?")
        for n, row in ((n, pool[n]) for n in order)
    ]
    return places, _found(tried.suspect, replaced)


def _sets(model: HeldOut, pool: Sequence[Sample]) -> tuple[list[Place], float]:
    """Rows with a label too many or too few, and the share of turned ones that is found."""
    names = sorted({label for row in pool for label in row.labels})
    given = np.array([[name in row.labels for name in names] for row in pool], dtype=int)
    often = [j for j in range(len(names)) if RARE <= given[:, j].sum() <= len(pool) - RARE]
    if not often:
        return [], 0.0
    rng = np.random.default_rng(0)
    replaced = rng.random((len(pool), len(often))) < REPLACED
    verdicts = [judge(model, given[:, j], 2) for j in often]
    turned = given[:, often] ^ replaced
    tried = [judge(model, column, 2).suspect for column in turned.T]
    odds = np.stack([np.where(one.suspect, one.odds, 0) for one in verdicts], axis=1)
    order = [n for n in np.argsort(-odds.max(axis=1), kind="stable") if odds[n].any()]
    places = [_in_set(pool[n], names[often[int(odds[n].argmax())]]) for n in order]
    return places, _found(np.stack(tried, axis=1), replaced)


def _in_set(row: Sample, label: str) -> Place:
    asked = f"without {label}" if label in row.labels else f"{label} too"
    return Place(row.where, f"{row.text} -> {', '.join(row.labels) or 'none'}; {asked}?")


def _scores(model: HeldOut, pool: Sequence[Sample]) -> tuple[list[Place], float]:
    """Suspect rows, and the share of exchanged scores that is found."""
    given = np.array([row.score for row in pool], dtype=np.float64)
    said, far = _far(model, given)
    replaced = np.random.default_rng(0).random(len(given)) < REPLACED
    turned = np.where(replaced, given.max() + given.min() - given, given)
    _, tried = _far(model, turned)
    order = [n for n in np.argsort(-np.abs(given - said), kind="stable") if far[n]]
    places = [
        Place(pool[n].where, f"{pool[n].text} -> {given[n]:g}, not about {said[n]:.2g}?")
        for n in order
    ]
    return places, _found(tried, replaced)


def _found(suspect: NDArray[np.bool_], replaced: NDArray[np.bool_]) -> float:
    """Share of the replaced ones that is suspect; 0 where nothing was replaced."""
    return float(suspect[replaced].mean()) if replaced.any() else 0.0


def _far(model: HeldOut, given: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Predictions of the scores `given`, (n,), and which of these are far from them.

    A ridge says too little where rows are few: a line through its held-out predictions mends that.
    """
    said = model.predict(given[:, None])[:, 0]
    apart = said - said.mean()
    slope = (apart @ given) / max(float(apart @ apart), 1e-12)
    said = given.mean() + slope * apart
    gap = np.abs(given - said - np.median(given - said))
    spread = 1.4826 * np.median(gap)  # as the standard deviation of a normal distribution
    return said, gap > FAR * max(spread, 1e-9 * np.ptp(given))


def judge(model: HeldOut, given: Labels, k: int) -> Verdict:
    """Which of the labels `given`, (n,) in 0..k-1, are probably wrong. Each of the k occurs."""
    rows = np.arange(len(given))
    own = np.eye(k, dtype=bool)[given]
    score = model.predict(own.astype(np.float64))
    chance = _calibrated(score, given)
    other = np.where(own, -np.inf, score).argmax(axis=1)
    typical = np.array([np.quantile(score[own[:, j], j], TYPICAL) for j in range(k)])
    foreign = np.array([np.quantile(score[~own[:, j], j], FOREIGN) for j in range(k)])
    odds = chance[rows, other] / np.maximum(chance[rows, given], 1e-12)
    suspect = (score[rows, other] >= typical[other]) & (score[rows, given] <= foreign[given])
    return Verdict(suspect & (odds >= ODDS), odds, other)


def _calibrated(score: Array, given: Labels) -> Array:
    """softmax(score / T) with the temperature of least log loss."""
    from scipy.special import softmax

    from finetune.calibrate import temperature

    logits = 10 * score  # of 0 to 1: so that the temperature lies amid its bounds
    chance: Array = softmax(logits / temperature(logits, given), axis=1)
    return chance
