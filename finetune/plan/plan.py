"""The plan of a run: what was counted and timed in a probe, put together for the whole run.

{"task", "model", "method", "machine", "parameters", "data", "memory", "work", "time", "cost",
"advice"}; in bytes, FLOPs, seconds.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from app.core.brief import Limits
from app.core.provenance import machine
from app.models.dtype import matmul_rate
from finetune.config import TrainConfig
from finetune.plan import timing
from finetune.plan.advice import Wanted, advise
from finetune.plan.costs import flops, memory
from finetune.plan.probe import Probe, Rounds, probe
from finetune.table.lines import TABLE, read


class Terms(NamedTuple):
    """What the plan may take and has to keep to."""

    limits: Limits
    budget_s: float = 60.0
    """Seconds of steps that the probe takes."""
    price_per_hour: float | None = None
    max_hours: float | None = None
    table: Path = TABLE


def plan(config: TrainConfig, terms: Terms) -> dict[str, Any]:
    """Probe the job of `config` on this machine and say what the whole run takes; writes nothing.

    Raises AppErrors for bad input, as the run would.
    """
    found, price = probe(config, terms.budget_s), terms.price_per_hour
    steps = total_steps(config, found.train)
    times = _times(config, found, steps)
    hours = times["whole"]["value"] / 3600
    work, data = _work(config, found, steps), _data(found, steps)
    return {
        "task": config.task,
        "model": config.model.path,
        "method": config.adapter.method,
        "machine": machine(),
        "parameters": {"trained": found.shape.trained, "total": found.shape.total},
        "data": data,
        "memory": _memory(config, found),
        "work": work,
        "time": times,
        "cost": {"price_per_hour": price, "run": None if price is None else hours * price},
        "advice": _advice(config, data, terms),
    }


def total_steps(config: TrainConfig, train: Rounds) -> int:
    """Optimiser steps of the whole run, as the Trainer counts them; early stopping may end it."""
    return config.loop.max_steps or max(1, math.ceil((config.loop.epochs or 1) * train.steps))


def passes(config: TrainConfig) -> int:
    """How often a row goes through the model in a step."""
    return 2 if config.optim.rdrop else 1


def _advice(config: TrainConfig, data: dict[str, Any], terms: Terms) -> dict[str, Any]:
    lines = read(terms.table)
    there = [line["serving"]["fp32_flops_per_second"] for line in lines if line.get("serving")]
    speed = sum(there) / len(there) / matmul_rate("float32") if there else 1.0
    price, hours = terms.price_per_hour, terms.max_hours
    wanted = Wanted(config.task, data["labels"], data["rows"], terms.limits, price, hours, speed)
    return advise(lines, wanted)


def _data(found: Probe, steps: int) -> dict[str, Any]:
    train, epochs = found.train, steps / found.train.steps
    return {
        "rows": round(train.rows),
        "labels": len(found.labels),
        "steps": steps,
        "epochs": round(epochs, 2),
        "tokens": round(train.tokens * epochs),
        "frozen_dtype": found.dtype,
    }


def _memory(config: TrainConfig, found: Probe) -> dict[str, int]:
    optim, largest = config.optim, found.train.largest
    parts = memory(found.shape, largest, optim.name, optim.momentum, passes(config))
    return {
        **parts._asdict(),
        "formula": parts.total,
        "measured_peak": found.peak,
        "before_model": found.before,
    }


def _work(config: TrainConfig, found: Probe, steps: int) -> dict[str, Any]:
    """FLOPs of training, and the share of the matmul rate that the probe reached."""
    train, epochs = found.train, steps / found.train.steps
    whole = flops(found.shape, train.tokens * epochs, train.pairs * epochs, passes(config))
    seconds = float(timing.seconds(found.timed, steps, train.tokens * epochs)[0])
    rate, best = whole / seconds, matmul_rate(found.dtype)
    return {
        "flops": whole,
        "flops_per_second": rate,
        "matmul_flops_per_second": best,
        "share_of_matmul": rate / best,
    }


def _times(config: TrainConfig, found: Probe, steps: int) -> dict[str, Any]:
    """Seconds: `run` is what run.json will call seconds; `whole` has loading and the last look."""
    train, dev, epochs = found.train, found.dev, steps / found.train.steps
    looks = math.ceil(steps / config.loop.eval_every) if dev else 0
    training = timing.seconds(found.timed, steps, train.tokens * epochs) + train.seconds * epochs
    look = timing.seconds(found.timed_dev, dev.steps if dev else 0, dev.tokens if dev else 0)
    look = look + (dev.seconds if dev else 0.0)
    saving = math.ceil(steps / config.loop.save_every) * found.save_s
    run = training + looks * look + saving
    return {
        "run": timing.estimate(run)._asdict(),
        "whole": timing.estimate(run + look + found.build_s)._asdict(),
        "training": float(training[0]),
        "dev": {"looks": looks, "each": float(look[0])},
        "saving": saving,
        "loading": found.build_s,
        "probed_steps": len(found.timed),
    }
