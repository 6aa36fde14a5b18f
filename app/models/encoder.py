"""The seam for retrieval and similarity: `encode(texts) -> (n, d) float32`, rows of length 1.

Imports no torch until a SentenceEncoder is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.fingerprints import tokens
from app.models.sentence_files import LONGEST, layout

Array = NDArray[np.float32]


class TextEncoder(Protocol):
    """Texts to vectors; the dot product of two rows is their cosine similarity."""

    @property
    def name(self) -> str:
        """What to call it in logs, indexes and reports."""
        ...

    @property
    def dim(self) -> int:
        """d."""
        ...

    def encode(self, texts: Sequence[str]) -> Array:
        """(n, d) float32 in the order given; no texts give (0, d)."""
        ...


class SentenceEncoder:
    """A BERT-shaped encoder of sentences, pooled as its own files say, scaled to length 1.

    all-MiniLM-L6-v2 is the mean over at most 256 tokens (Reimers & Gurevych 2019); see
    app.models.sentence_files for others. Safe to call from several threads. Raises InputError for
    an encoder that needs more than a body and a pooling.
    """

    def __init__(self, folder: Path, dtype: str = "float32", name: str = "") -> None:
        from app.models.loading import encoder_body, positions, tokenizer

        self.name, self.dtype = name or folder.name, dtype
        self.layout = layout(folder)
        self._tokenizer = tokenizer(folder)
        self._body = encoder_body(folder, dtype).eval()
        self.dim: int = self._body.config.hidden_size
        self._longest = min(self.layout.max_tokens, positions(self._body) or LONGEST)

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> Array:
        """(n, dim) float32; texts of about the same length share a batch."""
        from app.models.batching import length_sorted

        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for rows, inputs in length_sorted(self._tokenizer, texts, self._longest, batch_size):
            out[rows] = self._embed(inputs)
        return out

    def _embed(self, inputs: dict[str, Any]) -> Array:
        import torch
        from torch.nn.functional import normalize

        from app.models import pooling

        with torch.inference_mode():
            device = self._body.device
            inputs = {key: value.to(device) for key, value in inputs.items()}
            states = self._body(**inputs).last_hidden_state
            pooled = getattr(pooling, self.layout.pooling)(states, inputs["attention_mask"])
            vectors: Array = normalize(pooled, dim=-1).cpu().numpy()
            return vectors


class HashEncoder:
    """A TextEncoder without weights: words and their letter triples, hashed to signed buckets.

    Weinberger et al. 2009. Texts that share words are near, those that share none are far; it knows
    no synonyms. Deterministic, for tests and `--model scripted`.
    """

    name = "hash"

    def __init__(self, dim: int = 256) -> None:
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> Array:
        """(n, dim) float32; a text without words is the zero vector."""
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for bucket, value in self._features(text):
                out[row, bucket] += value
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        scaled: Array = out / np.maximum(lengths, 1e-12)
        return scaled

    def _features(self, text: str) -> Iterator[tuple[int, float]]:
        for word in tokens(text):
            padded = f"^{word}$"
            grams = [padded[i : i + 3] for i in range(len(padded) - 2)]
            for feature, weight in [(word, 1.0), *((gram, 0.3) for gram in grams)]:
                digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest())
                yield digest % self.dim, weight if digest >> 63 else -weight
