"""What a message is about: the likeliest intent, and whether it is one that the shop knows.

Thin: either the nearest of the classes' centroids by cosine, under a frozen encoder, or a trained
classifier's probabilities. The in-scope score is that of the likeliest intent; below a threshold
fitted on dev a text is out of scope. Examples labelled `oos` make no centroid: what is out of scope
has no middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InputError
from app.core.kinds import OUT_OF_SCOPE, Labelled
from app.core.release import Calibration
from app.knowledge.vectors import encode_cached
from app.models.encoder import TextEncoder

FALSE_ALARMS = 0.05
"""Share of the in-scope dev texts that may be taken for out of scope."""
Scores = Callable[[Sequence[str]], NDArray[np.floating]]


class Intent(NamedTuple):
    """What one text is about."""

    label: str
    """The likeliest intent, also where the text is out of scope."""
    score: float
    """How well the text fits it: a cosine, or a calibrated probability."""
    in_scope: bool


class Intents:
    """A classifier of intents with a threshold for what is none of them."""

    def __init__(self, labels: Sequence[str], scores: Scores, threshold: float = -math.inf) -> None:
        self.labels = list(labels)
        self._scores = scores
        """Texts -> (n, k), columns in the order of `labels`."""
        self.threshold = threshold
        """Texts of a lower score are out of scope."""

    @classmethod
    def of_examples(cls, encoder: TextEncoder, examples: Sequence[Labelled]) -> Self:
        """By the nearest mean of the examples' vectors. Needs two intents or more."""
        known = [row for row in examples if row.label != OUT_OF_SCOPE]
        labels = sorted({row.label for row in known})
        if len(labels) < 2:
            raise InputError(f"expected examples of two intents or more, found {labels}")
        vectors = encode_cached(encoder, [row.text for row in known])
        of = np.array([labels.index(row.label) for row in known])
        means = np.stack([vectors[of == k].mean(axis=0) for k in range(len(labels))])
        centroids = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return cls(labels, lambda texts: encoder.encode(texts) @ centroids.T)

    @classmethod
    def of_adapter(
        cls, folder: Path, base_ref: str, labels: Sequence[str], calibration: Calibration
    ) -> Self:
        """By a classifier that finetune/train.py made. Raises as Sentiment.from_adapter does."""
        from app.sentiment.classifier import Sentiment

        model = Sentiment.from_adapter(folder, base_ref, labels, calibration)
        known = [label for label in labels if label != OUT_OF_SCOPE]

        def scores(texts: Sequence[str]) -> NDArray[np.floating]:
            said = model.predict(texts)
            rows = [[p.probabilities[label] for label in known] for p in said]
            return np.array(rows).reshape(len(texts), len(known))

        return cls(known, scores)

    def fitted(self, dev: Sequence[Labelled], false_alarms: float = FALSE_ALARMS) -> Self:
        """The same with the highest threshold that costs at most `false_alarms` of dev in scope."""
        texts = [row.text for row in dev if row.label != OUT_OF_SCOPE]
        if not texts:
            raise InputError("expected dev examples of the intents to fit the threshold on")
        best = np.sort(self._scores(texts).max(axis=1))
        return type(self)(self.labels, self._scores, float(best[int(false_alarms * len(best))]))

    def predict(self, texts: Sequence[str]) -> list[Intent]:
        """One intent a text, in the order given."""
        if not texts:
            return []
        scores = self._scores(texts)
        return [
            Intent(
                self.labels[int(row.argmax())], float(row.max()), bool(row.max() >= self.threshold)
            )
            for row in scores
        ]
