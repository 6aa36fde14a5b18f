"""Which dtype is fastest on the machine at hand: a one-second probe, remembered, not a guess.

bf16 is several times faster than fp32 on processors with AMX or AVX512-BF16 and hundreds of times
slower on AVX2 alone, when a text is read; writing token by token, a matrix times a vector, asks the
memory instead, where bf16 is half as much to fetch.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.nn.functional import linear

from app.core.provenance import machine
from app.core.release import Engine
from app.models.memory import remembered

log = logging.getLogger(__name__)
Workload = Literal["encode", "decode"]
DTYPES = ("float32", "bfloat16")
FP32 = Engine(engine="transformers", dtype="float32")
"""Always allowed: it is what is evaluated."""

# Rows, width in, width out: a batch of short texts; one token, weights larger than the cache.
_SHAPES = {"encode": (512, 512, 512), "decode": (1, 4096, 8192)}
_SPEND_S = 0.4
READ_FOR_A_TOKEN_WRITTEN = 8
"""Prompt tokens for a token of the answer in the help desk's chat: about 350 to 45."""


def device() -> str:
    """cuda or mps (or another accelerator that torch knows) where there is one, else cpu."""
    if torch.accelerator.is_available():
        accelerator = torch.accelerator.current_accelerator()
        return accelerator.type if accelerator else "cpu"
    return "cpu"


@functools.lru_cache(maxsize=1)
def probe() -> dict[str, Any]:
    """{"key", "encode": {dtype: ns}, "decode": {dtype: ns}}: time for a multiplication in each.

    Remembered in cache_dir()/probe.json by processor, torch version, threads and the variables that
    narrow the instruction set; a change of any measures anew.
    """
    key = machine_key()
    found = remembered("probe.json", key, lambda: {w: _measure(*s) for w, s in _SHAPES.items()})
    log.info("dtype probe of %s: %s", key, found)
    return {"key": key, **found}


def choose(engines: Sequence[Engine], workload: Workload = "encode") -> str:
    """The fastest dtype for `workload` among the pairs listed for transformers, and fp32.

    `decode` is a chat: for each token that is written, several are read in one go.
    """
    listed = {e.dtype for e in (*engines, FP32) if e.engine == FP32.engine}
    found = probe()

    def cost(dtype: str) -> float:
        read, written = float(found["encode"][dtype]), float(found["decode"][dtype])
        return read if workload == "encode" else written + READ_FOR_A_TOKEN_WRITTEN * read

    return min((dtype for dtype in DTYPES if dtype in listed), key=cost)


def matmul_rate(dtype: str) -> float:
    """Floating-point operations a second in this machine's matrix products, as probed."""
    return 2e9 / float(probe()["encode"][dtype])


def machine_key() -> str:
    """What a measured speed holds for: processor, torch version, threads, narrowed instructions."""
    kind = device()
    name = torch.cuda.get_device_name() if kind == "cuda" else machine()["processor"]
    narrowed = [
        f"{variable}={os.environ[variable]}"
        for variable in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")
        if variable in os.environ
    ]
    return "|".join(
        [
            kind,
            str(name),
            f"torch {torch.__version__}",
            f"threads={torch.get_num_threads()}",
            *narrowed,
        ]
    )


def _measure(rows: int, width_in: int, width_out: int) -> dict[str, float]:
    """Nanoseconds for a multiplication in (rows, in) x (in, out), by dtype.

    The dtypes take turns and the best product counts, so that other work here weighs on neither.
    """
    pairs = {name: _operands(rows, width_in, width_out, getattr(torch, name)) for name in DTYPES}
    best = dict.fromkeys(DTYPES, float("inf"))
    for pair in pairs.values():
        _seconds(*pair)  # the first call sets kernels up
    began = time.perf_counter()
    while time.perf_counter() - began < _SPEND_S:
        best = {name: min(best[name], _seconds(*pair)) for name, pair in pairs.items()}
    return {name: seconds * 1e9 / (rows * width_in * width_out) for name, seconds in best.items()}


def _operands(rows: int, width_in: int, width_out: int, dtype: torch.dtype) -> list[torch.Tensor]:
    shapes = ((rows, width_in), (width_out, width_in))
    return [torch.ones(*shape, dtype=dtype, device=device()) for shape in shapes]


@torch.inference_mode()
def _seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
    began = time.perf_counter()
    linear(x, weight)
    if x.device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - began
