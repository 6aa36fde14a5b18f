"""The tasks: one file each. `TASKS` is the registry."""

from __future__ import annotations

from app.core.errors import NotFound, nearest
from eval.task import Task
from eval.tasks import (
    conversations,
    intents,
    perplexity,
    recommend,
    regression,
    retrieval,
    safety,
    sentiment,
    support,
)

TASKS: dict[str, Task] = {
    "sentiment": sentiment.TASK,
    "regression": regression.TASK,
    "intents": intents.TASK,
    "retrieval": retrieval.TASK,
    "support": support.TASK,
    "recommend": recommend.TASK,
    "conversations": conversations.TASK,
    "safety": safety.TASK,
    "perplexity": perplexity.TASK,
}


def task(name: str) -> Task:
    """The task called `name`. Raises NotFound, listing those that exist."""
    if name not in TASKS:
        known = ", ".join(TASKS)
        raise NotFound(f"no task {name!r}.{nearest(name, TASKS)} There is: {known}")
    return TASKS[name]
