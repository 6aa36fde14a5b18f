"""Puts the passages that the first search brought up in order: a small network over their clues.

One line plus 32 tanh units, weights in ranker.json beside this file, fitted by
`python -m app.knowledge.fit` with a softmax over a question's candidates (ListNet's top-one loss,
Cao et al. 2007) and the first search's score added as a prior. English alone, see
app.knowledge.lessons.LANGUAGES. ranker_folds.json has, for evaluation alone, the same fitted
without the documents of one fold each.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from app.core.config import Strict, parse
from app.core.files import read_json
from app.core.kinds import Query
from app.knowledge.clues import NAMES
from app.models.encoder import Array, TextEncoder

FILE = Path(__file__).with_name("ranker.json")
FOLDS_FILE = Path(__file__).with_name("ranker_folds.json")
FOLDS = 5


class Net(Strict):
    """Of one language: scores = x @ linear + tanh(x @ hidden + bias) @ out, x standardised."""

    clues: tuple[str, ...]
    """Columns that the weights are for, in order."""
    mean: list[float]
    scale: list[float]
    linear: list[float]
    hidden: list[list[float]]
    """(inputs, units); no units for a line alone."""
    bias: list[float]
    out: list[float]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.clues != NAMES:
            raise ValueError(f"clues {NAMES} expected: run `python -m app.knowledge.fit`")
        return self

    def __call__(self, clues: Array) -> Array:
        """(m,) float32, higher is better, for (m, clues) of one question; differences count."""
        x = (inputs(clues) - np.array(self.mean)) / np.array(self.scale)
        scores = x @ np.array(self.linear)
        if self.out:
            scores = scores + np.tanh(x @ np.array(self.hidden) + self.bias) @ np.array(self.out)
        return np.asarray(scores, dtype=np.float32)


class Ranker(Strict):
    """Fitted networks and where they come from."""

    languages: dict[str, Net]
    encoder: str = ""
    """Whose cosines it was fitted on, by name; those of another mean something else."""
    fitted: dict[str, Any] = Field(default_factory=dict)
    """Provenance and what was measured, cross-fitted."""

    def orders(self, language: str, encoder: TextEncoder | None) -> bool:
        """Whether it was fitted for `language` and on `encoder`; else the first search's order
        stands."""
        return language in self.languages and encoder is not None and encoder.name == self.encoder

    def __call__(self, clues: Array, language: str) -> Array:
        """Scores of the candidates of one question."""
        return self.languages[language](clues)


def inputs(clues: Array) -> Array:
    """(m, 3 x clues): the clues, how far each is from the best candidate's, and that best."""
    best = np.broadcast_to(clues.max(axis=0, initial=0.0), clues.shape)
    return np.concatenate([clues, clues - best, best], axis=1)


NONE = Ranker(languages={})
"""Leaves what the first search found in its order."""


@lru_cache(maxsize=1)
def load() -> Ranker:
    """The shipped ranker. Raises ConfigError or InputError where the file is not right."""
    return parse(Ranker, read_json(FILE), str(FILE))


def cluster(query: Query) -> str:
    """Of a question: what its documents belong to, else the first of them."""
    return query.topic or next(iter(query.gold), query.id)


def without(query: Query) -> Ranker:
    """The ranker of the fold that never saw the documents of `query`."""
    return folds()[fold(cluster(query))]


def fold(cluster: str) -> int:
    """Of documents that belong together: an article of SQuAD with its paragraphs, a thread."""
    return drawn(cluster) % FOLDS


def drawn(name: str) -> int:
    """A large number, by the name alone: to draw lots that fall alike everywhere."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


@lru_cache(maxsize=1)
def folds() -> list[Ranker]:
    stored: dict[str, Any] = read_json(FOLDS_FILE)
    return [parse(Ranker, found, str(FOLDS_FILE)) for found in stored["folds"]]
