"""Where a result comes from: code, versions, machine, time."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from app.core.files import ROOT, sha256_files

_PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "trl", "tokenizers", "datasets",
    "numpy", "scipy", "scikit-learn", "bm25s", "gradio",
)  # fmt: skip


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git() -> dict[str, Any]:
    """Commit and whether the tree differs from it; {"commit": None} outside a repository."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain"))}


def machine() -> dict[str, Any]:
    """Processor, cores and memory; no host name."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages * size / 2**30, 1),
    }


def code_hash(*parts: str) -> str:
    """sha256 over Python, YAML and JSON files (fitted numbers) under `parts`, paths from the root.

    Example: code_hash("app/core", "app/models", "app/sentiment", "eval/tasks/sentiment.py").
    """
    files: list[Path] = []
    for part in parts:
        path = ROOT / part
        inside = [p for p in path.rglob("*") if p.suffix in (".py", ".yaml", ".json")]
        files += [path] if path.is_file() else inside
    return sha256_files([p for p in files if "__pycache__" not in p.parts])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
