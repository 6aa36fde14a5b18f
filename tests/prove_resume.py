"""kill -9 and --resume, over and over: a run in a process of its own that ends at a chosen moment.

Moments: by the clock; at a step's line in metrics.jsonl; within the write of a checkpoint, a torn
file among them; within the final save. All are drawn from a stated seed, those by the clock land
where the machine happens to be.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from app.core.files import read_json, sha256_file

SEED = 17
CASES: dict[str, dict[str, Any]] = {
    # dropout draws from the generators; accumulation joins batches; 14 rows leave a part of a step
    "classification": {"adapter__dropout": 0.2},
    "sft": {"adapter__dropout": 0.2},
    "early_stopping": {"loop__early_stopping": 2, "optim__lr": 1e-9, "loop__max_steps": 40},
    "full": {"adapter__method": "none", "optim__name": "sgd", "optim__lr": 1e-2},
    "l1_adadelta": {"optim__l1": 1e-3, "optim__name": "adadelta", "optim__lr": 0.5},
}
_LOOP = {"loop__max_steps": 14, "loop__device_batch": 2, "loop__eval_every": 2,
         "loop__save_every": 2}  # fmt: skip
_WRITES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"}


class Moment(NamedTuple):
    """When a run is killed."""

    where: str
    """clock; or part of the names of files in the run folder that are being written."""
    count: float
    """Seconds after the start; or the how-manieth write of such a file."""


def moment(rng: random.Random, number: int, times: int) -> Moment:
    """The kill `number` of `times`: by the clock, at a step, in a checkpoint; the last in the end.

    The last third falls into the final save, which only a run that came so far can be killed in.
    """
    if number >= times - times // 3:
        return Moment("run.json", 1) if number % 2 else Moment("/.adapter", rng.randint(1, 10))
    kind, bound = (("checkpoint-", 40), ("metrics.jsonl", 6), ("clock", 0))[number % 3]
    return Moment(kind, rng.randint(1, bound) if bound else rng.uniform(0.1, 2.0))


def proved(case: str, times: int, folder: Path, seed: int = SEED) -> dict[str, Any]:
    """Kill runs of `case` `times` times in all; how many ended unlike the uninterrupted one."""
    rng, killed, runs, unequal = random.Random(seed), 0, 0, 0
    whole = _config(case, folder, "whole")
    if not _end(_begin(whole, None), None):
        raise RuntimeError(whole.with_suffix(".log").read_text()[-2000:])
    expected = outcome(folder / "whole")
    while killed < times:
        runs, finished = runs + 1, False
        made = _config(case, folder, f"run-{runs}")
        while not finished:
            at = moment(rng, killed, times) if killed < times else None
            finished = _end(_begin(made, at), at)
            killed += not finished
        unequal += outcome(made.with_suffix("")) != expected
    return {"kills": killed, "runs": runs, "unequal": unequal, "steps": expected["steps"]}


def outcome(run: Path) -> dict[str, Any]:
    """What has to be the same, bit for bit."""
    record = read_json(run / "run.json")
    left = [p.name for p in run.rglob(".*") if p.name != ".lock"]
    return {
        "metrics": (run / "metrics.jsonl").read_text(),
        "adapter": sha256_file(run / "adapter" / "adapter_model.safetensors"),
        "fingerprints": sha256_file(run / "fingerprints.bin"),
        "left_over": left,
        **{key: record[key] for key in ("steps", "best_step", "dev", "calibration", "finished")},
    }


def attempt(config: Path, at: Moment | None) -> None:
    """In a child: train, and die at that moment."""
    log = os.open(config.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if at and at.where != "clock":
        _die_at(at, config.with_suffix(""))
    from finetune.train import main

    main(["--config", str(config), "--resume"])


def _die_at(at: Moment, folder: Path) -> None:
    """SIGKILL at that write: an audit hook sees all of Python's own writes."""
    import torch

    seen = 0
    save: Callable[..., None] = torch.save

    def due(path: object) -> bool:
        nonlocal seen
        if not str(path).startswith(str(folder)) or at.where not in str(path):
            return False
        if at.where == "run.json" and not (folder / "adapter").is_dir():
            return False  # between the adapter and the word that the run is finished
        seen += 1
        return seen == at.count

    def hook(event: str, args: tuple[Any, ...]) -> None:
        reads = event == "open" and not (isinstance(args[1], str) and set(args[1]) & set("wax+"))
        if event in _WRITES and not reads and due(args[0]):
            os.kill(os.getpid(), signal.SIGKILL)

    def torn(value: Any, path: Any, *rest: Any, **named: Any) -> None:
        save(value, path, *rest, **named)
        if due(path):
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = torn
    sys.addaudithook(hook)


def _begin(config: Path, at: Moment | None) -> Any:
    """The attempt in a child of a server that has imported the libraries once."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["finetune.engine", "finetune.tasks.classification",
                                    "finetune.tasks.sft", "tests.prove_resume"])  # fmt: skip
    child = context.Process(target=attempt, args=(config, at))
    child.start()
    return child


def _end(child: Any, at: Moment | None) -> bool:
    """Wait for it, or kill it by the clock; whether it had finished."""
    child.join(at.count if at and at.where == "clock" else 120)
    if child.is_alive():
        child.kill()
        child.join()
    if child.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"training ended with {child.exitcode}")
    return bool(child.exitcode == 0)


def _config(case: str, folder: Path, name: str) -> Path:
    from tests.helpers_models import tiny_bert, tiny_llama
    from tests.helpers_train import config_tree, conversations, reviews, written

    task = "sft" if case == "sft" else "classification"
    model = folder / ("llama" if task == "sft" else "bert")
    if not model.is_dir():
        (tiny_llama if task == "sft" else tiny_bert)(model)
    rows = folder / f"{task}.jsonl"
    if not rows.is_file():
        (conversations if task == "sft" else reviews)(rows, 14)
    tree = config_tree(task, model, rows, folder, **{**_LOOP, **CASES[case]})
    tree["run"]["name"] = name
    return written(folder / f"{name}.yaml", tree)


def resume(times: int) -> dict[str, Any]:
    """Each case with `times` kills."""
    import tempfile

    found = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            found[case] = proved(case, times, Path(folder))
            print(f"  {case}: {found[case]} in {time.monotonic() - start:.0f} s", flush=True)
    return found
