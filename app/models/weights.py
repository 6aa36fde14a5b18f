"""Weights on disk: what they are (sha256 of the file as shipped), where they lie, who had them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.core.errors import InputError, Mismatch
from app.core.files import read_json, sha256_file, sha256_text
from app.core.release import Base
from app.models.memory import remembered

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
STAMP = "unpacked.json"
"""Lies in a folder of unpacked weights: {file, sha256, unpacker} as shipped, unpacked_sha256."""


@dataclass(frozen=True)
class Weights:
    """Weights that can be loaded now."""

    ref: str
    """The model reference that was asked for, without its revision."""
    folder: Path
    """Loadable by transformers: config.json, tokenizer, safetensors."""
    source: str
    """folder, cache, hub, or package <name>==<version>; `code` for scripted."""
    file: str
    """Name of the weights file as shipped."""
    sha256: str
    """Of that file; of a sharded model, see `shipped_sha256`."""
    unpacker: str | None = None
    """For GGUF, what unpacked it."""
    kind: Literal["scripted", "transformers"] = "transformers"

    def record(self) -> Base:
        """What run and release records keep of it."""
        return Base(
            ref=self.ref,
            source=self.source,
            file=self.file,
            sha256=self.sha256,
            unpacker=self.unpacker,
        )


def from_folder(ref: str, folder: Path, source: str) -> Weights:
    """The weights in `folder`; unpacked ones go by the file that they were unpacked from.

    Raises InputError where it holds none that we would load, Mismatch where unpacked ones changed.
    """
    file = shipped_file(folder)
    sha256 = shipped_sha256(file)
    if not (folder / STAMP).is_file():
        return Weights(ref, folder, source, file.name, sha256)
    stamp = read_json(folder / STAMP)
    if stamp["unpacked_sha256"] != sha256:
        raise Mismatch(
            f"{file} has sha256 {sha256}, {STAMP} beside it says {stamp['unpacked_sha256']}: "
            f"restore the folder, or make it again"
        )
    return Weights(ref, folder, source, stamp["file"], stamp["sha256"], stamp["unpacker"])


def shipped_file(folder: Path) -> Path:
    """model.safetensors, or the index of a sharded model. Raises InputError where there is neither.

    Pickled weights (.bin, .pt) are never loaded, since reading them can run code.
    """
    if not (folder / "config.json").is_file():
        hint = ""
        if (folder / "adapter_config.json").is_file():
            hint = "; it is an adapter: pass it with --adapter, beside its base model"
        raise InputError(f"{folder} is not a model folder: expected config.json{hint}")
    for name in (SINGLE, INDEX):
        if (folder / name).is_file():
            return folder / name
    pickled = sorted(p.name for p in folder.glob("*") if p.suffix in (".bin", ".pt", ".pth"))
    found = f"found {', '.join(pickled)}, which is pickled and never loaded" if pickled else "none"
    raise InputError(
        f"{folder}: expected {SINGLE} (or {INDEX}), {found}; save the model again with "
        f"transformers, which writes safetensors"
    )


def shipped_sha256(file: Path) -> str:
    """sha256 of a weights file; of an index, the sha256 over the lines `<shard> <its sha256>`."""
    if file.name != INDEX:
        return cached_sha256(file)
    shards = sorted(set(read_json(file)["weight_map"].values()))
    return sha256_text("".join(f"{s} {cached_sha256(file.parent / s)}\n" for s in shards))


def cached_sha256(file: Path) -> str:
    """sha256 of a file, remembered by path, size and time of change, so that a start stays quick.

    Does not guard against somebody who changes a file and sets its time back.
    """
    real = file.resolve()
    stat = real.stat()
    key = f"{real}|{stat.st_size}|{stat.st_mtime_ns}"
    return str(remembered("sha256.json", key, lambda: sha256_file(real)))
