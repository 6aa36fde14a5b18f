"""Temperature scaling: one number, fitted on dev, that makes a classifier's confidence honest."""

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
