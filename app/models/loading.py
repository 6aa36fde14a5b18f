"""The only calls of `from_pretrained`: local, safetensors, no remote code, the pad token set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from app.core.errors import InputError
from app.models.dtype import device

_SAFE = {"local_files_only": True, "trust_remote_code": False}


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of transformers meanwhile: they say nothing about a local file."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def tokenizer(folder: Path) -> Any:
    """The tokenizer in `folder`, padding on the right, with a pad token.

    GPT-2 and many Llamas have none: the end-of-text token takes its place. Pooling and loss go by
    the attention mask and never by the pad id, else real end-of-text tokens would be left out.
    """
    loaded = _opened(AutoTokenizer, folder)
    if loaded.pad_token_id is None:
        if loaded.eos_token is None:
            raise InputError(f"{folder}: the tokenizer has neither a pad nor an end-of-text token")
        loaded.pad_token = loaded.eos_token
    loaded.padding_side = "right"
    return loaded


def encoder_body(folder: Path, dtype: str) -> Any:
    """The model without a head, and without BERT's pooler, which nothing here reads."""
    body = _model(AutoModel, folder, dtype)
    if getattr(body, "pooler", None) is not None:
        body.pooler = None
    return body.to(device())


def positions(model: Any) -> int | None:
    """How many tokens the model has positions for; None where there is no such bound."""
    longest = getattr(model.config, "max_position_embeddings", None)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    pad = getattr(table, "padding_idx", None)  # RoBERTa counts from behind it
    return int(longest) - (0 if pad is None else pad + 1) if longest else None


def causal_model(folder: Path, dtype: str) -> Any:
    """The language model in `folder`."""
    return _model(AutoModelForCausalLM, folder, dtype).to(device())


def _model(kind: Any, folder: Path, dtype: str) -> Any:
    """The model in evaluation mode. Raises InputError where the file lacks weights of it.

    transformers would fill them at random and go on. BERT's pooler may be missing: nobody reads it.
    """
    model, report = _opened(
        kind, folder, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True
    )
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} weights of a {type(model).__name__}, such as "
            f"{missing[0]}: its config.json and its safetensors are of different models"
        )
    return model


def _opened(kind: Any, folder: Path, **options: Any) -> Any:
    try:
        with quiet():
            return kind.from_pretrained(folder, **_SAFE, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load {folder} as {kind.__name__}: {first}") from error
