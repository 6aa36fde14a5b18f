"""Doing one run of the table: train, test once, time serving, each as a process of its own.

What was cut short in training is begun anew, since its time is part of the table; what was trained
is not trained again, and a report that is there is not made again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from app.core import config as configs
from app.core.errors import AppError, InputError
from app.core.files import ROOT, read_json, write_json
from app.core.provenance import now
from finetune.launcher import die_with_parent
from finetune.runs import RECORD
from finetune.table.recipes import Job
from finetune.table.serving import FILE as SERVING

USAGE = "usage.json"
_WAIT_S = 120.0


class Failed(AppError):
    """A run that ended with an error; the others go on."""


def do(job: Job, out: Path) -> dict[str, Any]:
    """The line of `job` for the table. Raises Failed with the last words of the process."""
    folder = out / job.name
    if not (folder / USAGE).is_file():
        _train(job, out, folder)
    run, usage = read_json(folder / RECORD), read_json(folder / USAGE)
    line = {
        "kind": job.kind, "recipe": job.recipe, "set": job.set, "key": job.key,
        "recipe_key": job.recipe_key, "seed": job.config.run.seed, **_settings(job, run),
        "dev": run["dev"][_dev_metric(job, run)], **usage, "seconds": run["seconds"],
        "adapter_bytes": sum(file.stat().st_size for file in (folder / "adapter").iterdir()),
    }  # fmt: skip
    if job.kind == "run":
        line |= {"test": job.test.model_dump(), "metric": _tested(job, folder)}
        line["serving"] = _served(folder) if job.config.task == "classification" else None
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # gigabytes, of no use any more
    kept = ("torch", "transformers", "peft")
    versions = {name: run["versions"][name] for name in kept}
    return line | {"versions": versions, "machine": run["machine"], "date": now()}


def _settings(job: Job, run: dict[str, Any]) -> dict[str, Any]:
    config = job.config
    return {
        "task": config.task,
        "model": config.model.path,
        "method": config.adapter.method,
        "rank": config.adapter.rank if config.adapter.method == "lora" else None,
        "lr": config.optim.lr,
        "epochs": config.loop.epochs,
        "batch": config.loop.global_batch,
        "rows": run["rows"]["used"],
        "labels": len(run["labels"] or []),
        "trained": run["parameters"]["trainable"],
        "frozen_dtype": run["frozen_dtype"],
        "steps": run["steps"],
    }


def _dev_metric(job: Job, run: dict[str, Any]) -> str:
    """The test's metric where dev has it, else accuracy, else the first: higher is better in all.

    `eval run intents` calls plain accuracy in_scope_accuracy where nothing is out of scope.
    """
    names: list[str] = list(run["dev"])
    return next(name for name in (job.test.metric, "accuracy", *names) if name in names)


def _train(job: Job, out: Path, folder: Path) -> None:
    _cleared(folder)
    config = out / "configs" / f"{job.name}.yaml"
    configs.save(job.config, config)
    command = [sys.executable, "finetune/train.py", "--config", str(config.resolve())]
    usage = _run(command, out / "logs" / f"{job.name}.log")
    write_json(folder / USAGE, usage)


def _cleared(folder: Path) -> None:
    """Remove what a run that was cut short left, once its process is gone."""
    if not folder.is_dir():
        return
    ends = time.monotonic() + _WAIT_S
    with (folder / ".lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > ends:
                    raise Failed(f"{folder} is still being written by another run") from error
                time.sleep(1)
    shutil.rmtree(folder)


def _tested(job: Job, folder: Path) -> dict[str, Any]:
    """The one look at the test set: {value, low, high, n}; what is there already is read."""
    report = folder / "report" / "report.json"
    if not report.is_file():
        command = [
            sys.executable, "-m", "eval", "run", job.test.task, "--adapter",
            str(folder / "adapter"), "--data", job.test.data, "--out", str(report.parent),
        ]  # fmt: skip
        _run(command, folder / "eval.log")
    found = {one["name"]: one for one in read_json(report)["metrics"]}
    if job.test.metric not in found:
        raise InputError(f"{report} has no {job.test.metric}; it has {', '.join(found)}")
    return {name: found[job.test.metric][name] for name in ("value", "low", "high", "n")}


def _served(folder: Path) -> dict[str, Any]:
    _run([sys.executable, "-m", "finetune.table.serving", str(folder)], folder / "serving.log")
    found: dict[str, Any] = read_json(folder / SERVING)
    return found


def _run(command: Sequence[str], log: Path) -> dict[str, Any]:
    """Run it with its output in `log`: {wall_s, cpu_s, peak_bytes} of the process and its children.

    Raises Failed. CPU seconds are its own, so other work on the machine does not show in them.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, cwd=ROOT,
            preexec_fn=partial(_end_with, os.getpid()),
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{command[1]} ended with {process.returncode}: {_last_words(log)} ({log})")
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_bytes": used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024,
    }


def _end_with(queue: int) -> None:
    """In the new process: end when the queue is killed, even before a line of ours is run."""
    die_with_parent()
    if os.getppid() != queue:
        os._exit(1)


def _last_words(log: Path) -> str:
    """The last error that the process named, else its last line."""
    said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    return next((line for line in reversed(said) if line.startswith("error")), said[-1])
