"""The seam for retrieval and similarity: `encode(texts) -> (n, d) float32`, rows of length 1.

Imports no torch until MiniLM is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.fingerprints import tokens

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


class MiniLM:
    """sentence-transformers' all-MiniLM-L6-v2: mean over the tokens, scaled to length 1.

    Reads at most 256 tokens (Reimers & Gurevych 2019; the cut is that of the model's own config).
    Any BERT-shaped encoder folder works. Safe to call from several threads.
    """

    MAX_TOKENS = 256

    def __init__(self, folder: Path, dtype: str = "float32", name: str = "") -> None:
        from app.models.loading import encoder_body, tokenizer

        self.name, self.dtype = name or folder.name, dtype
        self._tokenizer = tokenizer(folder)
        self._body = encoder_body(folder, dtype).eval()
        self.dim: int = self._body.config.hidden_size

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> Array:
        """(n, dim) float32; texts of about the same length share a batch."""
        from app.models.batching import length_sorted

        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for rows, inputs in length_sorted(self._tokenizer, texts, self.MAX_TOKENS, batch_size):
            out[rows] = self._embed(inputs)
        return out

    def _embed(self, inputs: dict[str, Any]) -> Array:
        import torch
        from torch.nn.functional import normalize

        from app.models.pooling import mean

        with torch.inference_mode():
            device = self._body.device
            inputs = {key: value.to(device) for key, value in inputs.items()}
            states = self._body(**inputs).last_hidden_state
            pooled = normalize(mean(states, inputs["attention_mask"]), dim=-1)
            vectors: Array = pooled.cpu().numpy()
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
