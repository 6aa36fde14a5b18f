"""Labels that are probably wrong: confident learning on held-out predictions of a cheap model.

The model is a ridge regression from TF-IDF of words and pairs of words to the labels, whose leave-
one-out predictions have a closed form (Allen 1974): exact, for hundreds of labels at once, 2 s for
10,000 rows. A row is suspect where the model, which has not seen it, finds that it looks like a
typical row of another label and like no row of its own: per-label thresholds, as in confident
learning (Northcutt et al. 2021), here quantiles, since scores of many labels are not calibrated.
Scores (regression) are suspect where they are far from the prediction.

Whether such a model can judge the data at hand is tried on it: some labels are replaced, and the
share of these that is found is told. Where it is low, or hardly any row is suspect, that is worth
knowing and no warning: ambiguous rows look like that too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.doctor.finding import Finding, Place, finding, out_of
from finetune.doctor.rows import Case, Sample, prepare

LEAST, MOST = 40, 10_000
"""Rows: of fewer nothing can be said, of more so many are drawn."""
FEATURES, PENALTY = 3000, 3.0
"""Terms at most, and the weight of the squared norm; chosen on SST-2 and banking77 with 5 % of
their labels replaced."""
TYPICAL, FOREIGN = 0.25, 0.95
"""A suspect row scores above this quantile of the other label's rows, and below this quantile of
the rows that do not have its own."""
ODDS = 8.0
"""How many times as likely as its own the other label must be: with 5 % of the labels wrong, half
of the suspects then are, on the hardest of our sets (SST-2)."""
FAR = 5.0
"""Robust standard deviations between a score and its prediction."""
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
    if len(pool) < LEAST or case.config.task not in ("classification", "regression"):
        return
    model = HeldOut([row.text for row in pool])
    found, able = (_scores if pool[0].score is not None else _labels)(model, pool)
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
    """Predictions of the scores `given`, (n,), and which of these are far from them."""
    said = model.predict(given[:, None])[:, 0]
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


class HeldOut:
    """Ridge regression on the words of n texts, of which each is predicted by the n - 1 others."""

    def __init__(self, texts: Sequence[str]) -> None:
        from scipy.linalg import inv
        from sklearn.feature_extraction.text import TfidfVectorizer

        terms = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), min_df=2, dtype=np.float32,
            token_pattern=r"[\u3400-\u9fff]|[^\W_]+",
            max_features=min(FEATURES, max(1000, len(texts))),
        )  # fmt: skip
        self._x: Any = terms.fit_transform([prepare(text) for text in texts])
        gram = (self._x.T @ self._x).toarray()
        gram[np.diag_indices_from(gram)] += PENALTY
        self._inverse = inv(gram, overwrite_a=True, assume_a="pos")
        reach = self._x.multiply(self._x @ self._inverse).sum(axis=1)
        self._own = 1 - np.asarray(reach).reshape(-1, 1)

    def predict(self, targets: Array) -> Array:
        """(n, k) held-out predictions of `targets`, (n, k)."""
        apart = targets - targets.mean(axis=0)
        said = self._x @ (self._inverse @ (self._x.T @ apart))
        left_out: Array = targets - (apart - said) / self._own
        return left_out


def _calibrated(score: Array, given: Labels) -> Array:
    """softmax(score / T) with the temperature of least log loss."""
    from scipy.special import softmax

    from finetune.calibrate import temperature

    logits = 10 * score  # of 0 to 1: so that the temperature lies amid its bounds
    chance: Array = softmax(logits / temperature(logits, given), axis=1)
    return chance
