"""How well a reader answers, from what it says of the windows of each question, on dev.

A question is answered where its best span reaches a threshold, which is fitted for the best F1 of
SQuAD 2.0 (Rajpurkar et al. 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core import spans
from app.core.questions import Question
from app.models.windows import Window, windows
from finetune.calibrate import answer_threshold

Array = NDArray[np.float64]


class Windows(NamedTuple):
    """Questions cut to the length of the model."""

    questions: list[Question]
    windows: list[Window]
    owners: list[int]
    """The question that each window is of."""


def cut(rows: Sequence[Question], tokenizer: Any, max_tokens: int) -> Windows:
    """The windows of each question, in order."""
    made = [windows(tokenizer, row.question, row.context, max_tokens) for row in rows]
    owners = [number for number, found in enumerate(made) for _ in found]
    return Windows(list(rows), list(chain.from_iterable(made)), owners)


def in_order(found: Any) -> Array:
    """What was predicted for each window, (n, 3), as the windows are numbered."""
    return np.asarray(found.predictions, np.float64)[np.argsort(found.label_ids[:, 2])]


def said(found: Windows, rows: Array) -> tuple[list[str], Array]:
    """The best span of each question and its score, of `best_spans` over all windows, (n, 3)."""
    answers, best = [""] * len(found.questions), np.full(len(found.questions), -np.inf)
    for owner, window, (score, start, end) in zip(found.owners, found.windows, rows, strict=True):
        if score > best[owner]:
            first, last = window.offsets[int(start)][0], window.offsets[int(end)][1]
            answers[owner], best[owner] = found.questions[owner].context[first:last], score
    return answers, best


def scores(
    rows: Sequence[Question], answers: Sequence[str], best: Array, threshold: float
) -> dict[str, float]:
    """exact_match and f1 of SQuAD 2.0, answer_f1, refusal_recall.

    The first two are means over all questions, in which declining is right where the passage does
    not say. answer_f1 is over the questions that it answers, refusal_recall over the others, of
    which it is the share declined; 0.0 where there are none.
    """
    given = np.where(best >= threshold, answers, "")
    exact = [_right(one, row.answers, spans.exact) for one, row in zip(given, rows, strict=True)]
    near = [_right(one, row.answers, spans.f1) for one, row in zip(given, rows, strict=True)]
    there = np.array([bool(row.answers) for row in rows])
    return {
        "f1": float(np.mean(near)),
        "exact_match": float(np.mean(exact)),
        "answer_f1": float(np.mean(np.array(near)[there])) if there.any() else 0.0,
        "refusal_recall": float(np.mean(np.array(near)[~there])) if (~there).any() else 0.0,
    }


def _right(answer: str, golds: Sequence[str], near: Any) -> float:
    """`near` to the golds; without golds, or without an answer, whether neither is there."""
    return float(near(answer, golds)) if answer and golds else float(not answer and not golds)


def fitted(found: Windows, rows: Array) -> tuple[float, dict[str, float]]:
    """(threshold, scores at it): the one with the best F1."""
    answers, best = said(found, rows)
    silent = np.array([float(not row.answers) for row in found.questions])
    near = [
        _right(one, row.answers, spans.f1) if one else 0.0
        for one, row in zip(answers, found.questions, strict=True)
    ]
    threshold = answer_threshold(best, np.array(near), silent)
    return threshold, scores(found.questions, answers, best, threshold)
