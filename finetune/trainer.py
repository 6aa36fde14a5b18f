"""What every task gives its Trainer: arguments, a row order that resumes, and what minimises.

The loop itself is transformers.Trainer's (and TRL's on top of it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from app.core.release import Engine
from app.models.dtype import FP32, choose, device
from finetune.config import TrainConfig
from finetune.optim import Patience, chosen, penalise
from finetune.runs import RunFolder

_SCHEDULES = {"constant": "constant_with_warmup"}


def frozen_dtype(config: TrainConfig) -> str:
    """dtype of the frozen weights: what the config says, or the faster one on this machine.

    float32 where nothing is frozen: bf16 would round small steps away.
    """
    if config.adapter.method == "none":
        return FP32.dtype
    if config.model.dtype != "auto":
        return config.model.dtype
    return choose([FP32, Engine(engine="transformers", dtype="bfloat16")], "encode")


def arguments(config: TrainConfig, run: RunFolder, accumulate: int) -> dict[str, Any]:
    """Keyword arguments for TrainingArguments and its children."""
    loop, optim, has_dev = config.loop, config.optim, bool(config.data.dev)
    return {
        "output_dir": str(run.checkpoints),
        "num_train_epochs": loop.epochs or 1.0,
        "max_steps": loop.max_steps or -1,
        "per_device_train_batch_size": loop.device_batch,
        "per_device_eval_batch_size": loop.device_batch,
        "gradient_accumulation_steps": accumulate,
        "learning_rate": optim.lr,
        "weight_decay": optim.weight_decay,
        "max_grad_norm": optim.clip_norm,
        "lr_scheduler_type": _SCHEDULES.get(optim.schedule, optim.schedule),
        "warmup_steps": optim.warmup_ratio,
        "eval_strategy": "steps" if has_dev else "no",
        "eval_steps": loop.eval_every,
        "save_strategy": "steps",
        "save_steps": loop.save_every,
        "save_total_limit": None,  # finetune.checkpoints drops the old ones
        "load_best_model_at_end": has_dev,
        "train_sampling_strategy": "group_by_length",
        "logging_steps": 1,  # a mean over several steps would differ after a resumption
        "logging_nan_inf_filter": False,  # a loss that is not a number ends the run, see Guard
        "seed": config.run.seed,
        "use_cpu": device() == "cpu",
        "bf16": False,  # no autocast: frozen weights have their own dtype, trained ones are fp32
        "ddp_find_unused_parameters": False,
        "report_to": "none",
    }


def minimise(trainer: Any, config: TrainConfig) -> None:
    """Give any Trainer the optimiser, L1 and early stopping of the config."""
    trainer.optimizer_cls_and_kwargs = chosen(config.optim)
    if config.optim.l1:
        penalise(trainer.model, config.optim.l1, trainer.accelerator)
    if config.loop.early_stopping:
        trainer.add_callback(Patience(config.loop.early_stopping))


class LengthGrouped(Sampler[int]):
    """Rows in random order, those of one step of about the same length, by seed and epoch.

    The last step of an epoch repeats its rows until it is full: every step then has as many, and
    their mean is the same however many processes and batches share them. The Trainer's own sampler
    draws from the global generator, so a run resumed in its second epoch would see other batches
    than an uninterrupted one.
    """

    def __init__(self, lengths: Sequence[int], rows_a_step: int, seed: int) -> None:
        self.lengths, self.rows_a_step, self.seed, self.epoch = lengths, rows_a_step, seed, 0

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.rows_a_step) * self.rows_a_step

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        grouped: Any = get_length_grouped_indices
        order = grouped(self.lengths, self.rows_a_step, generator=generator)
        last = order[len(order) // self.rows_a_step * self.rows_a_step :]
        return chain(order, islice(cycle(last), len(self) - len(order)))

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch


class Blocks(Sampler[int]):
    """Indices of rows in blocks of `size`, the whole ones in random order by seed and epoch."""

    def __init__(self, rows: int, size: int, seed: int) -> None:
        self.rows, self.size, self.seed, self.epoch = rows, size, seed, 0

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        whole = self.rows // self.size
        for block in torch.randperm(whole, generator=generator).tolist():
            yield from range(block * self.size, (block + 1) * self.size)
        yield from range(whole * self.size, self.rows)

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch


class Repeatable:
    """Mixin before a Trainer: the row order of LengthGrouped; a run that is over stays over."""

    args: Any
    state: Any
    control: Any
    train_dataset: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        lengths, args = self._lengths(rows), self.args
        a_step = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return LengthGrouped(lengths, a_step, args.seed)

    def _lengths(self, rows: Any) -> list[int]:
        """Tokens of each row."""
        return [len(ids) for ids in rows["input_ids"]]

    def _run_epoch(self, *args: Any, **given: Any) -> None:
        """An epoch, in its own order; nothing where the checkpoint gone on from was the last.

        The Trainer would take one step more: it asks whether it is done after a step, never before.
        And where one of several processes resumes within an epoch it (accelerate 1.15) names that
        epoch to a wrapper that does not pass it on: the rows would come in the first epoch's order.
        """
        if _is_over(self.state):
            self.control.should_training_stop = True
            return
        _sampler(given["train_dataloader"]).set_epoch(given["epoch"])
        super()._run_epoch(*args, **given)  # type: ignore[misc]


def _sampler(loader: Any) -> Any:
    """Ours, under whatever shares its batches out."""
    batches = loader.batch_sampler
    while hasattr(batches, "batch_sampler"):
        batches = batches.batch_sampler
    return batches.sampler


def _is_over(state: Any) -> bool:
    """Whether all steps are done, or patience had run out when the checkpoint was written."""
    saved = state.stateful_callbacks.get(Patience.__name__, {})
    waited = saved.get("attributes", {}).get("early_stopping_patience_counter", 0)
    patience = saved.get("args", {}).get("early_stopping_patience", math.inf)
    return bool(state.global_step >= state.max_steps or waited >= patience)
