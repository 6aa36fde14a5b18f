"""What every task gives its Trainer: arguments, a row order that resumes, progress, records, stopping.

The loop itself is transformers.Trainer's (and TRL's on top of it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import ProgressCallback, TrainerCallback
from transformers.trainer_pt_utils import get_length_grouped_indices

from app.core.errors import InputError
from app.models.dtype import FP32, choose, device
from app.core.release import Engine
from finetune.config import TrainConfig
from finetune.launcher import Stop
from finetune.runs import RunFolder

_SCHEDULES = {"constant": "constant_with_warmup"}


def frozen_dtype(config: TrainConfig) -> str:
    """dtype of the frozen weights: what the config says, or the faster one on this machine."""
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
        "save_total_limit": 2,
        "load_best_model_at_end": has_dev,
        "train_sampling_strategy": "group_by_length",
        "logging_steps": 10,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a loss that is not a number ends the run, see Guard
        "seed": config.run.seed,
        "use_cpu": device() == "cpu",
        "bf16": False,  # no autocast: the frozen weights have their dtype, the trained ones are fp32
        "report_to": "none",
    }


class LengthGrouped(Sampler[int]):
    """Rows in random order, those of one step of about the same length; a function of seed and epoch.

    The Trainer's own sampler draws from the global generator, so a run resumed in its second epoch
    would see other batches than an uninterrupted one.
    """

    def __init__(self, lengths: Sequence[int], rows_a_step: int, seed: int) -> None:
        self.lengths, self.rows_a_step, self.seed, self.epoch = lengths, rows_a_step, seed, 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(
            get_length_grouped_indices(self.lengths, self.rows_a_step, generator=generator)
        )

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch


class Repeatable:
    """Mixin before a Trainer: the row order of LengthGrouped."""

    args: Any
    train_dataset: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        lengths = [len(ids) for ids in rows["input_ids"]]
        at_once = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGrouped(lengths, at_once, self.args.seed)


class Progress(ProgressCallback):  # type: ignore[misc]
    """One bar with loss, dev result and time left, instead of a line for each log."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show the newest loss and dev loss."""
        if self.training_bar is None or not logs:
            return
        names = {"loss": "loss", "eval_loss": "dev loss", "eval_accuracy": "dev accuracy"}
        shown = {name: f"{logs[key]:.4f}" for key, name in names.items() if key in logs}
        if shown:
            self.shown = {**getattr(self, "shown", {}), **shown}
            self.training_bar.set_postfix(self.shown)


class Recorder(TrainerCallback):  # type: ignore[misc]
    """Writes metrics.jsonl at each log."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The whole history, which a resumed run brings along."""
        self.run.log(state.log_history)


class Guard(TrainerCallback):  # type: ignore[misc]
    """Ends the run after a signal, with a checkpoint, or at a loss that is not a number."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save and stop where a signal came, on all processes in the same step."""
        if _anywhere(self.stop.signal is not None, args):
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Raise InputError: training on would only cost time."""
        if logs and not math.isfinite(logs.get("loss", 0.0)):
            raise InputError(
                f"the loss is {logs['loss']} after {state.global_step} steps: lower optim.lr "
                f"(it is {args.learning_rate:g}), or raise optim.warmup_ratio"
            )


def equip(trainer: Any, run: RunFolder, stop: Stop) -> None:
    """Give any Trainer our progress bar, records and stopping."""
    trainer.remove_callback(ProgressCallback)
    for callback in (Progress(), Recorder(run), Guard(stop)):
        trainer.add_callback(callback)


def _anywhere(flag: bool, args: Any) -> bool:
    if args.world_size == 1:
        return flag
    raised = torch.tensor(float(flag), device=args.device)
    torch.distributed.all_reduce(raised)
    return bool(raised > 0)
