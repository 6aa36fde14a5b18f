"""OpenVINO's own form of a merged GGUF in which the weights stay in F16 while it runs.

Given a GGUF, OpenVINO widens its F16 matrices to f32 as it compiles: twice the memory, and twice
what a written token has to fetch. Its CPU plugin keeps a matrix in F16, and adds up in f32, where
the conversion behind it is marked as a decompression; those of small constants are when OpenVINO
saves the model, those of the matrices are not. So it saves the model once, under FRONTDESK_CACHE,
and they are marked there.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement

from app.core.errors import AppError
from app.core.files import cache_dir, read_json, sha256_file, writable, write_json
from app.models.weights import cached_sha256

log = logging.getLogger(__name__)
GRAPH, VALUES, STAMP = "openvino_model.xml", "openvino_model.bin", "frontdesk.json"
_MARK = {"name": "decompression", "version": "0"}


def folder(gguf: Path) -> Path:
    """The folder that ContinuousBatchingPipeline loads in place of `gguf`.

    Made once for a file and a version of OpenVINO, by one process, whole or absent (about ten
    seconds and the size of `gguf` for a 135M model); made anew where it was changed since.
    """
    home = writable(cache_dir() / "openvino")
    name = f"{cached_sha256(gguf)[:16]}-{version('openvino-genai')}"
    made = home / name
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a killed process lets go by itself
        if not _intact(made):
            log.warning("saving %s in OpenVINO's form, once, into %s", gguf.name, home)
            shutil.rmtree(made, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=home, prefix=f".{name}.") as partial:
                os.replace(_saved(gguf, Path(partial)), made)
    return made


def _intact(made: Path) -> bool:
    stamp = read_json(made / STAMP) if (made / STAMP).is_file() else {}
    files = [made / name for name in (GRAPH, VALUES)]
    return all(file.is_file() and cached_sha256(file) == stamp.get(file.name) for file in files)


def _saved(gguf: Path, partial: Path) -> Path:
    """A folder in `partial` with graph and values, and a stamp with their sha256."""
    import openvino_genai

    (partial / gguf.name).symlink_to(gguf.resolve())  # OpenVINO saves beside what it reads
    openvino_genai.ContinuousBatchingPipeline(
        str(partial / gguf.name), openvino_genai.SchedulerConfig(), "CPU",
        {"enable_save_ov_model": True, "INFERENCE_PRECISION_HINT": "f32"},
    )  # fmt: skip
    whole = partial / "whole"
    whole.mkdir()
    for name in (GRAPH, VALUES):
        os.replace(partial / name, whole / name)
    marked(whole / GRAPH)
    write_json(whole / STAMP, {name: sha256_file(whole / name) for name in (GRAPH, VALUES)})
    return whole


def marked(graph: Path) -> int:
    """Mark every conversion of F16 to f32 in `graph` as a decompression; how many were not yet.

    Raises AppError where there was none, since then the file is not what this was written for.
    """
    from defusedxml.ElementTree import parse

    tree: ElementTree[Any] = parse(graph)
    wide = [layer for layer in tree.iter("layer") if _widens(layer)]
    bare = [layer for layer in wide if layer.find("rt_info") is None]
    if not bare:
        raise AppError(f"{graph} has no matrix in F16 to keep: serve float32 instead")
    for layer in bare:
        info = SubElement(layer, "rt_info")
        SubElement(info, "attribute", _MARK)
        layer.remove(info)
        layer.insert(1, info)  # behind `data`, where OpenVINO writes it
    tree.write(graph, encoding="utf-8", xml_declaration=True)
    return len(bare)


def _widens(layer: Element) -> bool:
    port = layer.find("input/port")
    data = layer.find("data")
    return (
        layer.get("type") == "Convert"
        and port is not None
        and port.get("precision") == "FP16"
        and data is not None
        and data.get("destination_type") == "f32"
    )
