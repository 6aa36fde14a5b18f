"""How far a run is: one bar on a terminal, a readable line now and then in a log file."""

# ruff: noqa: ARG002  (the Trainer passes all of them by position)

from __future__ import annotations

import math
import sys
import time
from typing import Any, TextIO

from transformers import ProgressCallback, TrainerCallback

from finetune.units import clock

FIRST_LINE_S, LINE_S = 5.0, 30.0
"""A log file gets its first line of progress after so many seconds, then one each LINE_S."""


def progress(stream: TextIO | None = None) -> TrainerCallback:
    """What suits `stream` (default stderr): a bar on a terminal, lines elsewhere."""
    stream = stream or sys.stderr
    return Bar() if stream.isatty() else Lines(stream)


class Meter:
    """Speed and time left, counted from the step that this process began with."""

    def __init__(self, args: Any, state: Any) -> None:
        self.rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        self.first, self.began = state.global_step, time.monotonic()

    def told(self, state: Any) -> tuple[float, float]:
        """(examples a second, seconds left); looks at dev and checkpoints count in both."""
        steps, taken = state.global_step - self.first, time.monotonic() - self.began
        if steps <= 0:
            return 0.0, math.inf
        return steps * self.rows / taken, taken / steps * (state.max_steps - state.global_step)


class Newest:
    """Loss, smoothed over about ten steps, and the newest results on dev."""

    def __init__(self) -> None:
        self.loss: float | None = None
        self.dev: dict[str, float] = {}

    def hear(self, logs: dict[str, Any], args: Any) -> None:
        """Take in a log line of the Trainer."""
        if "loss" in logs:
            new = float(logs["loss"])
            self.loss = new if self.loss is None else 0.9 * self.loss + 0.1 * new
        best = str(args.metric_for_best_model or "loss").removeprefix("eval_")
        for name in dict.fromkeys(("loss", best)):
            if f"eval_{name}" in logs:
                self.dev[name] = float(logs[f"eval_{name}"])

    def told(self) -> dict[str, str]:
        """Name -> value, as shown."""
        loss = {} if self.loss is None else {"loss": f"{self.loss:.4f}"}
        return loss | {f"dev {name}": f"{value:.4f}" for name, value in self.dev.items()}


class Bar(ProgressCallback):
    """On a terminal: one bar with loss, dev results, examples a second and time left."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Draw it."""
        parent: Any = super()
        parent.on_train_begin(args, state, control, **kwargs)
        self.meter, self.newest = Meter(args, state), Newest()
        bar: Any = self.training_bar
        if bar is not None:
            bar.update(state.global_step)
            bar.initial = self.current_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Show what is new beside the bar, not below it."""
        bar: Any = self.training_bar
        if bar is not None and logs:
            self.newest.hear(logs, args)
            speed, _left = self.meter.told(state)
            bar.set_postfix(self.newest.told() | {"examples/s": f"{speed:.1f}"})


class Lines(TrainerCallback):
    """In a log file: the same as a line each half minute, at each look at dev and at the end."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks."""
        self.meter, self.newest = Meter(args, state), Newest()
        self.due: float = time.monotonic() + FIRST_LINE_S
        self.said = -1

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep what is new; write it where a line is due."""
        self.newest.hear(logs or {}, args)
        if time.monotonic() >= self.due or "eval_loss" in (logs or {}):
            self.say(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The last line, unless a look at dev has just said it."""
        if state.global_step != self.said:
            self.say(state)

    def say(self, state: Any) -> None:
        """Write a line."""
        if state.is_world_process_zero:
            print(line(state, self.meter, self.newest), file=self.stream, flush=True)
        self.due, self.said = time.monotonic() + LINE_S, state.global_step


def line(state: Any, meter: Meter, newest: Newest) -> str:
    """`step 120/868, loss 0.3121, dev accuracy 0.8710, 83.1 examples/s, 6.1 min left`."""
    speed, left = meter.told(state)
    parts = [f"step {state.global_step}/{state.max_steps}"]
    parts += [f"{name} {value}" for name, value in newest.told().items()]
    if speed:
        parts += [f"{speed:.1f} examples/s", f"{clock(left)} left"]
    return ", ".join(parts)
