"""A chat model as one file that other engines load, written only if it says what was evaluated.

    python -m deploy export runs/support --format gguf --out exported

RUN is a run folder with adapter/, a release folder with an adapter, or a model reference, whose
base goes out alone. `--out` gets model.gguf (F16, adapter merged) and export.json: base and adapter
by sha256, sha256 of the file, and `engines`, the parity records as release.json has them. The file
is read back and compared value by value; where OpenVINO is installed it has to answer as the merged
weights do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from app.core import prompt
from app.core.config import Strict
from app.core.errors import InputError
from app.core.files import sha256_file, writable, write_json
from app.core.release import ADAPTER_FILE, Base, Engine
from app.models.weights import Weights
from deploy.chat_parity import Probe, Unequal, asked

log = logging.getLogger(__name__)
FORMATS = ("gguf",)
FILE, RECORD = "model.gguf", "export.json"
DTYPES = ("float32", "bfloat16", "float16")


class Exported(Strict):
    """export.json."""

    format: str
    file: str
    sha256: str
    base: Base
    adapter_sha256: str | None
    prompt_version: str
    engines: list[Engine]
    """Those that may serve the file, beside what may serve the adapter itself."""


class Source(NamedTuple):
    """What is exported."""

    weights: Weights
    adapter: Path | None
    prompt_version: str


def export(run: str, out: Path, form: str = "gguf") -> Exported:
    """Write `run` as `form` into the folder `out`, which must not hold an export yet.

    Raises InputError (an unknown format, nothing to export, an architecture without GGUF, a folder
    that is taken), what the adapter's checks raise, and Unequal where file or engine differ from
    the merged weights: then no file is left.
    """
    if form not in FORMATS:
        raise InputError(f"no export format {form!r}: there is {', '.join(FORMATS)}")
    file = writable(out) / FILE
    if file.exists():
        raise InputError(f"{file} is there already: name another --out, or delete it")
    source = source_of(run)
    try:
        engines = write_checked(source, file)
        found = Exported(
            format=form, file=FILE, sha256=sha256_file(file), base=source.weights.record(),
            adapter_sha256=sha256_file(source.adapter / ADAPTER_FILE) if source.adapter else None,
            prompt_version=source.prompt_version, engines=engines,
        )  # fmt: skip
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    write_json(out / RECORD, found.model_dump(mode="json", exclude_none=True))
    return found


def source_of(run: str) -> Source:
    """Base, adapter and prompt of a run or release folder, or of a model reference."""
    from app.models import adapters
    from app.models.references import resolve

    folders = [folder for folder in (Path(run) / "adapter", Path(run))
               if (folder / ADAPTER_FILE).is_file()]  # fmt: skip
    if not folders:
        return Source(resolve(run), None, prompt.DEFAULT)
    card = adapters.read_card(folders[0])
    if card.kind != "chat":
        raise InputError(f"{folders[0]} is an adapter of a {card.kind}: expected that of a chat")
    weights = resolve(card.base.ref, sha256=card.base.sha256)
    adapters.check(card, weights)
    return Source(weights, folders[0], card.prompt_version)


def write_checked(source: Source, file: Path) -> list[Engine]:
    """Write the merged GGUF to `file`; the engines that answer from it as the merged weights do.

    Raises Unequal where the file is not the merged weights, or OpenVINO in fp32 differs.
    """
    from app.models import merged_gguf, openvino_chat
    from app.models.transformers_chat import TransformersChat

    merged = TransformersChat(source.weights.folder, source.adapter, name=source.weights.ref)
    merged_gguf.write(merged.model, merged.tokenizer, file, source.weights.ref)
    if wrong := merged_gguf.differs(file, merged.model, merged.tokenizer):
        raise Unequal(f"{file.name} is not what was evaluated: {wrong}")
    if not openvino_chat.installed():
        log.warning("no engine's parity is recorded: %s", openvino_chat.INSTALL)
        return []
    probe = Probe(merged, asked(source.prompt_version))
    folder = source.weights.folder
    return engines(probe, lambda d: openvino_chat.OpenVINOChat(file, folder, d), sha256_file(file))


def engines(probe: Probe, load: Callable[[str], Any], sha256: str) -> list[Engine]:
    """OpenVINO's pairs that hold parity. Raises Unequal where fp32 does not; others may be missing.

    load: dtype -> engine; one whose processor has no such dtype says another.
    """
    found = []
    for dtype in DTYPES:
        engine = load(dtype)
        if engine.dtype != dtype:
            continue
        try:
            parity = probe.compare(engine, exact=dtype == "float32")
        except Unequal as unequal:
            if dtype == "float32":
                raise
            log.warning("openvino in %s is not listed: %s", dtype, unequal.message)
            continue
        found.append(Engine(engine="openvino", dtype=dtype, parity={**parity, "sha256": sha256}))
    return found
