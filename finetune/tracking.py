"""run.tracker: losses and dev metrics also for tensorboard or trackio, into the run folder alone.

tensorboard  runs/NAME/tensorboard/   tensorboard --logdir runs
trackio      runs/NAME/trackio/       TRACKIO_DIR=runs/NAME/trackio trackio show --project NAME
"""

# ruff: noqa: ARG002  (the Trainer passes all of them by position)

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

from app.core.errors import ConfigError
from finetune.runs import RunFolder

_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID",
              "TRACKIO_WEBHOOK_URL", "TRACKIO_WRITE_TOKEN")  # fmt: skip


class Book(Protocol):
    """Where numbers go."""

    def write(self, values: dict[str, float], step: int) -> None:
        """Keep `values` of one step."""

    def close(self) -> None:
        """Nothing more comes."""


def ready(tracker: str, folder: Path) -> None:
    """Called first of all: raise ConfigError where the package of `tracker` is missing.

    trackio takes its folder from the environment when it is imported, which TRL does, and would
    send to a Space or server that is named there: these names are taken out.
    """
    if tracker != "none" and find_spec(tracker) is None:
        raise ConfigError(
            f"run.tracker is {tracker}, which is not installed: it comes with the extra `tracking` "
            f"(pip install -e '.[tracking]'); or set run.tracker=none"
        )
    if tracker == "trackio":
        os.environ["TRACKIO_DIR"] = str((folder / "trackio").resolve())
        for name in _ELSEWHERE:
            os.environ.pop(name, None)


def track(trainer: Any, tracker: str, run: RunFolder) -> None:
    """Give `trainer` the tracker, on the main process."""
    if tracker != "none" and trainer.is_world_process_zero():
        trainer.add_callback(Tracked(BOOKS[tracker], run.path))


class Tracked(TrainerCallback):
    """Hands each logged number on; opened when training begins, at the step it begins with."""

    def __init__(self, book: Any, folder: Path) -> None:
        self.make, self.folder = book, folder
        self.book: Book | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the book."""
        self.book = self.make(self.folder, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Write finite numbers under the Trainer's names, eval_x as dev/x."""
        if self.book is not None:
            self.book.write(named(logs or {}), state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close it."""
        if self.book is not None:
            self.book.close()
            self.book = None


def named(logs: dict[str, Any]) -> dict[str, float]:
    """The finite numbers of a log line: `loss` is train/loss, `eval_accuracy` dev/accuracy."""
    return {
        f"dev/{key.removeprefix('eval_')}" if key.startswith("eval_") else f"train/{key}": value
        for key, value in logs.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }


class TensorBoard:
    """An event file; what a resumed run had written after its checkpoint is dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        make: Any = SummaryWriter
        self.writer = make(folder / "tensorboard", purge_step=step + 1 if step else None)

    def write(self, values: dict[str, float], step: int) -> None:
        """One scalar a name."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        self.writer.close()


class Trackio:
    """A trackio project in the folder that `ready` set; on no Space, on no server."""

    def __init__(self, folder: Path, step: int) -> None:
        import trackio

        self.module: Any = trackio
        self.module.init(
            project=folder.name, name=folder.name, resume="allow", embed=False,
            auto_log_cpu=False, auto_log_gpu=False,
        )  # fmt: skip

    def write(self, values: dict[str, float], step: int) -> None:
        """One row a step."""
        self.module.log(values, step=step)

    def close(self) -> None:
        """Write out what is left."""
        self.module.finish()


BOOKS: dict[str, Any] = {"tensorboard": TensorBoard, "trackio": Trackio}
