"""table.yaml -> the runs of the table: what is compared, on which data, with which seeds.

A run's config is `base`, then its data set's `config`, then its recipe's, merged key by key. Each
recipe's learning rate is the best on dev of its `lrs`, tried on `grid.seed` with `grid.config` on
top (less data); a single one is taken as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from app.core.config import Strict, load, parse
from app.core.errors import ConfigError, InputError, nearest
from app.core.files import sha256_text
from finetune.config import TrainConfig

Kind = Literal["grid", "run"]
Line = Mapping[str, Any]


class Test(Strict):
    """How a finished run is measured: `python -m eval run TASK --data DATA`, once."""

    task: str
    data: str
    metric: str
    """As report.json names it."""


class DataSet(Strict):
    """What is learnt and how it is tested."""

    config: dict[str, Any]
    test: Test


class Recipe(Strict):
    """One line of the comparison."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    set: str
    config: dict[str, Any]
    lrs: list[float] = Field(min_length=1)


class Grid(Strict):
    """How learning rates are tried."""

    seed: int
    config: dict[str, Any]


class Queue(Strict):
    """The whole file."""

    seeds: list[int] = Field(min_length=1)
    base: dict[str, Any]
    grid: Grid
    sets: dict[str, DataSet]
    recipes: list[Recipe] = Field(min_length=1)

    @model_validator(mode="after")
    def _known(self) -> Queue:
        names = [recipe.name for recipe in self.recipes]
        if len(set(names)) < len(names):
            raise ValueError(f"recipes: two have one name, among {', '.join(names)}")
        for recipe in self.recipes:
            if recipe.set not in self.sets:
                raise ValueError(
                    f"recipe {recipe.name}: no set {recipe.set!r}.{nearest(recipe.set, self.sets)}"
                )
        return self


class Job(NamedTuple):
    """One run: a try of a learning rate, or one seed of a recipe."""

    kind: Kind
    recipe: str
    set: str
    config: TrainConfig
    test: Test
    key: str
    """sha256 of all that the result depends on; a line of the table is known by it."""
    recipe_key: str
    """The same for all seeds."""

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.config.run.name


def read(path: Path) -> Queue:
    """The queue in `path`; each of its configs is checked. Raises ConfigError."""
    queue = load(Queue, path)
    for recipe in queue.recipes:
        for job in (*tries(queue, recipe, Path()), *runs(queue, recipe, recipe.lrs[0], Path())):
            if not job.config.data.dev:
                raise ConfigError(f"{path}: {recipe.name} has no data.dev to choose on")
    return queue


def chosen(queue: Queue, pattern: str) -> list[Recipe]:
    """Recipes whose name fits `pattern`, as in `sst2-*`. Raises InputError listing them."""
    found = [recipe for recipe in queue.recipes if fnmatch(recipe.name, pattern)]
    if not found:
        known = ", ".join(recipe.name for recipe in queue.recipes)
        raise InputError(f"--only {pattern}: fits none of {known}")
    return found


def tries(queue: Queue, recipe: Recipe, out: Path) -> list[Job]:
    """The runs that choose a learning rate; none where there is only one."""
    if len(recipe.lrs) == 1:
        return []
    seed = queue.grid.seed
    return [_job(queue, recipe, "grid", seed, lr, out, queue.grid.config) for lr in recipe.lrs]


def runs(queue: Queue, recipe: Recipe, lr: float, out: Path) -> list[Job]:
    """The runs that count, one a seed."""
    return [_job(queue, recipe, "run", seed, lr, out, {}) for seed in queue.seeds]


def best_lr(queue: Queue, recipe: Recipe, lines: Sequence[Line]) -> float | None:
    """The rate with the best result on dev, the lower one of equals; None while tries are open."""
    if len(recipe.lrs) == 1:
        return recipe.lrs[0]
    known = {line["key"]: line for line in lines}
    found = [known.get(job.key) for job in tries(queue, recipe, Path())]
    results = [(float(line["dev"]), -float(line["lr"])) for line in found if line is not None]
    return -max(results)[1] if len(results) == len(recipe.lrs) else None


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the leaves of `above` in their place."""
    out = dict(below)
    for key, value in above.items():
        inner = out.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        out[key] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return out


def _job(
    queue: Queue, recipe: Recipe, kind: Kind, seed: int, lr: float, out: Path, above: dict[str, Any]
) -> Job:
    data_set = queue.sets[recipe.set]
    tree: dict[str, Any] = merged(queue.base, data_set.config)
    tree = merged(merged(tree, recipe.config), above)
    tree = merged(tree, {"optim": {"lr": lr}, "run": {"name": "r", "seed": seed}})
    plain = parse(TrainConfig, tree, f"recipe {recipe.name}")
    whole = {
        "kind": kind,
        "config": plain.model_dump(mode="json"),
        "test": data_set.test.model_dump(),
    }
    key = _key(whole)
    recipe_key = _key(merged(whole, {"config": {"run": {"seed": None}}}))
    label = f"{recipe.name}-lr{lr:g}" if kind == "grid" else f"{recipe.name}-s{seed}"
    run = {"name": f"{label}-{key[:6]}", "out_dir": str(out)}
    config = parse(TrainConfig, merged(tree, {"run": run}), f"recipe {recipe.name}")
    return Job(kind, recipe.name, recipe.set, config, data_set.test, key, recipe_key)


def _key(whole: Mapping[str, Any]) -> str:
    return sha256_text(json.dumps(whole, sort_keys=True))[:16]
