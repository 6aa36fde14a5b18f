"""perplexity: how much a model is surprised by the tokens of the gold answers; lower is better.

exp of the mean loss over all answer tokens, long answers counting for more than short ones. Tokens
are the model's own: only models with the same tokenizer can be compared. Edge cases: 1.0 where each
token was certain; the loss of an answer is cut at ln(10^6) a token, above guessing blindly among
any vocabulary, which is also what a failure gets; an answer always has its end token at least.
"""

from __future__ import annotations

import math

import numpy as np

from eval.metrics.base import Metric, Values, columns
from eval.stats import Scale, Units

WORST = 1e6
SCALE = Scale(1.0, WORST, mean=math.log, back=math.exp)


def of_answer(loss: float) -> float:
    """exp of the mean loss of an answer's tokens, at most WORST; not a number: WORST."""
    return math.exp(loss) if loss < math.log(WORST) else WORST


def perplexity(units: Units) -> Values:
    """units: (..., n, 2), the perplexity of each answer and how many tokens it has."""
    tokens = units[..., 1]
    total = (np.log(units[..., 0]) * tokens).sum(axis=-1)
    return np.asarray(np.exp(total / tokens.sum(axis=-1)))


METRIC = Metric(
    "perplexity", __name__, columns("perplexity", "tokens"), perplexity,
    higher_is_better=False, unit="number", scale=SCALE,
)  # fmt: skip
