"""Question and passage -> the words of the passage that answer, or that none do; on BERT's shape.

Learnt is the first place of the first answer; windows without it learn [CLS]. On dev the question
is answered where its best span reaches the threshold, fitted there for the best F1 of SQuAD 2.0
(Rajpurkar et al. 2018), by which the kept checkpoint is chosen.
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments

from app.core import data
from app.core.errors import ConfigError
from app.core.questions import Question
from app.core.release import Calibration
from app.models import adapters
from app.models import reader as readers
from app.models.classifier import DROPOUT
from app.models.windows import Window, padded
from finetune import samples
from finetune.answering import Windows, cut, fitted, in_order, said, scores
from finetune.job import Job, Order, base_weights, starting_calibration, starting_card
from finetune.methods import adapted
from finetune.texts import MIN_DEV, check_start
from finetune.trainer import Repeatable, arguments, frozen_dtype

ANSWER = "answer"
"""Name of the threshold in a calibration."""


class ReaderTrainer(Repeatable, Trainer):
    """transformers.Trainer with rows in a repeatable order."""


def build(order: Order) -> Job:
    """Read the data, load base and adapter, make the Trainer. Raises AppErrors for bad input."""
    config = order.config
    if config.optim.rdrop:
        raise ConfigError("optim.rdrop is for classification: leave it out of task reader")
    found = samples.read(config, data.reader, lambda row: [row.question, row.context])
    weights, dtype = base_weights(config, order.run), frozen_dtype(config)
    check_start(config, starting_card(config.adapter, weights, readers.PROMPT_VERSION), "reader")
    dropout = DROPOUT if config.model.dropout is None else config.model.dropout
    model, tokenizer = readers.build(weights, dtype=dtype, dropout=dropout)
    train, dev = (cut(rows, tokenizer, config.data.max_tokens) for rows in found[:2])
    start = starting_calibration(config.adapter)
    trainer = _trainer(order, adapted(config, model), tokenizer.pad_token_id, train, dev)
    card = adapters.Card(
        kind="reader", base=weights.record(), prompt_version=readers.PROMPT_VERSION
    )
    learnt = [text for row in found.train for text in (row.question, *row.answers)]
    record = {"rows": found.counts | {"windows": len(train.windows)}, "frozen_dtype": dtype}
    return Job(trainer, card, learnt, lambda: _measure(trainer, dev, start), record)


def features(found: Windows) -> Dataset:
    """A data set of the fields of Window, and labels (3,).

    They are where the answer begins and ends, and the number of the window: evaluation does not
    keep the order.
    """
    rows = [
        {**window._asdict(), "labels": [*_place(found.questions[owner], window), number]}
        for number, (window, owner) in enumerate(zip(found.windows, found.owners, strict=True))
    ]
    return Dataset.from_list(rows).remove_columns("offsets") if rows else Dataset.from_list([])


def _place(row: Question, window: Window) -> tuple[int, int]:
    """First and last token of the answer in the window; (0, 0) where it does not hold all of it."""
    if not row.answers:
        return 0, 0
    begins = row.context.index(row.answers[0])
    ends = begins + len(row.answers[0])
    inside = [
        place
        for place, (start, end) in enumerate(window.offsets)
        if window.candidates[place] and start < ends and end > begins
    ]
    whole = (
        inside and window.offsets[inside[0]][0] <= begins <= ends <= window.offsets[inside[-1]][1]
    )
    return (inside[0], inside[-1]) if whole else (0, 0)


def _trainer(order: Order, model: Any, pad: int, train: Windows, dev: Windows) -> ReaderTrainer:
    options = arguments(order.config, order.run, order.accumulate)
    options["remove_unused_columns"] = False
    if dev.questions:
        options |= {"metric_for_best_model": "f1", "greater_is_better": True}

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        made = [
            Window(**{k: v for k, v in row.items() if k != "labels"}, offsets=[]) for row in rows
        ]
        return {**padded(made, pad), "labels": torch.tensor([row["labels"] for row in rows])}

    return ReaderTrainer(
        model=model,
        args=TrainingArguments(**options),
        data_collator=collate,
        train_dataset=features(train),
        eval_dataset=features(dev) if dev.questions else None,
        preprocess_logits_for_metrics=lambda logits, _: readers.best_spans(logits),
        compute_metrics=lambda found: fitted(dev, in_order(found))[1],
    )


def _measure(trainer: ReaderTrainer, dev: Windows, start: Calibration) -> dict[str, Any]:
    """Scores on dev at the threshold fitted there; with few questions at that of `start`."""
    if not dev.questions:
        return {"calibration": start.model_dump(), "dev": {}}
    dev_set: Any = trainer.eval_dataset
    rows = in_order(trainer.predict(dev_set))
    if len(dev.questions) >= MIN_DEV:
        threshold, found = fitted(dev, rows)
        start = Calibration(temperature=1.0, thresholds={ANSWER: threshold})
    else:
        cut_at = start.thresholds.get(ANSWER, 0.0)
        found = scores(dev.questions, *said(dev, rows), cut_at)
    return {"calibration": start.model_dump(), "dev": found | {"n": len(dev.questions)}}
