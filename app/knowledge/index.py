"""Two ways to score every text of one field for a question.

What every field index keeps (tests/test_index.py holds it as a contract): one score a text, in the
order given; higher is better; about 0 where nothing matches and 1 where all does; the same
question, the same scores. What is behind the whole search is app.knowledge.passages.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import bm25s
import numpy as np

from app.knowledge.terms import terms
from app.knowledge.vectors import encode_cached
from app.models.encoder import Array, TextEncoder


class FieldIndex(Protocol):
    """n texts that a question is scored against."""

    def scores(self, question: str) -> Array:
        """(n,) float32, in the order of the texts; zeros for a question that says nothing."""
        ...


class Bm25Index:
    """BM25 (Robertson & Zaragoza 2009, Lucene's variant, k1 = 1.5, b = 0.75) over `terms`.

    Scores are divided by what a text that held every word of the question endlessly often would
    get, so that they are a share in 0..1, comparable between questions; the order is that of BM25.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        documents = [terms(text) for text in texts]
        self._n = len(documents)
        self._documents = Counter(word for words in documents for word in set(words))
        self._bm25 = bm25s.BM25(method="lucene")
        if self._documents:  # bm25s refuses a corpus without words
            self._bm25.index(documents, show_progress=False)

    def scores(self, question: str) -> Array:
        """(n,) float32 in 0..1."""
        asked = terms(question)
        known = [word for word in asked if word in self._documents]
        if not known:
            return np.zeros(self._n, dtype=np.float32)
        best = sum(self.weight(word) for word in asked)
        found: Array = self._bm25.get_scores(known).astype(np.float32)
        return found / np.float32(best)

    def weight(self, word: str) -> float:
        """Inverse document frequency of a term, as BM25 has it; largest for an unknown one."""
        holds = self._documents[word]
        return math.log(1 + (self._n - holds + 0.5) / (holds + 0.5))


class DenseIndex:
    """Cosine with an encoder's vectors, exact: some thousands of passages need no approximation."""

    def __init__(self, texts: Sequence[str], encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._vectors = encode_cached(encoder, texts)

    def scores(self, question: str) -> Array:
        """(n,) float32 in -1..1."""
        return self.scores_of(self._encoder.encode([question])[0])

    def scores_of(self, vector: Array) -> Array:
        """(n,) float32 for a question that is encoded already."""
        found: Array = self._vectors @ vector
        return found
