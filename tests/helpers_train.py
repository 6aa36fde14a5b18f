"""Tiny training runs in this process, and files for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from app.core.config import parse
from app.core.files import write_jsonl
from finetune.config import TrainConfig
from finetune.launcher import Stop

# peft and trl ask transformers for names that it will rename
OLD_NAMES = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"


class Quiet(Stop):
    """A Stop that leaves the signal handlers of the test run alone."""

    def listen(self) -> None:
        """Nothing to listen to."""


class StopAfter(Quiet):
    """As if SIGTERM came after `steps` steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self._signal = steps, 0

    @property  # type: ignore[override]
    def signal(self) -> int | None:
        """Read once a step, and once at the end."""
        self._signal += 1
        return 15 if self._signal >= self.steps else None


def reviews(path: Path, n: int = 24) -> Path:
    """A classification file whose label is one word."""
    words = ("great", "dull")
    rows = [
        {"text": f"this film number {i} was {words[i % 2]}" + " indeed" * (i % 5),
         "label": ("positive", "negative")[i % 2]}
        for i in range(n)
    ]  # fmt: skip
    write_jsonl(path, rows)
    return path


def conversations(path: Path, n: int = 12) -> Path:
    """A file of grounded conversations."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"How long do refunds of order {i} take?"},
                {"role": "assistant", "content": f"Refunds take {i + 2} working days."},
            ],
            "passages": [
                {"id": "a#0", "text": f"Refunds take {i + 2} working days. Returns are free."},
                {"id": "b#0", "text": "Orders over 40 euros ship free of charge."},
            ],
        }
        for i in range(n)
    ]
    write_jsonl(path, rows)
    return path


def config_tree(task: str, model: Path, train: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """A whole config as a tree; `changes` replace leaves, e.g. loop__max_steps=4."""
    tree: dict[str, Any] = {
        "run": {"name": "r", "out_dir": str(out), "seed": 3},
        "task": task,
        "model": {"path": str(model), "dtype": "float32"},
        "adapter": {"rank": 4, "alpha": 8},
        "data": {"train": [f"file:{train}"], "dev": [f"file:{train}"], "max_tokens": 256,
                 "accept": ["leakage"]},  # dev is what was trained on: it learns in a few steps
        "optim": {"lr": 5e-3},
        "loop": {"max_steps": 4, "global_batch": 4, "device_batch": 4, "eval_every": 2,
                 "save_every": 2},
    }  # fmt: skip
    for key, value in changes.items():
        group, _, leaf = key.partition("__")
        tree[group][leaf] = value
    return tree


def config(*args: Any, **changes: Any) -> TrainConfig:
    """`config_tree` as a TrainConfig."""
    return parse(TrainConfig, config_tree(*args, **changes), "test")


def written(path: Path, tree: dict[str, Any]) -> Path:
    """`tree` as a YAML file."""
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def train(made: TrainConfig, *, resume: bool = False, stop: Stop | None = None) -> Path:
    """Run it here; returns the run folder."""
    from finetune.engine import train as run

    run(made, resume=resume, stop=stop or Quiet())
    return made.folder
