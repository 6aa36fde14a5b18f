"""How a sentence encoder wants its token states made one vector, from the files beside its weights.

sentence-transformers writes modules.json, 1_Pooling/config.json, sentence_bert_config.json and
config_sentence_transformers.json (https://sbert.net, "Model storage"). What this product does not
do, it refuses here, rather than serve vectors that mean little.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from app.core.errors import InputError
from app.core.files import read_json

Pooling = Literal["mean", "first", "last"]
POOLING_FILE = "1_Pooling/config.json"
LONGEST = 512
"""Tokens that are read at most: a passage has under 200, and time grows with them."""
_FLAGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
}
_NAMES: Mapping[str, Pooling] = {"mean": "mean", "cls": "first", "lasttoken": "last"}
_KNOWN = ("Transformer", "Pooling", "Normalize")
_OTHERS = (
    "choose one without, such as BAAI/bge-m3 or "
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
)


class Layout(NamedTuple):
    """From tokens to a vector."""

    pooling: Pooling = "mean"
    max_tokens: int = 256


def layout(folder: Path) -> Layout:
    """That of the encoder in `folder`; the mean over 256 tokens where it says nothing.

    Raises InputError for a layer behind the pooling, a pooling other than mean, first or last
    token, a prompt that questions need, and files that a download left out.
    """
    if not (folder / "modules.json").is_file():
        return Layout()
    for module in read_json(folder / "modules.json"):
        kind = str(module["type"]).rpartition(".")[2]
        if kind not in _KNOWN:
            raise InputError(f"{folder} has a {kind} layer, which is not served here: {_OTHERS}")
    _check_prompts(folder)
    return Layout(_pooling(folder), _max_tokens(folder))


def _check_prompts(folder: Path) -> None:
    prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
    needed = [name for name, text in prompts.items() if text]
    if needed:
        raise InputError(
            f"{folder} wants a prompt before its texts ({', '.join(needed)}), which is not given "
            f"here: {_OTHERS}"
        )


def _pooling(folder: Path) -> Pooling:
    path = folder / POOLING_FILE
    if not path.is_file():
        raise InputError(f"{folder} lacks {POOLING_FILE}: download the model whole (`hf download`)")
    found = _read(path)
    named = _NAMES.get(str(found.get("pooling_mode")))
    flags = [flag for flag, on in found.items() if flag.startswith("pooling_mode_") and on is True]
    if named is None and (len(flags) != 1 or flags[0] not in _FLAGS):
        said = ", ".join(flags) or found.get("pooling_mode") or "none"
        raise InputError(
            f"{path}: expected one pooling of {', '.join(_NAMES)}, found {said}: {_OTHERS}"
        )
    return named or _FLAGS[flags[0]]


def _max_tokens(folder: Path) -> int:
    said = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    return min(int(said), LONGEST) if said else LONGEST


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}
