"""The queue: what is left to do, how long that takes, and doing it one run after the other."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.core import config as configs
from app.core.errors import AppError
from app.core.files import ROOT, read_json, write_json
from finetune.config import TrainConfig
from finetune.table import lines as table
from finetune.table.recipes import Job, Line, Queue, Recipe, best_lr, runs, tries
from finetune.table.work import do
from finetune.units import clock

PROBE_S = 15
"""Seconds of steps that the estimate of one recipe takes."""


def fill(
    queue: Queue, recipes: Sequence[Recipe], *, out: Path, to: Path, limit: int | None
) -> list[str]:
    """Do what is left, at most `limit` runs, a line of the table each; returns what failed.

    A queue that was killed goes on where it was: finished runs are in the table.
    """
    failed: dict[str, str] = {}
    with table.locked(to):
        _say_estimate(queue, recipes, table.read(to), out)
        done = 0
        while limit is None or done < limit:
            job = following(queue, recipes, table.read(to), out, failed)
            if job is None:
                break
            print(f"{job.name}: rate {job.config.optim.lr:g} ...", flush=True)
            try:
                line = do(job, out)
            except AppError as error:
                failed[job.key] = f"{job.name}: {error.message}"
                print(f"  {error.message}", flush=True)
            else:
                table.append(to, line)
                print(f"  {said(line)}", flush=True)
            done += 1
    return list(failed.values())


def following(
    queue: Queue, recipes: Sequence[Recipe], lines: Sequence[Line], out: Path,
    failed: dict[str, str],
) -> Job | None:  # fmt: skip
    """The next run that is neither in the table nor failed; None where all is done."""
    return next((job for job in left(queue, recipes, lines, out) if job.key not in failed), None)


def left(
    queue: Queue, recipes: Sequence[Recipe], lines: Sequence[Line], out: Path
) -> Iterator[Job]:
    """What can be run now: the tries of a recipe, and when these are done its seeds."""
    known = {line["key"] for line in lines}
    for recipe in recipes:
        lr = best_lr(queue, recipe, lines)
        jobs = tries(queue, recipe, out) if lr is None else runs(queue, recipe, lr, out)
        yield from (job for job in jobs if job.key not in known)


def said(line: Line) -> str:
    """What a finished run gave, in one line."""
    test = f", test {line['metric']['value']:.4f}" if "metric" in line else ""
    return f"dev {line['dev']:.4f}{test}, {clock(line['wall_s'])}, {clock(line['cpu_s'])} of CPU"


def listed(
    queue: Queue, recipes: Sequence[Recipe], lines: Sequence[Line], out: Path
) -> Iterator[str]:
    """A line for each run: what it gave, or that it is to come."""
    known = {line["key"]: line for line in lines}
    for recipe in recipes:
        lr = best_lr(queue, recipe, lines)
        for job in (*tries(queue, recipe, out), *runs(queue, recipe, lr or recipe.lrs[0], out)):
            waits = job.kind == "run" and lr is None
            name = f"{recipe.name}-s{job.config.run.seed}" if waits else job.name
            state = "waits for its rate" if waits else "to do"
            yield f"{name:<32} {said(known[job.key]) if job.key in known else state}"


def _say_estimate(
    queue: Queue, recipes: Sequence[Recipe], lines: Sequence[Line], out: Path
) -> None:
    """Print the time that is left, recipe by recipe, from a probe of each, remembered in `out`."""
    whole = 0.0
    known = {line["key"] for line in lines}
    for recipe in recipes:
        lr = best_lr(queue, recipe, lines)
        jobs = [*tries(queue, recipe, out), *runs(queue, recipe, lr or recipe.lrs[0], out)]
        pending = [job for job in jobs if job.key not in known]
        if not pending:
            continue
        step_s, rows = _probed(runs(queue, recipe, recipe.lrs[0], out)[0], out)
        seconds = sum(step_s * steps(job.config, rows) for job in pending)
        print(f"{recipe.name}: {len(pending)} runs, about {clock(seconds)}", flush=True)
        whole += seconds
    print(f"about {clock(whole)} of training in all, when nothing else runs here", flush=True)


def steps(config: TrainConfig, rows: int) -> int:
    """Optimiser steps of a run on `rows` rows, or on data.limit of them where that is less."""
    used = min(rows, config.data.limit or rows)
    an_epoch = math.ceil(used / config.loop.global_batch)
    return config.loop.max_steps or math.ceil((config.loop.epochs or 1) * an_epoch)


def _probed(job: Job, out: Path) -> tuple[float, int]:
    """(seconds a step with its share of looks at dev, rows) of a run, by `finetune plan`."""
    file = out / "estimates.json"
    known: dict[str, Any] = read_json(file) if file.is_file() else {}
    if job.recipe_key not in known:
        config = out / "configs" / f"{job.name}.yaml"
        configs.save(job.config, config)
        found = _planned(config)
        step_s = found["time"]["run"]["value"] / found["data"]["steps"]
        known[job.recipe_key] = [step_s, found["data"]["rows"]]
        write_json(file, known)
    step_s, rows = known[job.recipe_key]
    return step_s, rows


def _planned(config: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "finetune", "plan", "--json", "--seconds", str(PROBE_S)]
    done = subprocess.run(
        [*command, "--config", str(config.resolve())], capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode:
        told = done.stderr.strip().splitlines()[-1:] or ["(it said nothing)"]
        raise AppError(f"finetune plan --config {config}: {told[0]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
