"""Vectors of passages, made once for each content and kept in the cache.

A file `<cache>/vectors/<key>.npy` holds the rows of one list of texts. The key is made of the texts
and of what the encoder says to a probe sentence, so that other weights under the same name never
share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.core.errors import InputError
from app.core.files import atomic_path, cache_dir, sha256_text
from app.models.encoder import Array, TextEncoder

_PROBE = "How warm may the water be for green tea?"


def encode_cached(encoder: TextEncoder, texts: Sequence[str]) -> Array:
    """(n, d) float32, as `encoder.encode(texts)`; read from the cache where it was made before.

    A file that is not whole is made again; a cache that cannot be written is done without.
    """
    unique = list(dict.fromkeys(texts))
    path = cache_dir() / "vectors" / f"{_key(encoder, unique)}.npy"
    try:
        vectors: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        vectors = np.empty((0, 0), dtype=np.float32)
    if vectors.shape != (len(unique), encoder.dim):
        vectors = encoder.encode(unique)
        _keep(path, vectors)
    rows = {text: row for row, text in enumerate(unique)}
    return vectors[[rows[text] for text in texts]]


def _key(encoder: TextEncoder, texts: Sequence[str]) -> str:
    # One decimal: the last bits differ between processors and thread counts, weights differ more.
    probe = np.round(encoder.encode([_PROBE])[0], 1) + 0.0
    return sha256_text("\0".join([encoder.name, probe.tobytes().hex(), *texts]))[:32]


def _keep(path: Path, vectors: Array) -> None:
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, vectors)
    except (InputError, OSError):
        return  # a start from a read-only disk embeds each time, and works
