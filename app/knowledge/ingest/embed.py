"""Embeds new passages before they are written, so that a running server need not wait for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from app.core import release
from app.core.errors import AppError
from app.core.files import release_dir
from app.knowledge.passages import MemoryIndex
from app.models.encoder import Array, TextEncoder
from app.models.load import resolve, text_encoder

_SLICE = 64

Told = Callable[[int, int], object]
"""Texts embedded, texts in all of one field."""


class _Telling:
    """An encoder that says how far it is."""

    def __init__(self, encoder: TextEncoder, told: Told) -> None:
        self._encoder, self._told = encoder, told
        self.name, self.dim = encoder.name, encoder.dim

    def encode(self, texts: Sequence[str]) -> Array:
        """As the encoder does."""
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        for at in range(0, len(texts), _SLICE):
            out[at : at + _SLICE] = self._encoder.encode(texts[at : at + _SLICE])
            if len(texts) > 1:
                self._told(min(at + _SLICE, len(texts)), len(texts))
        return out


def embed(docs: Sequence[Mapping[str, Any]], told: Told) -> str:
    """Put the vectors of `docs` into the cache that the server reads.

    Returns a sentence where that could not be done (then the server embeds at its next turn).
    """
    try:
        served = release.read(release_dir() / "support")
        base = served.encoder or served.base
        encoder = text_encoder(resolve(base.ref, sha256=base.sha256))
    except AppError as error:
        return f"not embedded yet, the server will do it: {error.message}"
    MemoryIndex(_Telling(encoder, told)).changed(docs)
    return ""
