"""From texts to the head of a PooledClassifier: what its tasks (finetune/tasks/) have in common.

Texts are prepared as the product prepares them (app.core.textprep), so that training, evaluation
and the page read the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import Trainer, TrainingArguments

from app.core import textprep
from app.core.errors import ConfigError, Mismatch
from app.core.release import Calibration
from app.models import adapters, classifier
from app.models.batching import pad_right
from finetune.config import TrainConfig
from finetune.job import Job, Order, base_weights, starting_calibration, starting_card
from finetune.methods import adapted
from finetune.samples import Samples
from finetune.trainer import Repeatable, arguments, frozen_dtype

PROMPT_VERSION = f"sentiment/{textprep.VERSION}"
"""The preparation of texts, the same for all of these tasks."""
MIN_DEV = 100
"""With fewer dev rows nothing is calibrated on them."""
Array = NDArray[np.float64]


class HeadTrainer(Repeatable, Trainer):
    """transformers.Trainer with rows in a repeatable order, its loss on dev over all rows at once.

    The Trainer's own is a mean of batches, in which rows count that only fill up the last batch of
    several processes.
    """

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """(None, logits, labels)."""
        return (None, *super().prediction_step(*args, **kwargs)[1:])


@dataclass(frozen=True)
class Head:
    """What a task learns, and how that is judged on dev. logits: (n, k); gold: (n,) or (n, k)."""

    kind: Literal["classifier", "multilabel", "regressor"]
    problem: classifier.Problem
    labels: list[str]
    """In the order of the logits; none for a number."""
    target: Callable[[Any], Any]
    """Of a row: what the loss compares the logits with."""
    scores: Callable[[Array, Array], dict[str, float]]
    chosen_by: str
    """Which of the scores the kept checkpoint is best in; higher is better but for rmse."""
    measured: Callable[[Array, Array, Calibration], tuple[Calibration, dict[str, float]]]
    """(calibration, dev metrics), from the calibration of the adapter gone on from."""
    trainer: type[HeadTrainer] = HeadTrainer
    scale: tuple[float, float] | None = None
    """Mean and standard deviation of the targets, for a number."""


def started(order: Order, kind: str) -> adapters.Card | None:
    """The card of the adapter to go on from, checked; None where the run starts afresh."""
    weights = base_weights(order.config, order.run)
    start = starting_card(order.config.adapter, weights, PROMPT_VERSION)
    check_start(order.config, start, kind)
    return start


def check_start(config: TrainConfig, start: adapters.Card | None, kind: str) -> None:
    """Raise Mismatch where the adapter to go on from is for another task."""
    if start is not None and start.kind != kind:
        raise Mismatch(
            f"adapter.init_from {config.adapter.init_from} is a {start.kind}'s, task {config.task} "
            f"trains a {kind}: go on from one of those, or start without it"
        )


def job(order: Order, samples: Samples, head: Head) -> Job:
    """Load base and adapter, make the Trainer. Raises AppErrors for what does not fit."""
    config = order.config
    if config.optim.rdrop and head.trainer is HeadTrainer:
        raise ConfigError(f"optim.rdrop is for classification: leave it out of task {config.task}")
    weights, dtype = base_weights(config, order.run), frozen_dtype(config)
    dropout = classifier.DROPOUT if config.model.dropout is None else config.model.dropout
    model, tokenizer = classifier.build(
        weights, head.labels, problem=head.problem, dtype=dtype, dropout=dropout
    )
    if head.scale:
        model.head.rescale(*head.scale)  # type: ignore[operator]
    sets = [
        features([row.text for row in rows], [head.target(row) for row in rows], tokenizer,
                 config.data.max_tokens)
        for rows in (samples.train, samples.dev)
    ]  # fmt: skip
    trainer = _trainer(order, head, adapted(config, model), tokenizer.pad_token_id, sets)
    card = adapters.Card(
        kind=head.kind, base=weights.record(), prompt_version=PROMPT_VERSION,
        labels=head.labels or None,
    )  # fmt: skip
    learnt = [said for row in samples.train for said in (row.text, textprep.prepare(row.text))]
    record = {"rows": samples.counts, "frozen_dtype": dtype}
    start = starting_calibration(config.adapter)
    return Job(trainer, card, learnt, lambda: _measure(trainer, head, start), record)


def features(
    texts: Sequence[str], targets: Sequence[Any], tokenizer: Any, max_tokens: int
) -> Dataset:
    """A data set of input_ids (T,) and labels, what the loss compares with."""
    ready = [textprep.prepare(text) for text in texts]
    ids = tokenizer(ready, truncation=True, max_length=max_tokens)["input_ids"] if ready else []
    # GPT-2 makes no token of an empty text; the pad token stands for it, attended to
    some = [row or [tokenizer.pad_token_id] for row in ids]
    return Dataset.from_dict({"input_ids": some, "labels": list(targets)})


def _trainer(
    order: Order, head: Head, model: Any, pad: int, sets: Sequence[Dataset]
) -> HeadTrainer:
    options, (train, dev) = arguments(order.config, order.run, order.accumulate), sets
    options["remove_unused_columns"] = False
    if len(dev):
        up = head.chosen_by != "rmse"
        options |= {"metric_for_best_model": head.chosen_by, "greater_is_better": up}

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        padded = pad_right([row["input_ids"] for row in rows], pad)
        return {**padded, "labels": torch.tensor([row["labels"] for row in rows])}

    return head.trainer(
        model=model,
        args=TrainingArguments(**options),
        data_collator=collate,
        train_dataset=train,
        eval_dataset=dev if len(dev) else None,
        compute_metrics=lambda said: _judged(head, model, *map(np.asarray, (said[0], said[1]))),
    )


def _judged(head: Head, model: Any, logits: Array, gold: Array) -> dict[str, float]:
    """The scores, and the loss that training minimises."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = inner.head.weight.device
    with torch.no_grad():
        loss = inner.loss(*(torch.as_tensor(x, device=device) for x in (logits, gold)))
    return {"loss": loss.item(), **head.scores(logits, gold)}


def _measure(trainer: HeadTrainer, head: Head, start: Calibration) -> dict[str, Any]:
    """Scores on dev, and the calibration fitted there."""
    dev_set: Any = trainer.eval_dataset
    if dev_set is None:
        return {"calibration": start.model_dump(), "dev": {}}
    found = trainer.predict(dev_set)
    logits, gold = np.asarray(found.predictions, dtype=np.float64), np.asarray(found.label_ids)
    calibration, dev = head.measured(logits, gold, start)
    return {"calibration": calibration.model_dump(), "dev": {**dev, "n": len(gold)}}
