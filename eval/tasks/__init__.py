"""The tasks: one file each. `TASKS` is the registry."""

from __future__ import annotations

from app.core.errors import NotFound, nearest
from eval.task import Task
from eval.tasks import recommend, retrieval, sentiment, support

TASKS: dict[str, Task] = {
    "sentiment": sentiment.TASK,
    "retrieval": retrieval.TASK,
    "support": support.TASK,
    "recommend": recommend.TASK,
}


def task(name: str) -> Task:
    """The task called `name`. Raises NotFound, listing those that exist."""
    if name not in TASKS:
        known = ", ".join(TASKS)
        raise NotFound(f"no task {name!r}.{nearest(name, TASKS)} There is: {known}")
    return TASKS[name]
