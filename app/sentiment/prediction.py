"""What a classifier says of a text."""

from __future__ import annotations

from typing import NamedTuple

MOST = 4.0
"""The largest intensity."""


class Prediction(NamedTuple):
    """The label of one text."""

    label: str
    score: float
    """Calibrated probability of the label."""
    probabilities: dict[str, float]
    """By label, in the order of the logits; they sum to 1."""
    not_sure: bool
    """The score is below the release's threshold, or the language was never measured."""

    @property
    def intensity(self) -> float | None:
        """How good or bad the text feels, from -4 to 4; None for labels of another kind.

        Thin: 4 * (p(positive) - p(negative)), so that how sure stands for how strong. The scale is
        that of VADER's raters (Hutto and Gilbert 2014); no model was trained on it as a scale.
        """
        if {"positive", "negative"} - self.probabilities.keys():
            return None
        return MOST * (self.probabilities["positive"] - self.probabilities["negative"])
