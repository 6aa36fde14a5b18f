"""Words of n texts as a sparse matrix, so that a few rows can be asked about many ways cheaply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from app.models.encoder import Array

K1 = 1.5
Rows = Sequence[int] | NDArray[Any]


class WordField:
    """n texts, given as terms. Weights are those of BM25 (Lucene's variant); answers are shares of
    what a text that held all that was asked would get, in 0..1."""

    def __init__(self, texts: Sequence[Sequence[str]], b: float = 0.75) -> None:
        self._ids: dict[str, int] = {}
        cells = [
            (row, self._ids.setdefault(word, len(self._ids)), count)
            for row, words in enumerate(texts)
            for word, count in Counter(words).items()
        ]
        rows, columns, counts = np.array(cells, dtype=np.int64).reshape(-1, 3).T
        shape = (len(texts), len(self._ids))
        held = np.bincount(columns, minlength=shape[1])
        self._idf = np.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
        self._unknown = float(np.log(1 + (len(texts) + 0.5) / 0.5))
        lengths = np.array([len(words) for words in texts], dtype=float)
        norm = K1 * (1 - b + b * lengths / max(float(lengths.mean()) if len(texts) else 0, 1e-9))
        weights = counts / (counts + norm[rows]) * self._idf[columns]
        self._weights = csr_matrix((weights, (rows, columns)), shape=shape)
        self._held = csr_matrix((self._idf[columns], (rows, columns)), shape=shape)

    def share(self, words: Sequence[str], rows: Rows) -> Array:
        """(len(rows),): BM25, repeated words of the question counting again."""
        return self._sums(self._weights, words, rows)

    def coverage(self, words: Sequence[str], rows: Rows) -> Array:
        """(len(rows),): how much of the question's words a text has, rare ones weighing more."""
        return self._sums(self._held, list(dict.fromkeys(words)), rows)

    def rarest(self, words: Sequence[str], count: int) -> list[str]:
        """The `count` rarest of the words that any text has."""
        known = dict.fromkeys(word for word in words if word in self._ids)
        return sorted(known, key=lambda word: -self._idf[self._ids[word]])[:count]

    def _sums(self, cells: csr_matrix, words: Sequence[str], rows: Rows) -> Array:
        columns = [self._ids[word] for word in words if word in self._ids]
        if not columns or not len(rows):
            return np.zeros(len(rows), dtype=np.float32)
        asked = np.bincount(columns, minlength=len(self._ids)).astype(float)
        unknown = sum(word not in self._ids for word in words) * self._unknown
        best = float(asked @ self._idf) + unknown
        found: Array = (cells[rows] @ asked / best).astype(np.float32)
        return found
