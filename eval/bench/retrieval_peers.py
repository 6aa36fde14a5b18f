"""What a tutorial's hybrid search does with sentence-transformers, and the same tuned.

Both cut articles at empty lines, put the title in front, and join the cosine's and BM25's rankings
by reciprocal rank fusion (Cormack et al. 2009), a passage's share being 1 / (60 + rank).
sentence-transformers sorts texts by their length in characters itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

DEPTH, SHOWN = 50, 3
"""Passages of each ranking that are fused, and of the fused one that are returned."""
_RRF = 60

Docs = Sequence[Mapping[str, Any]]


class Default:
    """As the libraries come: all defaults of `encode` and `BM25Okapi`, words cut at spaces."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder))
        dtype = _dtype(self._model)
        self.does = f"SentenceTransformer.encode as it comes: {dtype}, batch 32; rank_bm25; RRF"

    def index(self, docs: Docs) -> Any:
        """A function from a question to article ids."""
        from rank_bm25 import BM25Okapi
        from sentence_transformers.util import semantic_search

        articles, texts = passages(docs)
        vectors = self._model.encode(texts, convert_to_tensor=True, show_progress_bar=False)
        bm25 = BM25Okapi([text.lower().split() for text in texts])

        def search(question: str) -> list[str]:
            vector = self._model.encode(question, convert_to_tensor=True, show_progress_bar=False)
            near = semantic_search(vector, vectors, top_k=DEPTH)[0]
            words = np.argsort(-bm25.get_scores(question.lower().split()))[:DEPTH]
            return [articles[row] for row in fused([int(hit["corpus_id"]) for hit in near], words)]

        return search


class Tuned:
    """The product's dtype and batch, one matrix product, bm25s, no full sorts."""

    def __init__(self, folder: Path, dtype: str, batch: int) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), model_kwargs={"dtype": dtype})
        self._batch = batch
        self.does = (
            f"SentenceTransformer.encode: {_dtype(self._model)}, batch {batch}, by length; "
            "normalised vectors, one matrix product; bm25s; RRF"
        )

    def index(self, docs: Docs) -> Any:
        """A function from a question to article ids."""
        articles, texts = passages(docs)
        vectors = self._encode(texts)
        bm25 = bm25s.BM25()
        bm25.index(_words(texts), show_progress=False)

        def search(question: str) -> list[str]:
            near = vectors @ self._encode([question])[0]
            words = _words([question])[0]
            found = bm25.get_scores(words) if words else np.zeros(len(texts))
            return [articles[row] for row in fused(_top(near), _top(found))]

        return search

    def _encode(self, texts: list[str]) -> Any:
        return self._model.encode(
            texts, batch_size=self._batch, normalize_embeddings=True, show_progress_bar=False
        )


def passages(docs: Docs) -> tuple[list[str], list[str]]:
    """(article ids, texts) of the paragraphs."""
    pairs = [
        (str(doc["id"]), f"{doc.get('title') or ''}\n{paragraph}".strip())
        for doc in docs
        for paragraph in re.split(r"\n\s*\n", str(doc["text"]).strip())
    ]
    return [article for article, _ in pairs], [text for _, text in pairs]


def fused(*rankings: Iterable[int]) -> list[int]:
    """The best SHOWN of several rankings of rows, best first."""
    share: dict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, row in enumerate(ranking, 1):
            share[int(row)] += 1 / (_RRF + rank)
    return sorted(share, key=lambda row: -share[row])[:SHOWN]


def _dtype(model: Any) -> str:
    """That of the weights as they were loaded."""
    return str(next(model.parameters()).dtype).removeprefix("torch.")


def _words(texts: list[str]) -> list[list[str]]:
    found: list[list[str]] = bm25s.tokenize(
        texts, stopwords="en", return_ids=False, show_progress=False
    )
    return found


def _top(scores: Any) -> Any:
    """The rows of the DEPTH highest scores, best first."""
    if len(scores) > DEPTH:
        rows = np.argpartition(-scores, DEPTH)[:DEPTH]
        return rows[np.argsort(-scores[rows])]
    return np.argsort(-scores)
