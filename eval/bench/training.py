"""What the two training benches share: the product's run as a process, and its speed.

The product trains as a team runs it, `python finetune/train.py`, in a process of its own; the peers
in this one. Timed is `Trainer.train()` alone, in all arms: no loading, no tokenising, no look at
dev, no checkpoint before the end.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from app.core.errors import AppError
from app.core.files import ROOT, read_json
from eval.bench.base import Measure, Outcome

MEASURES = (Measure("train", "1/s", True), Measure("matmul", "share", True))
"""Units of work a second; the share of the machine's measured matmul rate that this is."""
RANK, ALPHA = 16, 32
LINEAR_PASSES = 2
"""Forward, and backward through frozen weights: two multiply-adds a weight and token."""


class Job(NamedTuple):
    """What all arms train."""

    folder: Path
    """The base's weights."""
    file: Path
    """Training rows, as the product reads them."""
    units: int
    """Of work, over all epochs: examples, or tokens that carry loss."""
    tokens: int
    """Over all epochs, without padding."""
    weights: int
    """Of the base's linear layers that every token passes."""
    dtype: str
    """Of the frozen weights: the one that the probe chose for the product."""
    rate: float
    """FLOP/s of a large product in that dtype, measured before the first run."""


def outcome(job: Job, seconds: float, scores: Sequence[float]) -> Outcome:
    """Speeds from the seconds of one run."""
    flops = LINEAR_PASSES * 2 * job.weights * job.tokens
    return Outcome({"train": job.units / seconds, "matmul": flops / seconds / job.rate}, scores)


def product(
    job: Job, config: Mapping[str, Any], quality: Callable[[Path], Sequence[float]]
) -> Outcome:
    """One run of finetune/train.py by `config`. Raises AppError with its last lines if it fails."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-train-") as place:
        out = Path(place)
        file = out / "config.yaml"
        file.write_text(yaml.safe_dump({**config, "run": {"name": "run", "out_dir": place}}))
        command = [sys.executable, str(ROOT / "finetune" / "train.py"), "--config", str(file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise AppError(f"finetune/train.py ended with {done.returncode}: {done.stderr[-600:]}")
        record = read_json(out / "run" / "run.json")
        return outcome(job, record["seconds"], quality(out / "run" / "adapter"))


def matmul_rate(dtype: str, size: int = 2048, times: int = 8) -> float:
    """FLOP/s of (size, size) x (size, size) in `dtype`: the best of `times`."""
    import torch

    one, two = (torch.ones(size, size, dtype=getattr(torch, dtype)) for _ in range(2))
    best = math.inf
    for _ in range(times):
        began = time.perf_counter()
        torch.mm(one, two)
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def on_cpu() -> bool:
    """Whether this machine trains on its CPU: what the peers have to be told."""
    from app.models.dtype import device

    return device() == "cpu"


def linear_weights(model: Any) -> int:
    """Weights of the linear layers of `model` (before any adapter), its vocabulary's head apart."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    out = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    layers = [m for m in model.modules() if isinstance(m, (nn.Linear, Conv1D)) and m is not out]
    return sum(layer.weight.numel() for layer in layers)
