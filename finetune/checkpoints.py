"""Checkpoints that are whole, or known not to be.

The Trainer writes a checkpoint's files one after the other into their final place. When all are
there, `whole.json` is written last: the sha256 of each, and of the run's config. So a folder
without it was cut short by a kill, and one that differs from it is broken or another run's.
Neither is gone on from; the one before is.
"""

# ruff: noqa: ARG002  (the Trainer passes all of them by position)

from __future__ import annotations

import errno
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import TrainerCallback
from transformers.trainer_pt_utils import safe_globals

from app.core.errors import AppError, InputError
from app.core.files import read_json, sha256_file, write_json
from finetune.runs import CONFIG, RunFolder

SEAL, STATE = "whole.json", "trainer_state.json"
KEPT = 2
"""Newest checkpoints that stay, beside the best on dev."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_SAID = ("PytorchStreamWriter", "inline_container", "iostream error", "No space left",
                 "os error 28", "os error 122", "os error 27")  # fmt: skip


class Checkpoints(TrainerCallback):
    """Seals each checkpoint once all processes have written theirs, then drops the oldest."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Find the best checkpoint where the run lies now: the Trainer kept the path it had."""
        if state.best_global_step:
            state.best_model_checkpoint = str(place(self.run.checkpoints, state.best_global_step))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called on all processes after each checkpoint."""
        if args.world_size > 1:
            torch.distributed.barrier()
        if state.is_world_process_zero:
            seal(place(self.run.checkpoints, state.global_step), self.run)
            drop_old(self.run.checkpoints, state.best_global_step)


def place(checkpoints: Path, step: int) -> Path:
    """The checkpoint after `step` steps."""
    return checkpoints / f"checkpoint-{step}"


def seal(folder: Path, run: RunFolder) -> None:
    """Say that the checkpoint in `folder` is whole, and what it is made of."""
    (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing reads
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    write_json(folder / SEAL, {"config": sha256_file(run.path / CONFIG), "files": sums})


def drop_old(checkpoints: Path, best: int | None) -> None:
    """Remove all but the newest KEPT whole checkpoints and the best."""
    kept = [path for path in _by_step(checkpoints) if (path / SEAL).is_file()][-KEPT:]
    kept += [place(checkpoints, best)] if best else []
    for path in _by_step(checkpoints):
        if path not in kept:
            _remove(path)


def newest(run: RunFolder) -> Path | None:
    """The newest checkpoint to go on from; None where the run was killed before its first.

    Later ones that are broken are named on the way, and removed. Raises InputError where all are
    broken, and removes none.
    """
    config = sha256_file(run.path / CONFIG)
    passed: list[tuple[Path, str]] = []
    for folder in reversed(_by_step(run.checkpoints)):
        found = fault(folder, config) or _fault_of_best(folder, config)
        if found is None:
            _say(passed, f"going on from {folder.name}")
            return folder
        passed.append((folder, found))
    broken = [f"{folder.name} {found}" for folder, found in passed if (folder / SEAL).is_file()]
    if broken:
        raise InputError(
            f"--resume: no checkpoint in {run.checkpoints} can be gone on from "
            f"({'; '.join(broken)}): put a copy back, or train anew with --set run.name=OTHER"
        )
    _say(passed, "beginning anew")
    return None


def fault(folder: Path, config: str) -> str | None:
    """What is wrong with a checkpoint of the run whose config has the sha256 `config`; else None.

    Its pickles are opened as tensors and plain values only: nothing in them is ever executed.
    """
    if not (folder / SEAL).is_file():
        return "was cut short"
    try:
        record = read_json(folder / SEAL)
        if record["config"] != config:
            return "was made with another config"
        for name, sha256 in record["files"].items():
            if not (folder / name).is_file():
                return f"lacks {name}"
            if sha256_file(folder / name) != sha256:
                return f"has another {name} than was written"
    except (AppError, KeyError, TypeError, AttributeError):
        return f"has a {SEAL} that cannot be read"
    pickles = [path for path in folder.iterdir() if path.suffix in (".pt", ".pth", ".bin")]
    unsafe = [path.name for path in pickles if not _tensors_only(path)]
    return f"holds more than tensors in {unsafe[0]}, which is never loaded" if unsafe else None


def _fault_of_best(folder: Path, config: str) -> str | None:
    """The best checkpoint so far is loaded when the run ends, so it has to be whole too."""
    best = read_json(folder / STATE).get("best_global_step")
    if not best or place(folder.parent, best) == folder:
        return None
    kept = place(folder.parent, best)
    found = fault(kept, config) if kept.is_dir() else "is gone"
    return f"needs {kept.name}, the best on dev, which {found}" if found else None


def _tensors_only(path: Path) -> bool:
    try:
        with safe_globals():  # type: ignore[no-untyped-call]
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        return False
    return True


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """Raise InputError where a write of the run in `folder` fails for want of room.

    What was half written is removed, so that the last whole checkpoint has room beside it.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _no_room(error):
            raise
        found = _by_step(folder / "checkpoints")
        whole = [path.name for path in found if (path / SEAL).is_file()]
        for path in found:
            if path.name not in whole:
                _remove(path)
        kept = f"{whole[-1]} is whole" if whole else "there was no checkpoint yet"
        raise InputError(
            f"no room left to write in {folder} ({shutil.disk_usage(folder).free >> 20} MB free); "
            f"{kept}: make room, or raise the quota, and go on with --resume"
        ) from error


def _no_room(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return any(words in str(error) for words in _NO_ROOM_SAID)


def _by_step(checkpoints: Path) -> list[Path]:
    found = [path for path in checkpoints.glob("checkpoint-*") if path.name[11:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[11:]))


def _remove(folder: Path) -> None:
    (folder / SEAL).unlink(missing_ok=True)  # first: a kill in between leaves no broken one
    shutil.rmtree(folder, ignore_errors=True)


def _say(passed: list[tuple[Path, str]], then: str) -> None:
    for folder, found in passed:
        print(f"--resume: {folder.name} {found}; {then}", flush=True)
        _remove(folder)
