"""What can be trained: one file a task, named as the config names it, with `build(order) -> Job`.

A new file here is a new task; nothing else lists them. Modules are imported when a run asks for
them, since each brings its own trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finetune.job import Job, Order


def _build(task: str, order: Order) -> Job:
    made: Job = import_module(f"finetune.tasks.{task}").build(order)
    return made


TASKS: dict[str, Callable[[Order], Job]] = {
    name: partial(_build, name)
    for name in sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
}
