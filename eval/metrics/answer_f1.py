"""answer_f1: overlap of words between an answer and the best of the gold answers (SQuAD).

app.core.spans holds the computation, which training shares. Applies where the data gives answers.
Edge cases: a declined question: 0.0; a gold answer of stop words alone matches only an answer of
stop words alone. It punishes whole sentences: a quote that holds a two-word answer scores low, and
rightly so only beside another quote.
"""

from __future__ import annotations

from app.core.spans import f1 as answer_f1
from eval.metrics.base import Metric, columns

__all__ = ["METRIC", "answer_f1"]

METRIC = Metric("answer_f1", __name__, columns("answer_f1"), unit="score")
