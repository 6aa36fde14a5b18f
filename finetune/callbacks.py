"""What happens beside the Trainer's loop: progress, records, stopping."""

# ruff: noqa: ARG002  (the Trainer passes all of them by position)

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import ProgressCallback, TrainerCallback

from app.core.errors import InputError
from finetune.launcher import Stop
from finetune.runs import RunFolder


class Progress(ProgressCallback):
    """One bar with loss, dev result and time left, instead of a line for each log."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show the newest loss and dev loss."""
        names = {"loss": "loss", "eval_loss": "dev loss", "eval_accuracy": "dev accuracy"}
        new = {name: f"{logs[key]:.4f}" for key, name in names.items() if key in (logs or {})}
        bar: Any = self.training_bar
        if bar is not None and new:
            self.shown |= new
            bar.set_postfix(self.shown)


class Recorder(TrainerCallback):
    """Writes metrics.jsonl, a line a step; a resumed run goes on with its checkpoint's lines."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The lines up to the checkpoint; none for a new run."""
        self.run.log(state.log_history)

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The newest line."""
        self.run.log_more(state.log_history[-1])


class Guard(TrainerCallback):
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
