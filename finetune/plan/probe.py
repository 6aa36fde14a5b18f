"""A few real optimiser steps of the very job, timed: batches by length, in a folder that vanishes.

The job is built as a run builds it; its own data loader gives the batches, its own loop takes the
steps. Nothing is evaluated or saved but what is timed here.
"""

# ruff: noqa: ARG002  (the Trainer passes all of them by position)

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from accelerate import PartialState
from torch.utils.data import DataLoader, SequentialSampler
from transformers import ProgressCallback, TrainerCallback

from app.models.dtype import device
from finetune.config import TrainConfig, accumulation
from finetune.engine import prepare
from finetune.job import Order
from finetune.methods import check
from finetune.optim import Patience
from finetune.plan.costs import Batch, Shape
from finetune.plan.counts import counted, peak_memory, shape_of
from finetune.plan.timing import Timed
from finetune.runs import RunFolder

STEPS, WARM_UP, LEAST = 24, 2, 4
"""Steps timed at most; steps before them that set kernels up; steps timed even when time is up."""
_LOOK_S = 20.0
"""Longest look at the batches of an epoch; what is not seen by then is taken to be like it."""
_CANDIDATES = 96
_DEV = 8


class Rounds(NamedTuple):
    """The batches of an epoch, or of dev: how many, what they hold, how long reading them takes."""

    steps: int
    rows: float
    tokens: float
    pairs: float
    seconds: float
    largest: Batch
    """Of those that one process handles at once."""
    chosen: list[Any]
    """Steps to time, each a list of batches: the largest first, then spread over the lengths."""


class Probe(NamedTuple):
    """What was counted and measured."""

    shape: Shape
    dtype: str
    labels: list[str]
    train: Rounds
    dev: Rounds | None
    timed: list[Timed]
    timed_dev: list[Timed]
    save_s: float
    build_s: float
    before: int
    """Resident bytes before the model came: interpreter and libraries."""
    peak: int
    """Bytes at the fullest: resident of this process on CPU; on CUDA what torch allocated there."""


def probe(config: TrainConfig, budget_s: float) -> Probe:
    """Build the job of `config` and time about `budget_s` seconds of its steps.

    Raises AppErrors for bad input, as the run would. The largest batch is among the warm-up
    steps, so that the peak is that of the whole run.
    """
    check(config)
    PartialState(cpu=device() == "cpu")
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="frontdesk-plan-") as folder:
        run = RunFolder(Path(folder), {}, ours=False)
        accumulate = accumulation(config.loop, 1)
        job = prepare(Order(config, run, accumulate))
        build_s = time.perf_counter() - began
        trainer = job.trainer
        train = rounds(trainer.get_train_dataloader(), accumulate)
        timed = _steps(trainer, train.chosen, budget_s)
        dev = rounds(trainer.get_eval_dataloader(), 1) if trainer.eval_dataset else None
        timed_dev = _looks(trainer, dev.chosen) if dev else []
        began = time.perf_counter()
        trainer._save_checkpoint(trainer.model, trial=None)
        save_s = time.perf_counter() - began
        shape, dtype = shape_of(job, config), str(job.record.get("frozen_dtype", "float32"))
    labels = job.card.labels or []
    return Probe(
        shape, dtype, labels, train, dev, timed, timed_dev, save_s, build_s, before, peak_memory()
    )


