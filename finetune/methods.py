"""What of a model is trained: a LoRA adapter, its head alone, or all of it (config.adapter)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from app.core.errors import ConfigError
from app.models import adapters
from app.models.dtype import device
from app.models.loading import positions
from app.models.lora import MUTATING, attach_lora
from finetune.config import TrainConfig
from finetune.job import adapter_folder, start_folder

_CHATS = ("sft", "preference")


def check(config: TrainConfig) -> None:
    """Raise ConfigError for what cannot be trained so, before any data is read."""
    adapter, task = config.adapter, config.task
    lora = adapter.method in ("lora", "qlora")
    mutating = adapter.init in MUTATING
    faults = {
        f"adapter.method head trains a classifier's head alone, task {task} has none: take lora, "
        f"or none for all weights": adapter.method == "head" and task in _CHATS,
        "task preference holds the model close to what it is without its adapter, which "
        "adapter.method none does not have: take lora": adapter.method == "none"
        and task == "preference",
        "adapter.method none trains the weights themselves, which bfloat16 is too coarse for: set "
        "model.dtype to float32 or auto": adapter.method == "none"
        and config.model.dtype == "bfloat16",
        f"optim.l1 weighs the weights of a LoRA adapter, adapter.method {adapter.method} has none: "
        f"set it to 0": config.optim.l1 > 0 and not lora,
        f"adapter.init {adapter.init} begins anew and adapter.init_from goes on: leave out one of "
        f"the two": mutating and adapter.init_from is not None,
        f"adapter.init {adapter.init} changes the base, with which task preference compares: use "
        f"default": mutating and task == "preference",
        "task preference compares two passes over a row, which dropout would set apart: set "
        "adapter.dropout to 0 and leave model.dropout out": task == "preference"
        and bool(adapter.dropout or config.model.dropout),
        f"adapter.init {adapter.init} changes the base, whose 4 bits cannot hold the change: use "
        f"default with qlora": mutating and adapter.method == "qlora",
    }
    for sentence, found in faults.items():
        if found:
            raise ConfigError(sentence)
    if adapter.method == "qlora":
        _check_four_bits()


def adapted(config: TrainConfig, model: Any) -> Any:
    """`model` with what config.adapter asks for trainable, in fp32, and all else frozen.

    A model with a `body` and a `head` (app.models.classifier): lora and qlora train an adapter in
    the body and the whole head, head the head alone, none everything. A language model gets its
    adapter everywhere but in the output layer. Goes on from adapter.init_from where that is given,
    which starting_card has checked. lora and qlora give a PeftModel, the others `model` itself.
    Raises ConfigError for rows, targets and an init that the model cannot take, Mismatch for an
    adapter that does not fit.
    """
    method, body = config.adapter.method, getattr(model, "body", model)
    check_length(config, body)
    if config.model.dropout is not None:
        set_dropout(body, config.model.dropout)
    if method in ("lora", "qlora"):
        with in_four_bits(model) if method == "qlora" else nullcontext():
            return _with_adapter(config, model)
    start = start_folder(config.adapter)
    if start is not None:
        adapters.attach(model, adapter_folder(start), trainable=True)
    model.requires_grad_(True)
    body.requires_grad_(method == "none")
    return model


def check_length(config: TrainConfig, body: Any) -> None:
    """Raise ConfigError where rows may be longer than `body` reads."""
    asked, most = config.data.max_tokens, positions(body)
    if most is not None and asked > most:
        raise ConfigError(
            f"data.max_tokens is {asked}, {config.model.path} reads {most} tokens at most: set "
            f"data.max_tokens={most} or less"
        )


def set_dropout(body: nn.Module, share: float) -> None:
    """Drop `share` wherever `body` drops anything, in its attention too."""
    for module in body.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        if isinstance(getattr(module, "attention_dropout", None), float):  # Llama's has no module
            setattr(module, "attention_dropout", share)  # noqa: B010


@contextmanager
def in_four_bits(model: Any) -> Iterator[None]:
    """Put the linear layers of the body into NF4 with double quantisation (Dettmers et al. 2023).

    The output layer of a language model keeps its dtype. Products are computed in bf16. Within it
    the model says so to PEFT; afterwards no more, or TRL would take the adapter down to bf16.
    """
    import bitsandbytes as bnb  # type: ignore[import-not-found,unused-ignore]

    body = getattr(model, "body", model)
    output = getattr(body, "get_output_embeddings", lambda: None)()
    options = {"compress_statistics": True, "quant_type": "nf4"}
    for parent in list(body.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is not nn.Linear or layer is output:
                continue
            small = bnb.nn.Linear4bit(
                layer.in_features, layer.out_features, compute_dtype=torch.bfloat16, **options
            )
            small.weight = bnb.nn.Params4bit(
                layer.weight.data.cpu(), requires_grad=False, module=small, **options
            )
            small.bias = layer.bias
            setattr(parent, name, small.to(layer.weight.device))
    model.is_loaded_in_4bit = True
    yield
    del model.is_loaded_in_4bit


def _with_adapter(config: TrainConfig, model: Any) -> Any:
    adapter, start = config.adapter, start_folder(config.adapter)
    if start is not None:
        return adapters.attach(model, adapter_folder(start), trainable=True)
    return attach_lora(
        model,
        rank=adapter.rank,
        alpha=adapter.alpha,
        dropout=adapter.dropout,
        targets=adapter.targets,
        rslora=adapter.rslora,
        init=adapter.init,
    )


def _check_four_bits() -> None:
    if device() != "cuda":
        raise ConfigError(
            f"adapter.method qlora needs a CUDA GPU, this machine has {device()}: take lora, which "
            f"also runs here"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            "adapter.method qlora needs the package bitsandbytes: pip install bitsandbytes, or "
            "take lora"
        )
