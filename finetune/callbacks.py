"""What happens beside the Trainer's loop: progress, records, curves, stopping."""

# ruff: noqa: ARG002  (the Trainer passes all of them by position)

from __future__ import annotations

import logging
import math
import time
from typing import Any

import torch
from transformers import ProgressCallback, TrainerCallback

from app.core.errors import InputError
from finetune import curves
from finetune.launcher import Stop
from finetune.progress import progress
from finetune.runs import RunFolder

log = logging.getLogger(__name__)
DRAW_S = 20.0
"""At most one picture in so many seconds, and one at the end."""


class Curves(TrainerCallback):
    """Draws curves.png after looks at dev and at the end, however the loop ends."""

    def __init__(self, run: RunFolder) -> None:
        self.target, self.drawn = run.path / curves.FILE, -math.inf

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Draw, unless that was a moment ago."""
        if time.monotonic() - self.drawn > DRAW_S:
            self.draw(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Draw the whole of it."""
        self.draw(state)

    def draw(self, state: Any) -> None:
        """A picture that cannot be written costs a warning, never the run."""
        if not state.is_world_process_zero:
            return
        try:
            curves.draw(state.log_history, self.target)
        except (OSError, InputError) as error:
            log.warning("%s is not drawn: %s", self.target, error)
        self.drawn = time.monotonic()


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
    """Give any Trainer our progress, records, curves and stopping."""
    trainer.remove_callback(ProgressCallback)
    for callback in (progress(), Recorder(run), Curves(run), Guard(stop)):
        trainer.add_callback(callback)


def _anywhere(flag: bool, args: Any) -> bool:
    if args.world_size == 1:
        return flag
    raised = torch.tensor(float(flag), device=args.device)
    torch.distributed.all_reduce(raised)
    return bool(raised > 0)
