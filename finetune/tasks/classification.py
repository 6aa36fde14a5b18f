"""Text -> one of k labels: LoRA and a linear head on any encoder or decoder of the Hub.

Texts are prepared as the product prepares them (app.core.textprep), so that training, evaluation
and the page read the same. The checkpoint with the best dev accuracy is kept.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score
from torch.nn.functional import kl_div
from transformers import Trainer, TrainingArguments

from app.core import brief, data, textprep
from app.core.errors import InputError, nearest
from app.core.kinds import Labelled
from app.core.release import Calibration
from app.models import adapters, classifier
from app.models.batching import pad_right
from finetune import overlap
from finetune.calibrate import log_loss, temperature, threshold
from finetune.config import Adapter, Data, TrainConfig
from finetune.job import (
    Job,
    Order,
    adapter_folder,
    base_weights,
    start_folder,
    starting_calibration,
    starting_card,
)
from finetune.trainer import Repeatable, arguments, frozen_dtype

PROMPT_VERSION = f"sentiment/{textprep.VERSION}"
MIN_DEV = 100
"""With fewer dev rows nothing is calibrated on them."""


POLES = ("negative", "positive")
"""What a rating below and above 0 is called."""


class ClassifierTrainer(Repeatable, Trainer):
    """transformers.Trainer with rows in a repeatable order, and R-Drop."""

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


_MEAN: dict[str, Any] = {"reduction": "batchmean", "log_target": True}


def build(order: Order) -> Job:
    """Read the data, load base and adapter, make the Trainer. Raises AppErrors for bad input."""
    config = order.config
    train, dev, counts = read(config)
    weights = base_weights(config, order.run)
    start = starting_card(config.adapter, weights, PROMPT_VERSION)
    labels = _labels(train, dev, start)
    dtype = frozen_dtype(config)
    model, tokenizer = classifier.build(weights, labels, dtype=dtype)
    sets = [features(rows, labels, tokenizer, config.data.max_tokens) for rows in (train, dev)]
    trainer = _trainer(order, _attach(config, model), tokenizer.pad_token_id, *sets)
    card = adapters.Card(
        kind="classifier", base=weights.record(), prompt_version=PROMPT_VERSION, labels=labels
    )
    learnt = [text for row in train for text in (row.text, textprep.prepare(row.text))]
    record = {"rows": counts, "frozen_dtype": dtype}
    return Job(trainer, card, learnt, lambda: _measure(trainer, config.adapter), record)


def read(config: TrainConfig) -> tuple[list[Labelled], list[Labelled], dict[str, Any]]:
    """(train, dev, counts): rows that overlap with a named test set are left out."""
    group = config.data
    known = overlap.known_texts(group.exclude_overlap_with)
    train: list[Labelled] = []
    counts: dict[str, Any] = {}
    for ref in group.learnt_from:
        rows = _sample(_read(ref, group), group.limit, config.run.seed)
        kept = [row for row in rows if not overlap.shares([row.text], known)]
        counts[ref] = {"read": len(rows), "overlap_left_out": len(rows) - len(kept)}
        train += kept
    if not train:
        raise InputError(
            f"no training rows left of {', '.join(group.learnt_from)}: all overlap with test"
        )
    dev = [row for ref in group.dev for row in _rows(ref, group.columns)]
    dev = _sample(dev, group.dev_limit, config.run.seed)
    return train, dev, {"train": counts, "used": len(train), "dev": len(dev)}


def features(
    rows: Sequence[Labelled], labels: list[str], tokenizer: Any, max_tokens: int
) -> Dataset:
    """A data set of input_ids (T,) and labels (an index into `labels`)."""
    texts = [textprep.prepare(row.text) for row in rows]
    ids = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"] if texts else []
    return Dataset.from_dict(
        {
            # GPT-2 makes no token of an empty text; the pad token stands for it, attended to
            "input_ids": [row or [tokenizer.pad_token_id] for row in ids],
            "labels": [labels.index(row.label) for row in rows],
        }
    )


def _read(ref: str, group: Data) -> list[Labelled]:
    if ref not in group.ratings:
        return _rows(ref, group.columns)
    rated = [row for row in data.regression(ref) if abs(row.score) >= group.min_rating]
    return [Labelled(row.id, row.text, POLES[row.score > 0]) for row in rated]


def _rows(ref: str, columns: dict[str, str]) -> list[Labelled]:
    own = data.parse_ref(ref).scheme in ("file", "hub")
    return data.classification(ref, columns if own else None)


def _sample(rows: list[Labelled], limit: int | None, seed: int) -> list[Labelled]:
    return rows if limit is None or limit >= len(rows) else random.Random(seed).sample(rows, limit)


def _labels(
    train: Sequence[Labelled], dev: Sequence[Labelled], start: adapters.Card | None
) -> list[str]:
    """Labels in the order of the logits: those of the adapter gone on from, else the sorted ones.

    Raises InputError for a label that is not among them, with the row that has it.
    """
    labels = (start.labels if start else None) or sorted({row.label for row in train})
    if len(labels) < 2:
        raise InputError(f"expected two labels or more in the training data, found {labels}")
    for row in (*train, *dev):
        if row.label not in labels:
            raise InputError(
                f"row {row.id} has the label {row.label!r}.{nearest(row.label, labels)} "
                f"Expected one of {', '.join(labels)}"
            )
    return labels


def _attach(config: TrainConfig, model: classifier.PooledClassifier) -> Any:
    adapter, start = config.adapter, start_folder(config.adapter)
    return classifier.attach_lora(
        model,
        rank=adapter.rank,
        alpha=adapter.alpha,
        dropout=adapter.dropout,
        targets=adapter.targets,
        init_from=adapter_folder(start) if start else None,
    )


def _trainer(order: Order, model: Any, pad: int, train: Dataset, dev: Dataset) -> ClassifierTrainer:
    options = arguments(order.config, order.run, order.accumulate)
    options["remove_unused_columns"] = False
    if len(dev):
        options |= {"metric_for_best_model": "accuracy", "greater_is_better": True}

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        padded = pad_right([row["input_ids"] for row in rows], pad)
        return {**padded, "labels": torch.tensor([row["labels"] for row in rows])}

    trainer = ClassifierTrainer(
        model=model,
        args=TrainingArguments(**options),
        data_collator=collate,
        train_dataset=train,
        eval_dataset=dev if len(dev) else None,
        compute_metrics=lambda pred: scores(pred.predictions, pred.label_ids),
    )
    trainer.rdrop = order.config.optim.rdrop
    return trainer


def scores(logits: Any, gold: Any) -> dict[str, float]:
    """accuracy and macro_f1. logits: (n, k); gold: (n,)."""
    said = np.argmax(logits, axis=1)
    return {
        "accuracy": float(accuracy_score(gold, said)),
        "macro_f1": float(f1_score(gold, said, average="macro")),
    }


def _measure(trainer: ClassifierTrainer, adapter: Adapter) -> dict[str, Any]:
    """Scores on dev, and the calibration fitted there.

    On fewer than MIN_DEV rows a fit would be noise: then it is that of the adapter gone on from.
    """
    calibration = starting_calibration(adapter)
    dev_set: Any = trainer.eval_dataset
    if dev_set is None:
        return {"calibration": calibration.model_dump(), "dev": {}}
    found = trainer.predict(dev_set)
    logits, gold = np.asarray(found.predictions, dtype=np.float64), np.asarray(found.label_ids)
    if len(gold) >= MIN_DEV:
        calibration = _fitted(logits, gold)
    dev = {
        **scores(logits, gold),
        "log_loss": log_loss(logits, gold),
        "log_loss_calibrated": log_loss(logits / calibration.temperature, gold),
        "n": len(gold),
    }
    return {"calibration": calibration.model_dump(), "dev": dev}


def _fitted(logits: Any, gold: Any) -> Calibration:
    """Temperature, and the confidence below which the brief has the product say `not sure`."""
    fitted = temperature(logits, gold)
    probabilities = softmax(logits / fitted, axis=1)
    correct = probabilities.argmax(axis=1) == gold
    max_error = brief.read().features["sentiment"].max_error
    sure = threshold(probabilities.max(axis=1), correct, max_error)
    return Calibration(temperature=fitted, thresholds={"not_sure": sure})
