"""The machine as it is, and the same machine held to AVX2, the least that a rented CPU has.

The variables are read once, when torch is imported: they are set for a process of its own.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import NamedTuple

from app.core.errors import InputError


class Setting(NamedTuple):
    """What a run is told of its processor."""

    name: str
    suffix: str
    """Of its metrics' names."""
    environment: Mapping[str, str]


NATIVE = Setting("native", "", {})
AVX2 = Setting(
    "avx2",
    "_avx2",
    {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
)
SETTINGS = {setting.name: setting for setting in (NATIVE, AVX2)}
TOLD = (*AVX2.environment, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY")
"""Variables that change speed; a record states those that are set."""


def possible() -> tuple[list[Setting], list[str]]:
    """The settings that this machine can have, and a sentence for each that it cannot."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        return [NATIVE, AVX2], []
    return [NATIVE], [f"avx2: {platform.machine()} has no such instructions"]


def told() -> dict[str, str]:
    """Those of TOLD that are set in this process."""
    return {name: os.environ[name] for name in TOLD if name in os.environ}


def capability(setting: Setting) -> str:
    """What torch says that it uses. Raises InputError where it is not what `setting` asks for."""
    import torch

    found = torch.backends.cpu.get_cpu_capability()
    if setting is AVX2 and found != "AVX2":
        raise InputError(
            f"the run on AVX2 uses {found}: expected torch to keep to ATEN_CPU_CAPABILITY=avx2, "
            "which has to be set before torch is imported"
        )
    return found
