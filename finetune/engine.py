"""One run from config to adapter. Heavy imports: called by train.py once the arguments are read."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import set_seed
from datasets import disable_progress_bars

from app.core import config as configs
from app.core import fingerprints
from app.core.errors import InputError, Mismatch
from app.core.files import write_text
from app.core.provenance import now
from app.models import adapters
from app.models.dtype import device
from finetune.attention import plain_products
from finetune.callbacks import equip
from finetune.checkpoints import Checkpoints, newest, room
from finetune.config import TrainConfig, accumulation, named, stamp
from finetune.doctor import before as doctor
from finetune.fused import fuse
from finetune.job import Job, Order, data_record, learnt_before
from finetune.launcher import Stop, by_main, check_processes, check_sharding, free_threads
from finetune.methods import check as check_method
from finetune.runs import RunFolder, open_run
from finetune.tasks import TASKS
from finetune.tracking import ready as tracker_ready
from finetune.tracking import track
from finetune.trainer import minimise

_CARD = """---
base_model: {base.ref}
base_model_relation: {relation}
library_name: {library}
---

# {name}

{what} ({card.kind}) for {base.ref} ({base.file}, sha256 {base.sha256}).
Prompt {card.prompt_version}; labels: {labels}.

Learnt from and chosen on:
{data}

