"""What a message is about: the likeliest intent, and whether it is one that the shop knows.

Three ways: a logistic regression on a frozen encoder's vectors, with app.support.scope for what is
in scope (seconds to learn); the nearest of the classes' centroids by cosine; or a trained
classifier's probabilities, where, as with centroids, the score of the likeliest intent says how
well it fits. Below a threshold fitted on dev a text is out of scope. Examples labelled `oos` are
not learnt from: what is out of scope has no middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from app.core.abstain import for_false_alarms
from app.core.errors import InputError
from app.core.kinds import OUT_OF_SCOPE, Labelled
from app.core.release import Calibration
from app.knowledge.vectors import encode_cached
from app.models.encoder import TextEncoder
from app.support.scope import Known

FALSE_ALARMS = 0.05
"""Share of the in-scope dev texts that may be taken for out of scope."""
C = 30.0
"""Inverse strength of the regression's L2, chosen on CLINC150's dev part (30, 100)."""
STEPS = 500


class Judged(NamedTuple):
    """What n texts are about."""

    scores: NDArray[np.floating]
    """(n, k), columns in the order of the labels."""
    fits: NDArray[np.floating]
    """(n,): how well each fits what is known at all."""

    @classmethod
    def of_scores(cls, scores: NDArray[np.floating]) -> Self:
        """Each text fits as well as its likeliest intent."""
        return cls(scores, scores.max(axis=1, initial=-np.inf))


Judge = Callable[[Sequence[str]], Judged]


class Intent(NamedTuple):
    """What one text is about."""

    label: str
    """The likeliest intent, also where the text is out of scope."""
    score: float
    """How well the text fits what is known: a difference of distances, a cosine, a probability."""
    in_scope: bool


class Intents:
    """A classifier of intents with a threshold for what is none of them."""

    def __init__(self, labels: Sequence[str], judge: Judge, threshold: float = -math.inf) -> None:
        self.labels = list(labels)
        self._judge = judge
        self.threshold = threshold
        """Texts that fit less are out of scope."""

    @classmethod
    def of_examples(cls, encoder: TextEncoder, examples: Sequence[Labelled]) -> Self:
        """By a logistic regression on the examples' vectors. Needs two intents or more."""
        from sklearn.linear_model import LogisticRegression

        labels, vectors, of = _learnt(encoder, examples)
        model = LogisticRegression(C=C, max_iter=STEPS).fit(vectors, of)
        known = Known(vectors, of)

        def judge(texts: Sequence[str]) -> Judged:
            at = encoder.encode(texts)
            return Judged(model.predict_proba(at), known.fit(at))

        return cls(labels, judge)

    @classmethod
    def of_centroids(cls, encoder: TextEncoder, examples: Sequence[Labelled]) -> Self:
        """By the nearest mean of the examples' vectors. Needs two intents or more."""
        labels, vectors, of = _learnt(encoder, examples)
        means = np.stack([vectors[of == k].mean(axis=0) for k in range(len(labels))])
        centroids = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return cls(labels, lambda texts: Judged.of_scores(encoder.encode(texts) @ centroids.T))

    @classmethod
    def of_adapter(
        cls, folder: Path, base_ref: str, labels: Sequence[str], calibration: Calibration
    ) -> Self:
        """By a classifier that finetune/train.py made. Raises as Sentiment.from_adapter does."""
        from app.sentiment.classifier import Sentiment

        model = Sentiment.from_adapter(folder, base_ref, labels, calibration)
        known = [label for label in labels if label != OUT_OF_SCOPE]

        def judge(texts: Sequence[str]) -> Judged:
            said = model.predict(texts)
            rows = [[p.probabilities[label] for label in known] for p in said]
            return Judged.of_scores(np.array(rows).reshape(len(texts), len(known)))

        return cls(known, judge)

    def fitted(self, dev: Sequence[Labelled], false_alarms: float = FALSE_ALARMS) -> Self:
        """The same with a threshold; on average `false_alarms` of what is in scope falls below it.

        Nothing falls below where dev has too few texts to say, see app.core.abstain.
        """
        texts = [row.text for row in dev if row.label != OUT_OF_SCOPE]
        if not texts:
            raise InputError("expected dev examples of the intents to fit the threshold on")
        threshold = for_false_alarms(self._judge(texts).fits, false_alarms)
        return type(self)(self.labels, self._judge, threshold)

    def predict(self, texts: Sequence[str]) -> list[Intent]:
        """One intent a text, in the order given."""
        if not texts:
            return []
        said = self._judge(texts)
        return [
            Intent(self.labels[int(row.argmax())], float(fit), bool(fit >= self.threshold))
            for row, fit in zip(*said, strict=True)
        ]


def _learnt(
    encoder: TextEncoder, examples: Sequence[Labelled]
) -> tuple[list[str], NDArray[np.floating], NDArray[np.integer]]:
    """Labels, vectors of the examples in scope, and the number of each one's label."""
    known = [row for row in examples if row.label != OUT_OF_SCOPE]
    labels = sorted({row.label for row in known})
    if len(labels) < 2:
        raise InputError(f"expected examples of two intents or more, found {labels}")
    vectors = encode_cached(encoder, [row.text for row in known])
    return labels, vectors, np.array([labels.index(row.label) for row in known])
