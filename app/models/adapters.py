"""What was trained, on disk: adapter_config.json and adapter_model.safetensors with a card inside.

LoRA is stored as PEFT stores it; a head alone, or all weights of a model, under their own names,
with {"method": "head" | "none"} in adapter_config.json.

The card (kind, base, prompt version, labels, sha256 of the config) is a string in the safetensors
header, so that the sha256 of the one file pins them all; PEFT and vLLM read past it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from app.core.config import Strict, parse
from app.core.errors import InputError, Mismatch, NotFound
from app.core.files import atomic_path, read_json, sha256_file, write_json
from app.core.release import ADAPTER_FILE, Base
from app.models.weights import Weights

CONFIG_FILE = "adapter_config.json"
METHODS = ("lora", "head", "none")
_HEADER = "frontdesk"


class Card(Strict):
    """What an adapter is for."""

    kind: Literal["classifier", "multilabel", "regressor", "reader", "chat"]
    base: Base
    """The weights that it was trained on."""
    prompt_version: str
    """Template with version, e.g. `support/1`; classifiers: feature and text preparation."""
    labels: list[str] | None = None
    """Class names in the order of the logits."""
    config_sha256: str | None = None
    """Of adapter_config.json, which holds the scale of the update; `save` fills it in."""


def gathered(model: Any, *, keep: bool) -> dict[str, Any] | None:
    """What `save` writes of a model that FSDP spread over processes, whole and on the CPU.

    All processes have to call it; the one that saves keeps it. None where nothing is spread.
    """
    from torch.distributed.tensor import DTensor

    state = model.state_dict()
    if not any(isinstance(tensor, DTensor) for tensor in state.values()):
        return None
    adapter = {n: t for n, t in state.items() if "lora_" in n or "modules_to_save" in n}
    found = {}
    for name, tensor in (adapter or state).items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            found[name] = whole.detach().cpu()
    return found


def save(model: Any, folder: Path, card: Card, state: dict[str, Any] | None = None) -> str:
    """Write what was trained of `model` into `folder`; returns the sha256 of its weights file.

    Of a PeftModel the adapter; of any other model its head where the body is frozen, else all of
    it. adapter_config.json names the base by its reference (PEFT would write the local path). The
    same weights give the same bytes. state: that of `gathered`, where the model is spread.
    """
    from peft import PeftModel
    from safetensors.torch import save_file

    from app.models.lora import of_peft

    config, tensors = (of_peft if isinstance(model, PeftModel) else _of_plain)(model, state)
    write_json(folder / CONFIG_FILE, {**config, "base_model_name_or_path": card.base.ref})
    bound = card.model_copy(update={"config_sha256": sha256_file(folder / CONFIG_FILE)})
    with atomic_path(folder / ADAPTER_FILE) as temporary:
        # One entry only: safetensors writes several in random order, and the sha256 would vary.
        save_file(tensors, temporary, metadata={_HEADER: bound.model_dump_json()})
    return sha256_file(folder / ADAPTER_FILE)


def method(folder: Path) -> str:
    """What was trained: lora, head or none (all weights). Raises InputError for anything else."""
    found = read_json(folder / CONFIG_FILE).get("method", "lora")
    if found not in METHODS:
        raise InputError(
            f"{folder / CONFIG_FILE}: expected a method of {', '.join(METHODS)}, found {found!r}"
        )
    return str(found)


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
    """`model` with what `folder` holds: LoRA makes it a PeftModel, a head or weights are put in.

    It may be anybody's, with or without a card. Raises NotFound or InputError for the files,
    Mismatch where names or shapes do not fit the model or its config was changed.
    """
    from safetensors.torch import load_file

    from app.models.lora import names_of, with_lora

    _card(folder)
    tensors, kind = load_file(folder / ADAPTER_FILE), method(folder)
    try:
        made = with_lora(model, folder, trainable=trainable) if kind == "lora" else model
        expected = names_of(made) if kind == "lora" else set(_trained_state(model, kind))
        _check_names(expected, set(tensors))
        if kind != "lora":
            model.load_state_dict(tensors, strict=False)
    except (RuntimeError, ValueError) as error:
        base = read_json(folder / CONFIG_FILE).get("base_model_name_or_path")
        raise Mismatch(
            f"the adapter in {folder} does not fit this base; it was made for {base}. "
            f"({' '.join(str(error).split())[:300]})"
        ) from error
    return made


def merged(model: Any, folder: Path) -> Any:
    """`model` with what `folder` holds in its weights: as fast as without an adapter.

    Merge in fp32 and cast afterwards: in bf16 the small update would be rounded away.
    """
    made = attach(model, folder)
    return made.merge_and_unload() if method(folder) == "lora" else made


def _of_plain(
    model: Any, state: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(config, tensors) of a model without an adapter."""
    body = getattr(model, "body", model)
    kind = "none" if any(p.requires_grad for p in body.parameters()) else "head"
    state = _trained_state(model, kind, state)
    return {"method": kind}, {name: t.detach().cpu().contiguous() for name, t in state.items()}


def _trained_state(model: Any, kind: str, state: dict[str, Any] | None = None) -> dict[str, Any]:
    """State by name, a tensor that two names share under the first; of a head, the head's."""
    state = model.state_dict() if state is None else state
    if kind == "head":
        return {name: tensor for name, tensor in state.items() if name.startswith("head.")}
    first = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    return {name: tensor for name, tensor in state.items() if name in first}


def _check_names(expected: set[str], found: set[str]) -> None:
    """Raise ValueError for weights that are missing, or that the model does not have."""
    for prefix, names in (("it lacks", expected - found), ("the model lacks", found - expected)):
        if names:
            raise ValueError(f"{prefix} {len(names)} of the weights, such as {min(names)}")


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
