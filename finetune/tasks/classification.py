"""Text -> one of k labels, on any encoder or decoder of the Hub.

The checkpoint with the best dev accuracy is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score
from torch.nn.functional import kl_div

from app.core import brief, data
from app.core.kinds import Labelled
from app.core.release import Calibration
from app.models.adapters import Card
from finetune import samples, texts
from finetune.calibrate import log_loss, temperature, threshold
from finetune.config import Data, TrainConfig
from finetune.job import Job, Order

POLES = ("negative", "positive")
"""What a rating below and above 0 is called."""
_MEAN: dict[str, Any] = {"reduction": "batchmean", "log_target": True}


class ClassifierTrainer(texts.HeadTrainer):
    """HeadTrainer with R-Drop."""

    rdrop = 0.0

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean loss; with R-Drop, over two passes, and how far these are apart."""
        if not (self.rdrop and model.training):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        twice = {key: torch.cat([value, value]) for key, value in inputs.items()}
        loss, outputs = super().compute_loss(model, twice, True, num_items_in_batch)
        loss = loss + self.rdrop * apart(*outputs.logits.float().chunk(2))
        return (loss, outputs) if return_outputs else loss


def apart(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """Symmetric Kullback-Leibler divergence of two (B, k) logits, the mean over the batch."""
    p, q = one.log_softmax(-1), two.log_softmax(-1)
    both = (kl_div(p, q, **_MEAN), kl_div(q, p, **_MEAN))
    return 0.5 * (both[0] + both[1])


def build(order: Order) -> Job:
    """Read the data, load base and adapter, make the Trainer. Raises AppErrors for bad input."""
    found = read(order.config)
    labels = _labels(found.train, found.dev, texts.started(order, "classifier"))
    head = texts.Head(
        kind="classifier",
        problem="single_label",
        labels=labels,
        target=lambda row: labels.index(row.label),
        scores=scores,
        chosen_by="accuracy",
        measured=measured,
        trainer=ClassifierTrainer,
    )
    made = texts.job(order, found, head)
    made.trainer.rdrop = order.config.optim.rdrop
    return made


def read(config: TrainConfig) -> samples.Samples:
    """Training and dev rows: those that overlap with a named test set are left out."""
    return samples.read(config, partial(_rows, config.data), lambda row: [row.text])


def _rows(group: Data, ref: str, columns: Mapping[str, str] | None) -> list[Labelled]:
    if ref not in group.ratings:
        return data.classification(ref, columns)
    rated = [row for row in data.regression(ref) if abs(row.score) >= group.min_rating]
    return [Labelled(row.id, row.text, POLES[row.score > 0]) for row in rated]


def _labels(train: Sequence[Labelled], dev: Sequence[Labelled], start: Card | None) -> list[str]:
    """Labels in the order of the logits: those of the adapter gone on from, else the sorted ones.

    Raises InputError for a label that is not among them, with the row that has it.
    """
    labels = (start.labels if start else None) or sorted({row.label for row in train})
    if start is None:
        samples.check_labels(labels, len(train), least=2)
    for row in (*train, *dev):
        if row.label not in labels:
            raise samples.unknown_label(row.id, row.label, labels)
    return labels


def scores(logits: Any, gold: Any) -> dict[str, float]:
    """accuracy and macro_f1. logits: (n, k); gold: (n,)."""
    said = np.argmax(logits, axis=1)
    return {
        "accuracy": float(accuracy_score(gold, said)),
        "macro_f1": float(f1_score(gold, said, average="macro")),
    }


def measured(logits: Any, gold: Any, start: Calibration) -> tuple[Calibration, dict[str, float]]:
    """Scores, and temperature and threshold; on few rows a fit would be noise: those of `start`."""
    calibration = _fitted(logits, gold) if len(gold) >= texts.MIN_DEV else start
    calibrated = log_loss(logits / calibration.temperature, gold)
    losses = {"log_loss": log_loss(logits, gold), "log_loss_calibrated": calibrated}
    return calibration, scores(logits, gold) | losses


def _fitted(logits: Any, gold: Any) -> Calibration:
    """Temperature, and the confidence below which the brief has the product say `not sure`."""
    fitted = temperature(logits, gold)
    probabilities = softmax(logits / fitted, axis=1)
    correct = probabilities.argmax(axis=1) == gold
    max_error = brief.read().feature("sentiment").max_error
    sure = threshold(probabilities.max(axis=1), correct, max_error)
    return Calibration(temperature=fitted, thresholds={"not_sure": sure})
