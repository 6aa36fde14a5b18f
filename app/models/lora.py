"""LoRA (Hu et al. 2021) through PEFT: which layers get an adapter, how it begins, what is saved."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from torch import nn
from transformers.pytorch_utils import Conv1D

from app.core.errors import ConfigError, nearest

MUTATING = ("pissa", "olora")
"""Initialisations that take the adapter's first weights out of the base's."""


def attach_lora(
    model: Any,
    *,
    rank: int = 8,
    alpha: int = 16,
    dropout: float = 0.05,
    targets: Sequence[str] | str = "all-linear",
    rslora: bool = False,
    init: str = "default",
) -> Any:
    """`model` as a PeftModel with a fresh adapter in fp32; its own weights are frozen.

    A model with a `body` and a `head` gets it in the body, and the head is trained whole; a
    language model gets it everywhere but in its output layer. targets: last names of layers, or
    "all-linear". init: default (B is zero), gaussian, orthogonal, or one of MUTATING. Raises
    ConfigError for a target that the model does not have, and for an init that it cannot take.
    """
    layers = _layers(model)
    names = _chosen(model, sorted({_last(name) for name in layers}), targets)
    _check_init(init, rank, {name: layers[name] for name in layers if _last(name) in names})
    has_body = hasattr(model, "body")
    config = LoraConfig(
        task_type=None if has_body else "CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=rf"body\.(.*\.)?({'|'.join(names)})" if has_body else names,
        modules_to_save=["head"] if has_body else None,
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),  # GPT-2
        use_rslora=rslora,
        init_lora_weights=True if init == "default" else init,  # type: ignore[arg-type]
    )
    with _past_a_warning():
        made: Any = get_peft_model(model, config)
    if init in MUTATING:  # remembers how it began, which of_peft takes off again
        made.begun = {
            name: tensor.clone() for name, tensor in _state(made).items() if "lora_" in name
        }
    return made


def with_lora(model: Any, folder: Path, *, trainable: bool) -> Any:
    """`model` as a PeftModel with the adapter in `folder`.

    Raises RuntimeError or ValueError where that does not fit it.
    """
    try:
        with _past_a_warning():
            return PeftModel.from_pretrained(model, folder, is_trainable=trainable)
    except KeyError as error:  # of the head; PEFT 0.21 lets the others be missing
        raise ValueError(f"it lacks 1 of the weights, such as {error.args[0]}") from error


def names_of(model: Any) -> set[str]:
    """Names of the weights of a PeftModel's adapter, as they are saved."""
    return set(_state(model))


def of_peft(
    model: Any, state: dict[str, torch.Tensor] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(adapter_config.json, tensors) of a PeftModel, which any reader of plain LoRA serves.

    state: its state where its own is spread over processes.
    """
    config = model.peft_config[model.active_adapter].to_dict()
    config |= {"inference_mode": True, "auto_mapping": None}
    begun = getattr(model, "begun", {})
    if isinstance(config["target_modules"], set):
        config["target_modules"] = sorted(config["target_modules"])  # in any order
    tensors = {name: tensor.detach().cpu() for name, tensor in _state(model, state).items()}
    return _as_plain_lora(config, tensors, begun) if begun else (config, tensors)


def linear_layers(model: nn.Module) -> list[str]:
    """Last names of the linear layers that can get an adapter, such as query, key, value, dense."""
    return sorted({_last(name) for name in _layers(model)})


def _state(model: Any, state: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
    # PEFT's "auto" would ask the Hub for the base's config whenever the base is named by reference.
    found: dict[str, torch.Tensor] = get_peft_model_state_dict(
        model, state_dict=state, save_embedding_layers=False
    )
    return found


def _as_plain_lora(
    config: dict[str, Any], tensors: dict[str, torch.Tensor], begun: dict[str, torch.Tensor]
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The adapter that does on the untouched base what this one does on the changed one.

    The base lost B0 A0, so the update is B A - B0 A0 = [B, -B0] [A; A0], of twice the rank, scaled
    as before: alpha / r by twice the alpha, alpha / sqrt(r) by a greater B, since alpha is whole.
    (PEFT's own conversion drops the head.)
    """
    grown, alpha = (2**0.5, 1) if config["use_rslora"] else (1.0, 2)
    doubled = dict(tensors)
    for name, first in begun.items():
        if "lora_A" in name:
            doubled[name] = torch.cat([tensors[name], first.cpu()])
        else:
            doubled[name] = grown * torch.cat([tensors[name], -first.cpu()], dim=1)
    plain = {"r": 2 * config["r"], "lora_alpha": alpha * config["lora_alpha"]}
    return config | plain | {"init_lora_weights": True}, doubled


@contextmanager
def _past_a_warning() -> Iterator[None]:
    """PEFT 0.21 reads an attribute that transformers 5.23 calls deprecated: no news to a user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        yield


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """Linear layers by name, without a language model's output layer."""
    inside = getattr(model, "body", model)
    output = getattr(inside, "get_output_embeddings", lambda: None)()
    return {
        name: module
        for name, module in inside.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not output
    }


def _chosen(model: Any, known: list[str], targets: Sequence[str] | str) -> list[str]:
    if targets == "all-linear":
        return known
    unknown = [name for name in targets if name not in known]
    if unknown or not targets:
        found = f"no linear layer {unknown[0]!r} in" if unknown else "no layer is named for"
        hint = nearest(unknown[0], known) if unknown else ""
        raise ConfigError(
            f"adapter.targets: {found} {model.name_or_path}.{hint} It has {', '.join(known)}, or "
            f"say all-linear"
        )
    return list(targets)


def _check_init(init: str, rank: int, layers: dict[str, nn.Module]) -> None:
    if init == "orthogonal" and rank % 2:
        raise ConfigError(
            f"adapter.init orthogonal halves the rank: make adapter.rank even, it is {rank}"
        )
    if init not in MUTATING:
        return
    for name, layer in layers.items():
        if init == "olora" and isinstance(layer, Conv1D):
            raise ConfigError(
                f"adapter.init olora cannot take {name}, which holds its weight the other way "
                f"round (GPT-2): use pissa or default"
            )
        smaller = min(layer.weight.shape)  # type: ignore[arg-type]
        if rank > smaller:
            raise ConfigError(
                f"adapter.init {init} takes the rank out of the weights, and {name} is only "
                f"{smaller} wide: lower adapter.rank {rank}, or use another init"
            )


def _last(name: str) -> str:
    return name.rpartition(".")[2]