Its settings are in config.yaml of the run, its results in run.json and in the report beside it.
"""
_METHODS = {
    "lora": ("LoRA adapter", "adapter", "peft"),
    "head": ("Head alone", "adapter", "frontdesk"),
    "none": ("All weights, fine-tuned,", "finetune", "frontdesk"),
}
"""What the card says was trained: its name, its relation to the base, who loads it."""


def train(config: TrainConfig, *, resume: bool, stop: Stop) -> None:
    """Train, measure on dev, save. Ends with SystemExit(128 + signal) where `stop` came.

    Raises AppErrors for everything that the user can put right.
    """
    check_method(config)
    state = PartialState(cpu=device() == "cpu")
    check_processes(state.num_processes)
    check_sharding()
    free_threads()
    accumulate = accumulation(config.loop, state.num_processes)
    config = _named(config, resume)
    tracker_ready(config.run.tracker, config.folder)
    main = state.is_main_process
    with ExitStack() as stack:
        stack.enter_context(room(config.folder))
        run = by_main(lambda: stack.enter_context(open_run(config, resume=resume)))
        run = run if main else run.for_reading()
        if main:
            print(f"{configs.dump(config)}run folder: {config.folder}", flush=True)
        checkpoint = by_main(lambda: newest(run) if resume else None)
        _same_data(run, data_record([*config.data.learnt_from, *config.data.dev]))
        _same_processes(run, state.num_processes)
        by_main(lambda: doctor.check(config, run))
        job = prepare(Order(config, run, accumulate))
        track(job.trainer, config.run.tracker, run)
        _describe(job, run, {"processes": state.num_processes, "accumulated": accumulate})
        _fit(job, run, stop, checkpoint)
        _finish(job, run, config)
        if main:
            _say(run)


def prepare(order: Order) -> Job:
    """The job as it is trained: what a plan times is what a run does."""
    disable_progress_bars()  # TRL's, a bar for each thing it does to a few hundred rows
    set_seed(order.config.run.seed)  # the head and the adapter are made before the Trainer sets it
    job = TASKS[order.config.task](order)
    minimise(job.trainer, order.config)
    job.record["fused_layers"] = fuse(job.trainer.model)
    return job


def _describe(job: Job, run: RunFolder, batch: dict[str, int]) -> None:
    """Write down what is known before the first step."""
    trainable, total = _parameters(job.trainer.model)
    run.update(
        base=job.card.base.model_dump(mode="json", exclude_none=True),
        prompt_version=job.card.prompt_version,
        labels=job.card.labels,
        parameters={"trainable": trainable, "total": total},
        batch=batch,
        **job.record,
    )


def _named(config: TrainConfig, resume: bool) -> TrainConfig:
    if "{time}" in config.run.name and resume:
        raise InputError(
            "--resume: run.name holds {time}, so it names no run; "
            "resume with --config runs/NAME/config.yaml"
        )
    return named(config, by_main(stamp))


def _same_data(run: RunFolder, found: dict[str, str]) -> None:
    """Record the sha256 of each data reference; refuse to resume on other bytes."""
    known = run.record.get("data", {})
    changed = [ref for ref in found if ref in known and known[ref] != found[ref]]
    if changed:
        raise Mismatch(
            f"--resume: {', '.join(changed)} changed since the run began; put the data back, or "
            f"train anew with --set run.name=OTHER"
        )
    run.update(data=found)


def _same_processes(run: RunFolder, came_up: int) -> None:
    before = run.record.get("batch", {}).get("processes", came_up)
    if before != came_up:
        print(
            f"--resume: begun by {before} processes, gone on with by {came_up}: the rows of a step "
            f"stay the same, dropout and the last digits of the loss do not",
            flush=True,
        )


def _fit(job: Job, run: RunFolder, stop: Stop, checkpoint: Path | None) -> None:
    equip(job.trainer, run, stop)
    job.trainer.add_callback(Checkpoints(run))
    began, before = time.monotonic(), float(run.record.get("seconds", 0.0))
    stop.listen()
    with plain_products(device()):
        result = job.trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    run.update(seconds=round(before + time.monotonic() - began, 1), steps=result.global_step)
    if stop.signal is not None and result.global_step < job.trainer.state.max_steps:
        print(f"stopped after step {result.global_step}; go on with --resume", flush=True)
        raise SystemExit(128 + stop.signal)


def _finish(job: Job, run: RunFolder, config: TrainConfig) -> None:
    """Measure, then write fingerprints, adapter and the last record, in this order."""
    measured = job.measure()
    main = job.trainer.is_world_process_zero()
    spread = adapters.gathered(job.trainer.model, keep=main)
    if not main:
        return
    before = learnt_before(config.adapter)
    fingerprints.write(run.path / fingerprints.FILE, job.learnt, before)
    sha256 = _save_adapter(job, run, spread)
    best = job.trainer.state.best_global_step
    run.update(**measured, best_step=best, adapter_sha256=sha256, finished_at=now(), finished=True)


def _save_adapter(job: Job, run: RunFolder, spread: dict[str, Any] | None) -> str:
    """Write the adapter beside its place and move it there whole; returns its sha256."""
    temporary = run.path / ".adapter"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(run.adapter, ignore_errors=True)
    temporary.mkdir()
    model = job.trainer.accelerator.unwrap_model(job.trainer.model)
    sha256 = adapters.save(model, temporary, job.card, spread)
    write_text(temporary / "README.md", _card(job, run, temporary))
    temporary.rename(run.adapter)
    return sha256


def _card(job: Job, run: RunFolder, folder: Path) -> str:
    """A short model card in the form of the Hub, for the adapter in `folder`."""
    base = job.card.base
    what, relation, library = _METHODS[adapters.method(folder)]
    return _CARD.format(
        what=what,
        relation=relation,
        library=library,
        base=base,
        name=run.path.name,
        card=job.card,
        labels=", ".join(job.card.labels or ["none"]),
        data="\n".join(f"- `{ref}` (sha256 {h[:12]})" for ref, h in run.record["data"].items()),
    )


def _parameters(model: Any) -> tuple[int, int]:
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in counts if trained), sum(n for n, _ in counts)


def _say(run: RunFolder) -> None:
    dev = run.record.get("dev") or {}
    found = ", ".join(f"{key} {value:.4g}" for key, value in dev.items()) or "no dev data"
    minutes = run.record["seconds"] / 60
    print(f"done in {minutes:.1f} min: dev {found}; adapter in {run.adapter}", flush=True)
