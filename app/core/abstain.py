"""When to say nothing, from a tolerated rate and held-out scores, not from a chosen number.

Both rules assume that what comes is like what was held out (exchangeable), and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = Sequence[float] | NDArray[np.floating]


def for_false_alarms(scores: Scores, rate: float) -> float:
    """The threshold below which at most `rate` of texts like these fall, on average.

    Split conformal (Papadopoulos et al. 2002; Vovk et al. 2005): the k-th lowest of n scores, k the
    whole part of rate x (n + 1); -inf, so that nothing falls below, where n is too small for one.
    """
    kth = math.floor(rate * (len(scores) + 1))
    return float(np.sort(np.asarray(scores, dtype=float))[kth - 1]) if kth else -math.inf


def for_error(scores: Scores, wrong: Sequence[bool] | NDArray[np.bool_], rate: float) -> float:
    """The lowest threshold that keeps the error of the answers given within `rate`.

    Answers are those of at least the threshold; one more wrong answer is counted than was seen, as
    conformal risk control does (Angelopoulos et al. 2022). inf, so that nothing is answered, where
    no threshold keeps it. Ties are answered together.
    """
    sure, bad = np.asarray(scores, dtype=float), np.asarray(wrong, dtype=bool)
    order = np.argsort(-sure, kind="stable")
    sure, errors = sure[order], np.cumsum(bad[order]) + 1
    whole = np.append(sure[1:] < sure[:-1], True) if len(sure) else np.zeros(0, dtype=bool)
    kept = np.flatnonzero((errors <= rate * (np.arange(len(sure)) + 2)) & whole)
    return float(sure[kept[-1]]) if len(kept) else math.inf
