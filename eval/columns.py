"""`--columns text=comment,label=category`: which columns of a file are the fields of a task."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.core.errors import InputError, nearest

if TYPE_CHECKING:
    from eval.task import Task

_OF_A_CONFIG = re.compile(r"Set `columns: \{(\w+): \.\.\.\}`")
"""What app.core.records advises, as it is said in a run's config."""


def parse(text: str | None) -> dict[str, str]:
    """Field -> column; {} for None. Raises InputError for anything but FIELD=COLUMN,..."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    found = {field.strip(): column.strip() for field, _, column in pairs}
    if text is not None and not (found and all(found) and all(found.values())):
        raise InputError(f"--columns {text}: expected FIELD=COLUMN,..., as in text=comment")
    return found


def check(task: Task, columns: Mapping[str, str]) -> None:
    """Raise InputError for fields that `task` does not read, listing those that it does."""
    for field in columns:
        if not task.fields:
            raise InputError(f"task {task.name} takes no --columns: rename them in the file")
        if field not in task.fields:
            raise InputError(
                f"--columns {field}={columns[field]}: task {task.name} has no field {field!r}."
                f"{nearest(field, task.fields)} It reads: {', '.join(task.fields)}"
            )


@contextmanager
def advised(task: Task) -> Iterator[None]:
    """Within it, advice on missing columns is what works here rather than in a run's config."""
    way = r"Say --columns \1=COLUMN" if task.fields else r"Rename the file's column to \1"
    try:
        yield
    except InputError as error:
        said = _OF_A_CONFIG.sub(way, error.message)
        if said == error.message:
            raise
        raise InputError(said) from error
