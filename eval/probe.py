"""The base without fine-tuning: a frozen encoder under a linear head (Alain and Bengio 2017).

What LoRA must beat. The head is logistic regression on the vectors of a train split; no weight of
the encoder moves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.core import textprep
from app.core.errors import InputError
from app.core.kinds import Labelled
from app.knowledge.vectors import encode_cached
from app.models.encoder import TextEncoder
from app.sentiment.prediction import Prediction


class LinearProbe:
    """A classifier of texts prepared as the product prepares them."""

    def __init__(self, encoder: TextEncoder, train: Sequence[Labelled]) -> None:
        from sklearn.linear_model import LogisticRegression

        self.labels = sorted({row.label for row in train})
        if len(self.labels) < 2:
            raise InputError(f"a linear head needs two labels or more, found {self.labels}")
        self._encoder = encoder
        texts = [textprep.prepare(row.text) for row in train]
        self._head = LogisticRegression(max_iter=1000)
        self._head.fit(encode_cached(encoder, texts), [row.label for row in train])

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in the order given; never unsure."""
        vectors = self._encoder.encode([textprep.prepare(text) for text in texts])
        rows = np.asarray(self._head.predict_proba(vectors))
        return [
            Prediction(
                self.labels[int(row.argmax())], float(row.max()),
                dict(zip(self.labels, map(float, row), strict=True)), not_sure=False,
            )
            for row in rows
        ]  # fmt: skip
