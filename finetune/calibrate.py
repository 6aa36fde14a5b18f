"""Numbers fitted on dev: a temperature that makes confidence honest, and thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Array = NDArray[np.floating]


def temperature(logits: Array, labels: NDArray[np.integer]) -> float:
    """The T > 0 in 0.05..20 for which softmax(logits / T) has the least log loss on `labels`.

    logits: (n, k); labels: (n,) in 0..k-1. Accuracy does not change with T (Guo et al. 2017).
    """

    def loss(log_t: float) -> float:
        return log_loss(logits / np.exp(log_t), labels)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def log_loss(logits: Array, labels: NDArray[np.integer]) -> float:
    """Mean -log softmax(logits)[label], in nats."""
    rows = np.arange(len(labels))
    return float(-log_softmax(logits.astype(np.float64), axis=1)[rows, labels].mean())


def threshold(probabilities: Array, correct: NDArray[np.bool_], max_error: float) -> float:
    """The lowest confidence from which on at most `max_error` of the answers are wrong.

    probabilities: (n,) of the label said; correct: (n,). 0.0 where all may be answered; just above
    the highest confidence where none may.
    """
    order = np.argsort(-probabilities)
    wrong = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(wrong <= max_error)
    if not len(good):
        return float(np.nextafter(probabilities.max(), 2.0))
    last = int(good[-1])
    return 0.0 if last == len(order) - 1 else round(float(probabilities[order[last]]), 4)


def f1_threshold(probabilities: Array, gold: Array, hits: float = 0, others: float = 0) -> float:
    """The cut from which on saying yes has the best F1. Both (n,), gold of 0 and 1.

    F1 is 2 hits / (said + right). hits, others: these two counts where more is decided elsewhere.
    0.5 where no answer is yes: no cut is better than another then.
    """
    if not gold.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    found = hits + np.append(0, np.cumsum(gold[order]))
    f1 = 2 * found / (others + gold.sum() + np.arange(len(gold) + 1))
    return _cut(probabilities[order], f1)


def answer_threshold(scores: Array, said: Array, silent: Array) -> float:
    """The score from which on answering brings most: `said` where answered, else `silent`.

    All (n,).
    """
    order = np.argsort(-scores, kind="stable")
    return _cut(scores[order], np.append(0, np.cumsum((said - silent)[order])))


def _cut(ranked: Array, worth: Array) -> float:
    """The value from which on saying yes is worth most, half-way to the next value below it.

    ranked: (n,), falling; worth: (n + 1,), of saying yes to none, one, ... or all of them.
    """
    around = np.concatenate([[ranked[0] + 1.0], ranked, [ranked[-1] - 1.0]])
    parts = around[1:] < around[:-1]  # equal ones are said together
    best = int(np.argmax(np.where(parts, worth, -np.inf)))
    return float((around[best] + around[best + 1]) / 2)
