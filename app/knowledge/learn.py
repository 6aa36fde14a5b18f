"""What the ranker is fitted on: questions with their candidates, some of them right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from app.knowledge.clues import NAMES
from app.knowledge.ranker import Net, inputs
from app.models.encoder import Array

PRIOR = 20.0
"""What is added for 1.0 of the first search's score: more of it serves the shop's questions, which
are few, less of it SQuAD's (cross-fitted: 0, 10, 20 and 40 were tried)."""
LEAST_SCALE = 1e-3
"""Of a clue that is the same everywhere; Net keeps four decimals."""


class Lesson(NamedTuple):
    """A question with its candidates."""

    cluster: str
    """Documents that belong together; folds are cut between them."""
    clues: Array
    """(m, clues)."""
    gold: np.ndarray[Any, np.dtype[np.bool_]]
    """(m,): of a gold article."""
    right: np.ndarray[Any, np.dtype[np.bool_]]
    """(m,): of a gold article and stating a fact of the answer; all of `gold` where none does."""
    clusters: np.ndarray[Any, np.dtype[np.str_]]
    """(m,): of the candidates' documents."""
    weight: float


def learn(lessons: Sequence[Lesson], *, hidden: frozenset[str]) -> Net:
    """A Net; candidates of the clusters in `hidden` are left out as well as their questions.

    Other passages of a gold article, which do not state the fact, are neither right nor wrong.
    """
    from app.models.listwise import Listed, fit

    kept = [n for n in lessons if n.cluster not in hidden and n.right.any()]
    xs = [inputs(lesson.clues) for lesson in kept]
    stacked = np.concatenate(xs)
    mean, scale = stacked.mean(axis=0), np.maximum(stacked.std(axis=0), LEAST_SCALE)
    lists = []
    for lesson, own in zip(kept, xs, strict=True):
        usable = ~(lesson.gold & ~lesson.right) & ~np.isin(lesson.clusters, list(hidden))
        x = ((own - mean) / scale).astype(np.float32)
        lists.append(Listed(x, usable | lesson.right, lesson.right, lesson.weight))
    line, first, bias, out = fit(lists)
    prior = NAMES.index("first")
    line[prior] += PRIOR * float(scale[prior])
    return Net(
        clues=NAMES, mean=_rounded(mean), scale=_rounded(scale), linear=_rounded(line),
        hidden=[_rounded(row) for row in first], bias=_rounded(bias), out=_rounded(out),
    )  # fmt: skip


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]
