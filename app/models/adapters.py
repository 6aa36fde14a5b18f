"""LoRA adapters on disk: adapter_config.json and adapter_model.safetensors with a card inside.

The card (kind, base, prompt version, labels, sha256 of the config) is a string in the safetensors
header, so that the sha256 of the one file pins them all; PEFT and vLLM read past it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from app.core.config import Strict, parse
from app.core.errors import InputError, Mismatch, NotFound
from app.core.files import atomic_path, read_json, sha256_file, write_json
from app.core.release import ADAPTER_FILE, Base
from app.models.weights import Weights

CONFIG_FILE = "adapter_config.json"
_HEADER = "frontdesk"


class Card(Strict):
    """What an adapter is for."""

    kind: Literal["classifier", "chat"]
    base: Base
    """The weights that it was trained on."""
    prompt_version: str
    """Template with version, e.g. `support/1`; classifiers: feature and text preparation."""
    labels: list[str] | None = None
    """Class names in the order of the logits."""
    config_sha256: str | None = None
    """Of adapter_config.json, which holds the scale of the update; `save` fills it in."""


def save(model: Any, folder: Path, card: Card) -> str:
    """Write the adapter of a PEFT `model` into `folder`; returns the sha256 of its weights file.

    adapter_config.json names the base by its reference (PEFT would write the local path). The same
    weights give the same bytes.
    """
    from safetensors.torch import load_file, save_file

    # PEFT's "auto" would ask the Hub for the base's config whenever the base is named by reference.
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's, all blanks; a release brings its own
    config = read_json(folder / CONFIG_FILE)
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # a set, in any order
    write_json(folder / CONFIG_FILE, {**config, "base_model_name_or_path": card.base.ref})
    bound = card.model_copy(update={"config_sha256": sha256_file(folder / CONFIG_FILE)})
    tensors = load_file(folder / ADAPTER_FILE)
    with atomic_path(folder / ADAPTER_FILE) as temporary:
        # One entry only: safetensors writes several in random order, and the sha256 would vary.
        save_file(tensors, temporary, metadata={_HEADER: bound.model_dump_json()})
    return sha256_file(folder / ADAPTER_FILE)


def read_card(folder: Path) -> Card:
    """The card of the adapter in `folder`.

    Raises NotFound (no adapter there), InputError (damaged, or without a card: not one of ours),
    Mismatch (adapter_config.json is not the one that it was saved with).
    """
    card = _card(folder)
    if card is None:
        raise InputError(
            f"{folder / ADAPTER_FILE} says neither its base nor its labels: it was not made by "
            f"finetune/train.py"
        )
    return card


def check(
    card: Card, weights: Weights, prompt_version: str | None = None, *, allow_base: bool = False
) -> None:
    """Raise Mismatch unless the card was written for this base and, where given, this prompt."""
    if card.base.sha256 != weights.sha256 and not allow_base:
        raise Mismatch(
            f"the adapter was trained on {card.base.ref} (sha256 {card.base.sha256}), the base "
            f"here is {weights.ref} from {weights.source} (sha256 {weights.sha256}): use the "
            f"adapter's own base"
        )
    if prompt_version is not None and card.prompt_version != prompt_version:
        raise Mismatch(
            f"the adapter was trained with prompt {card.prompt_version}, this code renders "
            f"{prompt_version}: train again, or check out the code that it was trained with"
        )


def attach(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """`model` as a PeftModel with the adapter in `folder`.

    It may be anybody's, with or without a card. Raises NotFound or InputError for the files,
    Mismatch where its shapes do not fit the model or its config was changed.
    """
    from peft import PeftModel

    _card(folder)
    try:
        with _past_a_warning():
            return PeftModel.from_pretrained(model, folder, is_trainable=trainable)
    except (RuntimeError, ValueError) as error:
        first = " ".join(str(error).split())[:300]
        base = read_json(folder / CONFIG_FILE).get("base_model_name_or_path")
        raise Mismatch(
            f"the adapter in {folder} does not fit this base; it was made for {base}. ({first})"
        ) from error


def wrap(model: Any, config: Any) -> Any:
    """`model` as a PeftModel with a fresh adapter by `config`, a PeftConfig."""
    from peft import get_peft_model

    with _past_a_warning():
        return get_peft_model(model, config)


def merged(model: Any, folder: Path) -> Any:
    """`model` with the adapter in `folder` added to its weights: as fast as without an adapter.

    Merge in fp32 and cast afterwards: in bf16 the small update would be rounded away.
    """
    return attach(model, folder).merge_and_unload()


@contextmanager
def _past_a_warning() -> Iterator[None]:
    """PEFT 0.21 reads an attribute that transformers 5.23 calls deprecated: no news to a user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        yield


def _card(folder: Path) -> Card | None:
    from safetensors import SafetensorError, safe_open

    _check_files(folder)
    file = folder / ADAPTER_FILE
    try:
        with safe_open(file, framework="pt") as opened:
            header = (opened.metadata() or {}).get(_HEADER)
    except SafetensorError as error:
        raise InputError(f"{file} is damaged ({error}): copy it again") from error
    if header is None:
        return None
    card = parse(Card, json.loads(header), str(file))
    if card.config_sha256 not in (None, sha256_file(folder / CONFIG_FILE)):
        raise Mismatch(
            f"{folder / CONFIG_FILE} is not the one that {ADAPTER_FILE} was saved with (sha256 "
            f"{card.config_sha256}): restore it, or train again"
        )
    return card


def _check_files(folder: Path) -> None:
    for name in (CONFIG_FILE, ADAPTER_FILE):
        if not (folder / name).is_file():
            beside = sorted(p.name for p in folder.glob("*")) if folder.is_dir() else []
            raise NotFound(
                f"no adapter in {folder}: expected {name}, found {', '.join(beside) or 'nothing'} "
                f"(pickled adapters, .bin, are never loaded)"
            )
