"""Items whose texts are alike, by the encoder's vectors; knows items that nobody has taken yet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.models.encoder import TextEncoder
from app.recommend.base import Row
from app.recommend.linear import Linear
from app.recommend.matrix import Vector


class Content(Linear):
    """Score: sum of the cosines between the item's text and those of the profile.

    Each item's cosines are centred on their mean over the catalogue: what it shares with everything
    (a gift box that lists the shop) is no reason to suggest it. An item without a text scores 0.
    """

    name = "content"

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder

    def _learn(self) -> None:
        texts = {item["item"]: item_text(item) for item in self.catalogue}
        vectors = self._encoder.encode([texts.get(item, "") for item in self.matrix.items])
        known = np.array([bool(texts.get(item)) for item in self.matrix.items])
        cosines = vectors.astype(np.float64) @ vectors.astype(np.float64).T
        cosines -= cosines.mean(axis=0) if len(cosines) else 0.0
        self.weights: Vector = np.where(np.outer(known, known), cosines, 0.0)

    def contributions(self, profile: Sequence[int]) -> Vector:
        """(len(profile), n_items) centred cosines."""
        return self.weights[list(profile)]


class Remembering:
    """A TextEncoder that encodes each text once: several systems read the same catalogue."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float32]] = {}
        self.name, self.dim = encoder.name, encoder.dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, as the encoder gives them."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        self._known |= zip(new, self._encoder.encode(new), strict=True) if new else ()
        rows = [self._known[text] for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.dim), dtype=np.float32)


def item_text(item: Row) -> str:
    """What is read of an item: title, category, description."""
    parts = (item.get("title"), item.get("category"), item.get("text"))
    return ". ".join(str(part) for part in parts if part)
