"""A sequence classifier: a body, pooling, a linear head; trained and served as one class.

One adapter file holds both the LoRA of the body and the head (PEFT's modules_to_save).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig
from torch import nn
from transformers import MODEL_FOR_MASKED_LM_MAPPING
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.pytorch_utils import Conv1D

from app.core.errors import InputError, Mismatch, nearest
from app.core.textprep import MAX_TOKENS
from app.models import adapters, pooling
from app.models.batching import length_sorted
from app.models.loading import encoder_body, tokenizer
from app.models.weights import Weights


class PooledClassifier(nn.Module):
    """Body, pooling, dropout, linear head. input_ids, attention_mask: (B, T); labels: (B,) int64.

    A body that reads both ways (BERT) is pooled by the mean over its tokens, which scored 0.890 on
    SST-2 where BERT's pooler scored 0.874; one that reads left to right (GPT-2, Llama) by its last
    token, the only one that has seen the whole text. Both go by the mask, so that the amount of
    padding changes nothing.
    """

    def __init__(self, body: Any, n_labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.body = body
        self.config = body.config
        # PEFT writes this into checkpoints; a local path, or it would ask the Hub at every save.
        self.name_or_path = body.name_or_path
        self.both_ways = type(body.config) in MODEL_FOR_MASKED_LM_MAPPING
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(body.config.hidden_size, n_labels)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits (B, k) in fp32, and the mean loss where labels are given."""
        logits = self.head(self.dropout(self.pooled(input_ids, attention_mask)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def pooled(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, D) float32: what the head reads."""
        states = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pool = pooling.mean if self.both_ways else pooling.last
        return pool(states, attention_mask)


def build(
    weights: Weights, labels: Sequence[str], *, dtype: str = "float32", dropout: float = 0.1
) -> tuple[PooledClassifier, Any]:
    """(model, tokenizer): the body in `dtype`, under it a fresh head for `labels` in fp32."""
    body = encoder_body(weights.folder, dtype)
    model = PooledClassifier(body, len(labels), dropout)
    loaded = tokenizer(weights.folder)
    model.config.pad_token_id = loaded.pad_token_id
    return model.to(body.device), loaded


def attach_lora(
    model: PooledClassifier,
    *,
    rank: int = 8,
    alpha: int = 16,
    dropout: float = 0.05,
    targets: Sequence[str] | str = "all-linear",
    init_from: Path | None = None,
) -> Any:
    """`model` as a PeftModel: LoRA (Hu et al. 2021) on the body's linear layers, a trainable head.

    targets: last names of layers, or "all-linear". init_from: an adapter to go on from; rank, alpha
    and targets are then its own. Raises InputError for a target that the body does not have.
    """
    if init_from is not None:
        return _going_on(model, init_from)
    known = linear_layers(model.body)
    chosen = known if targets == "all-linear" else list(targets)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise InputError(
            f"no linear layer {unknown[0]!r} in {model.name_or_path}."
            f"{nearest(unknown[0], known)} It has {', '.join(known)}, or say all-linear"
        )
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=rf"body\.(.*\.)?({'|'.join(chosen)})",
        modules_to_save=["head"],
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in model.body.modules()),  # GPT-2
    )
    return adapters.wrap(model, config)


def linear_layers(body: nn.Module) -> list[str]:
    """Last names of the linear layers in `body`, such as query, key, value, dense."""
    found = {
        name.rpartition(".")[2]
        for name, module in body.named_modules()
        if isinstance(module, (nn.Linear, Conv1D))
    }
    return sorted(found)


class Classifier:
    """A trained classifier that is ready to serve. Safe to call from several threads."""

    def __init__(self, model: PooledClassifier, tokenizer: Any, card: adapters.Card) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.card = card
        self.labels: list[str] = list(card.labels or [])

    @torch.inference_mode()
    def logits(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """(n, k) float32, columns in the order of `labels`; texts prepared by app.core.textprep."""
        out = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        device = self.model.head.weight.device
        for rows, inputs in length_sorted(self.tokenizer, texts, MAX_TOKENS, batch_size):
            on_device = {key: value.to(device) for key, value in inputs.items()}
            out[rows] = self.model(**on_device).logits.cpu().numpy()
        return out


def load_classifier(
    weights: Weights, adapter: Path, dtype: str = "float32", *, allow_base: bool = False
) -> Classifier:
    """The classifier in `adapter` on its base, merged in fp32, its body in `dtype`.

    Raises NotFound or InputError (files), Mismatch (another base; see adapters.check).
    """
    card = adapters.read_card(adapter)
    if card.kind != "classifier" or not card.labels:
        raise Mismatch(f"the adapter in {adapter} is for {card.kind}, expected a classifier's")
    adapters.check(card, weights, allow_base=allow_base)
    model, loaded = build(weights, card.labels, dropout=0.0)
    model = adapters.merged(model, adapter)
    model.body.to(getattr(torch, dtype))
    return Classifier(model, loaded, card)


def _going_on(model: PooledClassifier, folder: Path) -> Any:
    card = adapters.read_card(folder)
    if len(card.labels or []) != model.head.out_features:
        raise Mismatch(
            f"the adapter in {folder} has the labels {card.labels}, the data has "
            f"{model.head.out_features}: start without init_from"
        )
    return adapters.attach(model, folder, trainable=True)
