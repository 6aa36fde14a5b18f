"""accuracy: the share of samples with the right label."""

from __future__ import annotations

from eval.metrics.base import Metric, columns


def accuracy(gold: str, predicted: str | None) -> float:
    """1.0 for the right label, else 0.0; also where there is no prediction."""
    return float(gold == predicted)


METRIC = Metric("accuracy", __name__, columns("accuracy"))
