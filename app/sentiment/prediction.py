"""What a classifier says of a text."""

from __future__ import annotations

from typing import NamedTuple


class Prediction(NamedTuple):
    """The label of one text."""

    label: str
    score: float
    """Calibrated probability of the label."""
    probabilities: dict[str, float]
    """By label, in the order of the logits; they sum to 1."""
    not_sure: bool
    """The score is below the release's threshold, or the language was never measured."""
