"""table.jsonl: one line a finished run, appended whole or not at all, never twice."""

from __future__ import annotations

import fcntl
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from app.core.errors import InputError
from app.core.files import ROOT, writable, write_jsonl
from app.core.records import read_rows

TABLE = ROOT / "finetune" / "table.jsonl"
Line = dict[str, Any]


class Spread(NamedTuple):
    """Mean over seeds and its 95 % interval by Student's t; no interval of a single seed."""

    mean: float
    low: float | None
    high: float | None
    n: int


class Row(NamedTuple):
    """A recipe's runs together."""

    recipe: str
    lines: list[Line]
    metric: Spread

    @property
    def first(self) -> Line:
        """What is the same for all seeds."""
        return self.lines[0]

    def mean(self, name: str) -> float:
        """The mean of a column over the seeds."""
        return float(np.mean([line[name] for line in self.lines]))

    def least(self, name: str) -> float:
        """The least of a column: of times the truest, since other work only adds to them."""
        return float(min(line[name] for line in self.lines))


def read(path: Path) -> list[Line]:
    """The lines of the table in order; none where there is no file."""
    if not path.is_file() or not path.stat().st_size:
        return []
    return [{k: v for k, v in row.items() if k != "_where"} for row in read_rows(path)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else fills the table meanwhile. Raises InputError where somebody does."""
    place = writable(path.parent) / f".{path.name}.lock"
    with place.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{path} is being filled by another queue: wait for it") from error
        yield


def append(path: Path, line: Line) -> None:
    """Add a line, the file being replaced as a whole; under `locked`. Raises for a known key."""
    lines = read(path)
    if any(known["key"] == line["key"] for known in lines):
        raise InputError(f"{path} has a line of {line['recipe']} with the key {line['key']}")
    write_jsonl(path, [*lines, line])


def rows(lines: Sequence[Line]) -> list[Row]:
    """Recipes in the order of the table, each with its newest configuration's runs."""
    by_recipe: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line["kind"] == "run":
            by_recipe[line["recipe"]].append(line)
    newest = {name: found[-1]["recipe_key"] for name, found in by_recipe.items()}
    return [
        Row(name, kept, spread([line["metric"]["value"] for line in kept]))
        for name, found in by_recipe.items()
        if (kept := [line for line in found if line["recipe_key"] == newest[name]])
    ]


def spread(values: Sequence[float]) -> Spread:
    """Mean and 95 % interval over runs with different seeds: mean -+ t(n - 1) * sd / sqrt(n)."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Spread(mean, None, None, n)
    half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Spread(mean, mean - half, mean + half, n)
