"""The run folder `runs/<name>/`: opened for one writer at a time, never overwritten once finished.

config.yaml       the resolved config; the run is repeated from it
run.json          what it was made of and what came out; "finished": true at the very end
fingerprints.bin  hashes of user texts and answers it learnt from
metrics.jsonl     one line a log or look at dev
adapter/          adapter_model.safetensors, adapter_config.json, README.md
checkpoints/      for --resume; they hold pickles: never published, never loaded from elsewhere
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from app.core import config as configs
from app.core.errors import InputError
from app.core.files import read_json, writable, write_json, write_jsonl
from app.core.provenance import git, machine, now, versions
from finetune.config import TrainConfig

CONFIG, RECORD, METRICS = "config.yaml", "run.json", "metrics.jsonl"
_WRITTEN = (CONFIG, RECORD, METRICS, "fingerprints.bin", "curves.png")
_PLACE = {"epoch", "step"}
_TIMING = ("_runtime", "_per_second", "total_flos", "num_tokens", "train_loss")


class RunFolder:
    """A run folder; only the main process has it to write in."""

    def __init__(self, path: Path, record: dict[str, Any], *, ours: bool) -> None:
        self.path = path
        self.record = record
        self._ours = ours

    def for_reading(self) -> RunFolder:
        """The same for a process beside the main one, which writes nothing."""
        return RunFolder(self.path, self.record, ours=False)

    @property
    def checkpoints(self) -> Path:
        """Where the trainer keeps its checkpoints."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The trained adapter."""
        return self.path / "adapter"

    def update(self, **values: Any) -> None:
        """Add `values` to run.json, atomically."""
        self.record |= values
        if self._ours:
            write_json(self.path / RECORD, self.record)

    def log(self, history: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl anew, atomically."""
        if self._ours:
            write_jsonl(self.path / METRICS, [kept for row in history if (kept := _lasting(row))])

    def log_more(self, row: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl, in one write."""
        kept = _lasting(row)
        if self._ours and kept:
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(kept) + "\n")


@contextmanager
def open_run(config: TrainConfig, *, resume: bool) -> Iterator[RunFolder]:
    """Take the run folder of `config`, or go on in it; nobody else can while the block lasts.

    Raises InputError for a folder that is running, finished, half done without `resume`, made with
    another config, or not writable.
    """
    folder = config.folder
    with (writable(folder) / ".lock").open("a") as lock:
        _take(lock, folder)
        record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
        _refuse(folder, record, resume)
        _sweep(folder)
        if resume and (folder / CONFIG).is_file():
            _same_config(config, folder / CONFIG)  # left as it is: checkpoints name its sha256
        else:
            configs.save(config, folder / CONFIG)
        if not resume or not record:
            record = {"task": config.task, "seed": config.run.seed, "started": now()}
        run = RunFolder(folder, record, ours=True)
        run.update(finished=False, git=git(), versions=versions(), machine=machine())
        yield run


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    """`row` without what a resumed run counts from its resumption; {} where nothing is left.

    Keys are sorted, as they are in the Trainer's own file, where a resumed run finds them.
    """
    kept = {key: value for key, value in sorted(row.items()) if not key.endswith(_TIMING)}
    return kept if kept.keys() > _PLACE else {}


def _take(lock: TextIO, folder: Path) -> None:
    """Lock the file; the lock goes with the process, however that ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError(
            f"{folder} is being written by another run; wait for it, or train beside it with "
            f"--set run.name=OTHER"
        ) from error


def _sweep(folder: Path) -> None:
    """Remove what a killed run had not finished writing; we hold the lock."""
    shutil.rmtree(folder / ".adapter", ignore_errors=True)
    for name in _WRITTEN:
        for path in folder.glob(f".{name}.*"):  # as app.core.files.atomic_path names them
            path.unlink()


def _refuse(folder: Path, record: dict[str, Any], resume: bool) -> None:
    if record.get("finished"):
        raise InputError(
            f"{folder} holds a finished run; train beside it with --set run.name=OTHER "
            f"(or run.name={{time}}), or remove the folder"
        )
    begun = any((folder / "checkpoints").glob("checkpoint-*"))
    if begun and not resume:
        raise InputError(
            f"{folder} holds a run that was stopped; go on with it by --resume, or train beside it "
            f"with --set run.name=OTHER"
        )


def _same_config(config: TrainConfig, path: Path) -> None:
    saved = configs.load(TrainConfig, path)
    if saved == config:
        return
    now_, then = _flat(config.model_dump(mode="json")), _flat(saved.model_dump(mode="json"))
    changed = [
        f"{key} was {then[key]!r}, is {now_[key]!r}" for key in then if then[key] != now_[key]
    ]
    raise InputError(
        f"--resume: {path} was made with another config ({'; '.join(changed)}); resume with "
        f"--config {path}, or train anew with --set run.name=OTHER"
    )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict) and key != "columns"
        flat |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat
