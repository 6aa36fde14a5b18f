"""Question and passage -> the words of the passage that answer, or that none do; on BERT's shape.

Learnt is the first place of the first answer; windows without it learn [CLS]. On dev the question
is answered where its best span reaches the threshold, fitted there for the best F1 of SQuAD 2.0
(Rajpurkar et al. 2018), by which the kept checkpoint is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import Trainer, TrainingArguments

from app.core import data, spans
from app.core.errors import ConfigError
from app.core.questions import Question
from app.core.release import Calibration
from app.models import adapters
from app.models import reader as readers
from app.models.classifier import DROPOUT
from app.models.windows import Window, padded, windows
from finetune import samples
from finetune.calibrate import answer_threshold
from finetune.job import Job, Order, base_weights, starting_calibration, starting_card
from finetune.methods import adapted
from finetune.texts import MIN_DEV, check_length, check_start
from finetune.trainer import Repeatable, arguments, frozen_dtype

ANSWER = "answer"
"""Name of the threshold in a calibration."""
Array = NDArray[np.float64]


class ReaderTrainer(Repeatable, Trainer):
    """transformers.Trainer with rows in a repeatable order."""


class Windows(NamedTuple):
    """Questions cut to the length of the model."""

    questions: list[Question]
    windows: list[Window]
    owners: list[int]
    """The question that each window is of."""


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
    check_length(config.data.max_tokens, model.body, config.model.path)
    train, dev = (cut(rows, tokenizer, config.data.max_tokens) for rows in found[:2])
    start = starting_calibration(config.adapter)
    trainer = _trainer(order, adapted(config, model), tokenizer.pad_token_id, train, dev)
    card = adapters.Card(
        kind="reader", base=weights.record(), prompt_version=readers.PROMPT_VERSION
    )
    learnt = [text for row in found.train for text in (row.question, *row.answers)]
    record = {"rows": found.counts | {"windows": len(train.windows)}, "frozen_dtype": dtype}
    return Job(trainer, card, learnt, lambda: _measure(trainer, dev, start), record)


def cut(rows: Sequence[Question], tokenizer: Any, max_tokens: int) -> Windows:
    """The windows of each question, in order."""
    made = [windows(tokenizer, row.question, row.context, max_tokens) for row in rows]
    owners = [number for number, found in enumerate(made) for _ in found]
    return Windows(list(rows), list(chain.from_iterable(made)), owners)


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


def in_order(found: Any) -> Array:
    """What was predicted for each window, (n, 3), as the windows are numbered."""
    return np.asarray(found.predictions, np.float64)[np.argsort(found.label_ids[:, 2])]


def said(found: Windows, rows: Array) -> tuple[list[str], Array]:
    """The best span of each question and its score, of `best_spans` over all windows, (n, 3)."""
    answers, best = [""] * len(found.questions), np.full(len(found.questions), -np.inf)
    for owner, window, (score, start, end) in zip(found.owners, found.windows, rows, strict=True):
        if score > best[owner]:
            first, last = window.offsets[int(start)][0], window.offsets[int(end)][1]
            answers[owner], best[owner] = found.questions[owner].context[first:last], score
    return answers, best


def scores(
    rows: Sequence[Question], answers: Sequence[str], best: Array, threshold: float
) -> dict[str, float]:
    """exact_match and f1 of SQuAD 2.0, answer_f1, refusal_recall.

    The first two are means over all questions, in which declining is right where the passage does
    not say. answer_f1 is over the questions that it answers, refusal_recall over the others, of
    which it is the share declined; 0.0 where there are none.
    """
    given = np.where(best >= threshold, answers, "")
    exact = [_right(one, row.answers, spans.exact) for one, row in zip(given, rows, strict=True)]
    near = [_right(one, row.answers, spans.f1) for one, row in zip(given, rows, strict=True)]
    there = np.array([bool(row.answers) for row in rows])
    return {
        "f1": float(np.mean(near)),
        "exact_match": float(np.mean(exact)),
        "answer_f1": float(np.mean(np.array(near)[there])) if there.any() else 0.0,
        "refusal_recall": float(np.mean(np.array(near)[~there])) if (~there).any() else 0.0,
    }


def _right(answer: str, golds: Sequence[str], near: Any) -> float:
    """`near` to the golds; without golds, or without an answer, whether neither is there."""
    return float(near(answer, golds)) if answer and golds else float(not answer and not golds)


def fitted(found: Windows, rows: Array) -> tuple[float, dict[str, float]]:
    """(threshold, scores at it): the one with the best F1."""
    answers, best = said(found, rows)
    silent = np.array([float(not row.answers) for row in found.questions])
    near = [
        _right(one, row.answers, spans.f1) if one else 0.0
        for one, row in zip(answers, found.questions, strict=True)
    ]
    threshold = answer_threshold(best, np.array(near), silent)
    return threshold, scores(found.questions, answers, best, threshold)


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
