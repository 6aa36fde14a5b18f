"""What a task hands to the engine: a Trainer that is ready, and what to write down about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from app.core import data, fingerprints
from app.core.config import parse
from app.core.errors import ConfigError
from app.core.files import read_json, release_dir
from app.core.release import ADAPTER_FILE, Calibration
from app.models import adapters, references
from app.models.weights import Weights
from finetune.config import Adapter, TrainConfig
from finetune.runs import RunFolder


class Order(NamedTuple):
    """What a task is given."""

    config: TrainConfig
    run: RunFolder
    accumulate: int
    """Batches for one optimiser step, on each process."""


@dataclass
class Job:
    """A run that is ready to start."""

    trainer: Any
    """A transformers.Trainer over a PeftModel."""
    card: adapters.Card
    """Goes into the adapter's file."""
    learnt: list[str]
    """User texts and answers of the training rows: their fingerprints are kept."""
    measure: Callable[[], dict[str, Any]]
    """Called after training: {"calibration": {...}, "dev": {metric: value}} for run.json."""
    record: dict[str, Any] = field(default_factory=dict)
    """For run.json from the start: rows read, used and left out, dtype, ..."""


def base_weights(config: TrainConfig, run: RunFolder) -> Weights:
    """The frozen base: that of the run being resumed, of the adapter gone on from, else by name."""
    known = run.record.get("base", {}).get("sha256")
    start = start_folder(config.adapter)
    if known is None and start is not None:
        known = adapters.read_card(adapter_folder(start)).base.sha256
    return references.resolve(config.model.path, sha256=known)


def start_folder(adapter: Adapter) -> Path | None:
    """The release or run folder to go on from; None where the run starts afresh."""
    scheme, colon, feature = (adapter.init_from or "").partition(":")
    if scheme == "release" and colon:
        return release_dir() / feature
    return Path(adapter.init_from) if adapter.init_from else None


def adapter_folder(path: Path) -> Path:
    """The adapter in a run folder or a release folder."""
    return path / "adapter" if (path / "adapter" / ADAPTER_FILE).is_file() else path


def starting_card(adapter: Adapter, weights: Weights, prompt_version: str) -> adapters.Card | None:
    """The card of the adapter to go on from, checked; None where the run starts afresh.

    Raises NotFound (no adapter), Mismatch (another base or prompt), ConfigError (another method,
    rank or scale: they go on as they were).
    """
    start = start_folder(adapter)
    if start is None:
        return None
    folder = adapter_folder(start)
    card = adapters.read_card(folder)
    adapters.check(card, weights, prompt_version)
    _same_shape(adapter, folder)
    return card


def _same_shape(adapter: Adapter, folder: Path) -> None:
    asked: dict[str, Any] = {"method": {"qlora": "lora"}.get(adapter.method, adapter.method)}
    found: dict[str, Any] = {"method": adapters.method(folder)}
    if found["method"] == "lora":
        saved = read_json(folder / adapters.CONFIG_FILE)
        asked |= {"rank": adapter.rank, "alpha": adapter.alpha, "rslora": adapter.rslora}
        found |= {"rank": saved["r"], "alpha": saved["lora_alpha"], "rslora": saved["use_rslora"]}
    for name, value in found.items():
        if asked[name] != value:
            raise ConfigError(
                f"adapter.{name} is {asked[name]}, but {folder} was trained with {value}: set "
                f"adapter.{name}={str(value).lower()}"
            )


def learnt_before(adapter: Adapter) -> frozenset[int]:
    """Fingerprints of what the adapter to go on from had learnt; empty where there is none."""
    start = start_folder(adapter)
    file = start / fingerprints.FILE if start else None
    return fingerprints.read(file) if file and file.is_file() else frozenset()


def data_record(refs: Sequence[str]) -> dict[str, str]:
    """sha256 of each data reference."""
    return {ref: data.sha256_of(ref) for ref in refs}


def starting_calibration(adapter: Adapter) -> Calibration:
    """That of the adapter to go on from (its release.json or run.json); the neutral one without."""
    start = start_folder(adapter)
    for name in ("release.json", "run.json"):
        if start is not None and (start / name).is_file():
            return parse(Calibration, read_json(start / name)["calibration"], str(start / name))
    return Calibration(temperature=1.0)