def rounds(loader: Any, accumulate: int) -> Rounds:
    """Read an epoch of `loader`, keeping counts of all steps and the batches of a few."""
    began, keep = time.perf_counter(), random.Random(0)
    seen: list[Batch] = []
    kept: list[tuple[int, list[Any]]] = []
    most: tuple[int, list[Any]] = (0, [])
    largest = Batch(0, 0, 0, 0)
    for batches in _grouped(loader, accumulate):
        counts = [counted(batch) for batch in batches]
        whole = Batch(*(sum(column) for column in zip(*counts, strict=True)))
        largest = max(largest, *counts, key=lambda batch: batch.tokens)
        place = len(seen) if len(kept) < _CANDIDATES else keep.randrange(len(seen) + 1)
        seen.append(whole)
        if place < _CANDIDATES:
            kept[place : place + 1] = [(whole.tokens, batches)]
        most = max(most, (whole.tokens, batches), key=lambda step: step[0])
        if time.perf_counter() - began > _LOOK_S:
            break
    steps = math.ceil(len(loader) / accumulate)
    share = steps / len(seen)
    return Rounds(
        steps,
        share * sum(batch.rows for batch in seen),
        share * sum(batch.tokens for batch in seen),
        share * sum(batch.pairs for batch in seen),
        share * (time.perf_counter() - began),
        largest,
        [most[1], *_spread(kept, keep)],
    )


def _grouped(loader: Iterable[Any], accumulate: int) -> Iterator[list[Any]]:
    step: list[Any] = []
    for batch in loader:
        step.append(batch)
        if len(step) == accumulate:
            yield step
            step = []
    if step:
        yield step


def _spread(kept: list[tuple[int, list[Any]]], order: random.Random) -> list[list[Any]]:
    """STEPS of the candidates at even distances in their order of length, then in random order."""
    ranked = [batches for _, batches in sorted(kept, key=lambda step: step[0])]
    count = min(STEPS, len(ranked))
    spread = [ranked[int((i + 0.5) * len(ranked) / count)] for i in range(count)]
    order.shuffle(spread)
    return spread


def _steps(trainer: Any, chosen: list[list[Any]], budget_s: float) -> list[Timed]:
    """Seconds of the steps in `chosen` in the Trainer's own loop, without those of the warm-up."""
    wanted = [*chosen[:1], *chosen[1:2], *chosen[1:]]  # the second is warm-up too, then timed
    full = [step for step in wanted if len(step) == len(wanted[0])]
    batches = [batch for step in full for batch in step]
    tokens = [sum(counted(batch).tokens for batch in step) for step in full]
    args, clock = trainer.args, Clock(tokens, budget_s)
    args.max_steps, args.eval_strategy, args.save_strategy = len(full), "no", "no"
    args.load_best_model_at_end = False
    trainer.get_train_dataloader = lambda: in_order(batches)
    for callback in (ProgressCallback, Patience):
        trainer.remove_callback(callback)
    trainer.add_callback(clock)
    trainer.train()
    return clock.timed[WARM_UP:] or clock.timed


class InOrder(SequentialSampler):
    """The same order in every epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Nothing changes."""


def in_order(batches: list[Any]) -> DataLoader[Any]:
    """A loader of batches that are collated already."""
    return DataLoader(
        batches,  # type: ignore[arg-type]
        sampler=InOrder(batches),
        batch_size=1,
        collate_fn=lambda found: found[0],
    )


class Clock(TrainerCallback):
    """Times whole steps, from the end of one to the end of the next; stops when time is up."""

    def __init__(self, tokens: list[int], budget_s: float) -> None:
        self.tokens, self.budget_s = tokens, budget_s
        self.timed: list[Timed] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start."""
        self.began = self.last = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the step."""
        if device() != "cpu":
            torch.accelerator.synchronize()
        now = time.perf_counter()
        self.timed.append(Timed(self.tokens[state.global_step - 1], now - self.last))
        self.last = now
        if now - self.began > self.budget_s and len(self.timed) >= WARM_UP + LEAST:
            control.should_training_stop = True


def _looks(trainer: Any, chosen: list[list[Any]]) -> list[Timed]:
    """Seconds of a few batches of dev, after one that sets kernels up."""
    timed, alone = [], trainer.compute_metrics is None
    trainer.model.eval()
    for (batch,) in chosen[: 1 + _DEV]:
        began = time.perf_counter()
        trainer.prediction_step(trainer.model, batch, prediction_loss_only=alone)
        if device() != "cpu":
            torch.accelerator.synchronize()
        timed.append(Timed(counted(batch).tokens, time.perf_counter() - began))
    return timed[1:] or timed
