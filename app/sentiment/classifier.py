"""The mood of a text: label, calibrated probabilities, and whether the model is not sure.

Reads a released adapter (`load`) or one of a run that is not released (`from_adapter`). The word
list that needs no weights is in app.sentiment.scripted. torch is imported with the first adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.core import release as releases
from app.core.errors import Mismatch
from app.core.language import detect
from app.core.release import Calibration, Release
from app.core.textprep import VERSION, prepare
from app.sentiment.prediction import Prediction
from app.sentiment.scripted import ScriptedSentiment

if TYPE_CHECKING:
    from app.models.classifier import Classifier

__all__ = ["PROMPT_VERSION", "Prediction", "ScriptedSentiment", "Sentiment"]
PROMPT_VERSION = f"sentiment/{VERSION}"
"""How texts are prepared: an adapter of another version is refused."""


class Sentiment:
    """A classifier with its calibration. Safe to call from several threads."""

    def __init__(
        self, model: Classifier, calibration: Calibration, release: Release | None = None
    ) -> None:
        self._model = model
        self._calibration = calibration
        self.release = release
        self.labels = list(model.labels)

    @classmethod
    def load(cls, folder: Path) -> Sentiment:
        """The released classifier in `folder`, in the fastest dtype that its release lists.

        Raises NotFound or ConfigError (no release.json, or a wrong one), Mismatch (adapter, base,
        labels or preparation differ from what was evaluated), WeightsMissing (base not to be had).
        """
        from app.models.dtype import choose

        release = releases.read(folder)
        releases.check(release, folder, PROMPT_VERSION)
        model = _loaded(folder, release.base.ref, release.base.sha256, choose(release.engines))
        _check_labels(folder, model.labels, release.labels or [])
        return cls(model, release.calibration, release)

    @classmethod
    def from_adapter(
        cls, adapter_dir: Path, base_ref: str, labels: Sequence[str], calibration: Calibration
    ) -> Sentiment:
        """The classifier of a run that is not released, in fp32; its base by the adapter's sha256.

        Raises as `load` does.
        """
        from app.models.adapters import read_card

        model = _loaded(adapter_dir, base_ref, read_card(adapter_dir).base.sha256, "float32")
        _check_labels(adapter_dir, model.labels, labels)
        return cls(model, calibration)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in the order given; texts as people typed them, empty ones too."""
        logits = self._model.logits([prepare(text) for text in texts])
        rows = softmax(logits, self._calibration.temperature)
        return [self._prediction(text, row) for text, row in zip(texts, rows, strict=True)]

    def _prediction(self, text: str, row: NDArray[np.float64]) -> Prediction:
        best = int(row.argmax())
        score = float(row[best])
        probabilities = dict(zip(self.labels, row.tolist(), strict=True))
        not_sure = not text.strip() or score < self._threshold(detect(text))
        return Prediction(self.labels[best], score, probabilities, not_sure)

    def _threshold(self, language: str) -> float:
        """Below it the model is not sure: `not_sure`, for Chinese `not_sure_zh` of the calibration.

        Without the latter nobody has measured the model on Chinese, and it is never sure there.
        """
        thresholds = self._calibration.thresholds
        if language == "zh":
            return thresholds.get("not_sure_zh", np.inf)
        return thresholds.get("not_sure", 0.0)


def softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """(n, k) probabilities of logits / temperature (Guo et al. 2017); each row sums to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _loaded(folder: Path, base_ref: str, sha256: str, dtype: str) -> Classifier:
    from app.models.adapters import check
    from app.models.classifier import load_classifier
    from app.models.references import resolve

    weights = resolve(base_ref, sha256=sha256)
    model = load_classifier(weights, folder, dtype)
    check(model.card, weights, PROMPT_VERSION)
    return model


def _check_labels(folder: Path, found: Sequence[str], recorded: Sequence[str]) -> None:
    if list(found) != list(recorded):
        raise Mismatch(
            f"the adapter in {folder} knows the labels {', '.join(found)}, its record says "
            f"{', '.join(recorded) or 'none'}: their order is that of the logits; restore the file"
        )
