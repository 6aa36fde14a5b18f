"""How good or bad a text feels, as a number that a model was trained to say: finetune's regressor.

Where a classifier is served instead, Prediction.intensity makes such a number of its certainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.textprep import prepare
from app.sentiment.classifier import PROMPT_VERSION
from app.sentiment.prediction import MOST

if TYPE_CHECKING:
    from app.models.classifier import Regressor


class Intensity:
    """A regressor on the scale of VADER's raters, -4 to 4. Safe to call from several threads."""

    def __init__(self, model: Regressor) -> None:
        self._model = model

    @classmethod
    def from_adapter(cls, adapter_dir: Path, base_ref: str) -> Intensity:
        """The regressor of a run, in fp32; its base by the adapter's sha256.

        Raises NotFound or InputError (files), Mismatch (another kind, base or preparation),
        WeightsMissing (base not to be had).
        """
        from app.models.adapters import check, read_card
        from app.models.classifier import load_regressor
        from app.models.references import resolve

        weights = resolve(base_ref, sha256=read_card(adapter_dir).base.sha256)
        model = load_regressor(weights, adapter_dir)
        check(model.card, weights, PROMPT_VERSION)
        return cls(model)

    def predict(self, texts: Sequence[str]) -> list[float]:
        """From -4 to 4 for each text, as people typed them; what lies beyond is at the end."""
        scores = self._model.scores([prepare(text) for text in texts])
        return [min(MOST, max(-MOST, float(score))) for score in scores]
