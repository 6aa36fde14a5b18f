"""Text -> each of k labels or not, by binary cross-entropy, on any encoder or decoder of the Hub.

A label is said where its probability reaches its threshold, which is fitted on dev. The checkpoint
with the best micro F1 on dev, at the one threshold that suits all labels, is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, log_expit
from sklearn.metrics import f1_score

from app.core import data
from app.core.kinds import MultiLabelled
from app.core.release import Calibration
from app.models.adapters import Card
from finetune import samples, texts
from finetune.calibrate import f1_threshold
from finetune.job import Job, Order

ENOUGH = 20
"""With fewer dev rows that have a label, it gets the threshold of all."""
EVEN = 0.5


def build(order: Order) -> Job:
    """Read the data, load base and adapter, make the Trainer. Raises AppErrors for bad input."""
    found = samples.read(order.config, data.multilabel, lambda row: [row.text])
    labels = _labels(found.train, found.dev, texts.started(order, "multilabel"))
    head = texts.Head(
        kind="multilabel",
        problem="multi_label",
        labels=labels,
        target=lambda row: [float(label in row.labels) for label in labels],
        scores=lambda logits, gold: scores(logits, gold, common(logits, gold)),
        chosen_by="micro_f1",
        measured=lambda logits, gold, start: measured(logits, gold, start, labels),
    )
    return texts.job(order, found, head)


def _labels(
    train: Sequence[MultiLabelled], dev: Sequence[MultiLabelled], start: Card | None
) -> list[str]:
    """As for classification; one label is enough."""
    given = sorted({label for row in train for label in row.labels})
    labels = (start.labels if start else None) or given
    if start is None:
        samples.check_labels(labels, len(train), least=1)
    for row in (*train, *dev):
        for label in row.labels:
            if label not in labels:
                raise samples.unknown_label(row.id, label, labels)
    return labels


def common(logits: Any, gold: Any) -> float:
    """The threshold for all labels with the best micro F1."""
    return f1_threshold(expit(np.asarray(logits, np.float64)).ravel(), np.asarray(gold).ravel())


def scores(logits: Any, gold: Any, thresholds: Any) -> dict[str, float]:
    """micro_f1 and macro_f1; a label that is neither said nor right has F1 0.

    logits, gold: (n, k); thresholds: one, or (k,).
    """
    said = expit(np.asarray(logits, np.float64)) >= thresholds
    return {
        f"{mean}_f1": float(f1_score(np.asarray(gold) > EVEN, said, average=mean, zero_division=0))
        for mean in ("micro", "macro")
    }


def measured(
    logits: Any, gold: Any, start: Calibration, labels: Sequence[str]
) -> tuple[Calibration, dict[str, float]]:
    """Scores at the fitted thresholds; on few rows those of `start`, or an even chance."""
    calibration = start
    if len(gold) >= texts.MIN_DEV:
        calibration = Calibration(temperature=1.0, thresholds=_fitted(logits, gold, labels))
    cuts = np.array([calibration.thresholds.get(label, EVEN) for label in labels])
    loss = -(gold * log_expit(logits) + (1 - gold) * log_expit(-logits)).mean()
    return calibration, scores(logits, gold, cuts) | {"log_loss": float(loss)}


def _fitted(logits: Any, gold: Any, labels: Sequence[str]) -> dict[str, float]:
    """A threshold for each label: the common one, then in turn that with the best micro F1.

    A label's own F1 would have a label that is hardly learnt said of every text.
    """
    chances, cuts = (
        expit(np.asarray(logits, np.float64)),
        np.full(len(labels), common(logits, gold)),
    )
    for k in np.flatnonzero(gold.sum(0) >= ENOUGH):
        rest = np.arange(len(labels)) != k
        said, right = (chances >= cuts)[:, rest], gold[:, rest]
        hits, counted = float((said * right).sum()), float(said.sum() + right.sum())
        cuts[k] = f1_threshold(chances[:, k], gold[:, k], hits, counted)
    return dict(zip(labels, cuts.tolist(), strict=True))
