"""A task: data, a call of the product, and metrics.

The call is the function that the page calls, never a copy of it. A task file holds a reader of its
data, a builder of the system under test, a scorer, and `TASK`, which joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from app.core.errors import InputError, nearest
from app.core.files import ROOT
from app.core.provenance import code_hash
from eval.metrics.base import Context, Metric
from eval.samples import Row, Sample, Scored


class Request(NamedTuple):
    """What to evaluate, as on the command line; all None is the released system."""

    data: str | None = None
    """Data reference; None is the task's default."""
    model: str | None = None
    adapter: Path | None = None
    """Folder with adapter_model.safetensors; run.json and fingerprints.bin lie beside or above."""
    system: str | None = None
    prompt: str | None = None
    """Template `name/version`, for support's base model."""
    limit: int | None = None
    """At most so many samples, drawn with the seed."""
    columns: Mapping[str, str] = {}
    """Our field -> the file's column, where they differ."""


class Data(NamedTuple):
    """What a task reads from a data reference."""

    samples: list[Sample]
    context: Context
    """What the metrics read beside samples; goes into the report."""
    source: Any = None
    """The parsed data, for the builder of the system."""


class System(NamedTuple):
    """What is under test, ready to be called."""

    name: str
    predict: Callable[[Sequence[Sample]], Sequence[Any]]
    """Outputs in the order of the samples."""
    identity: Mapping[str, Any]
    """For provenance: model, adapter, prompt, release; JSON values."""
    batch: int = 1
    """Samples that `predict` likes to get at once."""


@dataclass(frozen=True)
class Task:
    """A named measurement of the product."""

    name: str
    summary: str
    """One line for `list`."""
    data: str
    """Default data reference."""
    metrics: tuple[Metric, ...]
    """In the order of the report; the first is the primary one."""
    systems: tuple[str, ...]
    """What --system may name."""
    packages: tuple[str, ...]
    """The product's code that the numbers rest on, e.g. app/sentiment."""
    read: Callable[..., Data]
    """Of a data reference; where there are `fields`, also of the columns that they are in."""
    build: Callable[[Request, Data], System]
    score: Callable[[Sample, Any], Scored]
    """Scores of one output; an output of None is a failure and gets the worst."""
    remarks: Callable[[Sequence[Row]], list[str]] = lambda _: []
    """What a reader of the report must know beside its numbers, a line each."""
    fields: tuple[str, ...] = ()
    """What --columns may say the column of."""

    @property
    def code_parts(self) -> tuple[str, ...]:
        """Files and folders under the code hash, relative to the root."""
        metrics = dict.fromkeys(metric.module for metric in self.metrics)
        own = [self.score.__module__, "eval.metrics.base", *metrics]
        files = [name.replace(".", "/") + ".py" for name in own]
        return ("app/core", "app/models", *self.packages, *files)

    def code(self) -> str:
        """The sha256 of that code as it is now."""
        return code_hash(*self.code_parts)

    def metric(self, name: str) -> Metric:
        """The metric called `name`. Raises InputError listing those of this task."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        known = [metric.name for metric in self.metrics]
        raise InputError(
            f"task {self.name} has no metric {name!r}.{nearest(name, known)} "
            f"It has: {', '.join(known)}"
        )

    def system(self, name: str | None) -> str | None:
        """`name`, if --system may name it. Raises InputError listing those that it may."""
        if name is not None and name not in self.systems:
            raise InputError(
                f"task {self.name} has no system {name!r}.{nearest(name, self.systems)} "
                f"It has: {', '.join(self.systems) or 'none to choose from'}"
            )
        return name


def no_adapter(task: str, request: Request) -> None:
    """Refuse --adapter for a task whose system has none."""
    if request.adapter is not None:
        raise InputError(f"task {task} takes no --adapter: its system trains none")


def relative(path: Path) -> str:
    """`path` from the root of the checkout, or its last two parts where it lies elsewhere."""
    full = path.resolve()
    if full.is_relative_to(ROOT):
        return str(full.relative_to(ROOT))
    return str(Path(*full.parts[-2:]))
