"""Texts in, numbers out: a body, pooling, a linear head; trained and served as one class.

One adapter file holds both the LoRA of the body and the head (PEFT's modules_to_save).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import MODEL_FOR_MASKED_LM_MAPPING
from transformers.modeling_outputs import SequenceClassifierOutput

from app.core.errors import Mismatch
from app.core.textprep import MAX_TOKENS
from app.models import adapters, pooling
from app.models.batching import length_sorted
from app.models.loading import encoder_body, tokenizer
from app.models.weights import Weights

Problem = Literal["single_label", "multi_label", "regression"]
"""One of k labels; each of k labels or not; a number."""
DROPOUT = 0.1
"""On what the head reads, in training."""


class Scaled(nn.Linear):
    """A linear layer whose outputs are learnt on the scale of z and said on that of the targets."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def rescale(self, mean: float, std: float) -> None:
        """From now on targets have this mean and standard deviation; saved with the weights."""
        self.mean.fill_(mean)
        self.std.fill_(std)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, 1), turned back: mean + std * z."""
        return self.mean + self.std * super().forward(states)


class PooledClassifier(nn.Module):
    """Body, pooling, dropout, linear head. input_ids, attention_mask: (B, T).

    labels: (B,) int64 for single_label (cross-entropy); (B, k) float for multi_label (binary
    cross-entropy); (B,) float for regression (squared error of the targets as z-scores).
    A body that reads both ways (BERT) is pooled by the mean over its tokens, which scored 0.890 on
    SST-2 where BERT's pooler scored 0.874; one that reads left to right (GPT-2, Llama) by its last
    token, the only one that has seen the whole text. Both go by the mask, so that the amount of
    padding changes nothing.
    """

    def __init__(
        self, body: Any, outputs: int, problem: Problem = "single_label", dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        self.body = body
        self.config = body.config
        # PEFT writes this into checkpoints; a local path, or it would ask the Hub at every save.
        self.name_or_path = body.name_or_path
        self._no_split_modules = body._no_split_modules  # FSDP: the class of a layer
        self.problem = problem
        self.both_ways = reads_both_ways(body)
        self.dropout = nn.Dropout(dropout)
        width = body.config.hidden_size
        self.head = Scaled(width) if problem == "regression" else nn.Linear(width, outputs)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits (B, k) in fp32, for regression scores (B, 1); the mean loss where labels are."""
        logits = self.head(self.dropout(self.pooled(input_ids, attention_mask)))
        loss = None if labels is None else self.loss(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The mean over the rows."""
        return _LOSSES[self.problem](self.head, logits, labels)

    def pooled(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """(B, D) float32: what the head reads."""
        states = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pool = pooling.mean if self.both_ways else pooling.last
        return pool(states, attention_mask)


def _squared(head: Any, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of z-scores, so that the rate which suits one scale of targets suits all."""
    return functional.mse_loss(scores[:, 0] / head.std, labels / head.std)


_LOSSES: dict[str, Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "single_label": lambda _, logits, labels: functional.cross_entropy(logits, labels),
    "multi_label": lambda _, logits, labels: functional.binary_cross_entropy_with_logits(
        logits, labels
    ),
    "regression": _squared,
}


def reads_both_ways(body: Any) -> bool:
    """Whether each token of `body` sees those behind it, as in BERT and unlike in GPT-2."""
    return type(body.config) in MODEL_FOR_MASKED_LM_MAPPING


def build(
    weights: Weights,
    labels: Sequence[str] = (),
    *,
    problem: Problem = "single_label",
    dtype: str = "float32",
    dropout: float = DROPOUT,
) -> tuple[PooledClassifier, Any]:
    """(model, tokenizer): the body in `dtype`, under it a fresh head for `labels` in fp32."""
    body = encoder_body(weights.folder, dtype)
    model = PooledClassifier(body, len(labels), problem, dropout)
    loaded = tokenizer(weights.folder)
    model.config.pad_token_id = loaded.pad_token_id
    return model.to(body.device), loaded


class TextModel:
    """A trained body and head, ready to serve. Safe to call from several threads."""

    def __init__(self, model: PooledClassifier, tokenizer: Any, card: adapters.Card) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.card = card

    @torch.inference_mode()
    def outputs(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """(n, k) float32: what the head says; texts prepared by app.core.textprep."""
        out = np.zeros((len(texts), self.model.head.out_features), dtype=np.float32)
        device = self.model.head.weight.device
        for rows, inputs in length_sorted(self.tokenizer, texts, MAX_TOKENS, batch_size):
            on_device = {key: value.to(device) for key, value in inputs.items()}
            out[rows] = self.model(**on_device).logits.cpu().numpy()
        return out


class Classifier(TextModel):
    """One of k labels, or with a multilabel adapter any of them."""

    def __init__(self, model: PooledClassifier, tokenizer: Any, card: adapters.Card) -> None:
        super().__init__(model, tokenizer, card)
        self.labels: list[str] = list(card.labels or [])

    def logits(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """(n, k) float32, columns in the order of `labels`; texts prepared by app.core.textprep."""
        return self.outputs(texts, batch_size)


class Regressor(TextModel):
    """A number for a text, on the scale of what it was trained on."""

    def scores(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """(n,) float32; texts prepared by app.core.textprep. May lie beyond all it has seen."""
        scores: NDArray[np.float32] = self.outputs(texts, batch_size)[:, 0]
        return scores


def load_classifier(
    weights: Weights, adapter: Path, dtype: str = "float32", *, allow_base: bool = False
) -> Classifier:
    """The classifier in `adapter` on its base, merged in fp32, its body in `dtype`.

    Raises NotFound or InputError (files), Mismatch (another base or kind; see adapters.check).
    """
    return Classifier(*_loaded("classifier", weights, adapter, dtype, allow_base))


def load_multilabel(
    weights: Weights, adapter: Path, dtype: str = "float32", *, allow_base: bool = False
) -> Classifier:
    """As `load_classifier`, with a logit for each label on its own."""
    return Classifier(*_loaded("multilabel", weights, adapter, dtype, allow_base))


def load_regressor(
    weights: Weights, adapter: Path, dtype: str = "float32", *, allow_base: bool = False
) -> Regressor:
    """As `load_classifier`, for a regressor."""
    return Regressor(*_loaded("regressor", weights, adapter, dtype, allow_base))


_PROBLEMS: dict[str, Problem] = {
    "classifier": "single_label",
    "multilabel": "multi_label",
    "regressor": "regression",
}


def _loaded(
    kind: str, weights: Weights, adapter: Path, dtype: str, allow_base: bool
) -> tuple[PooledClassifier, Any, adapters.Card]:
    card = adapters.read_card(adapter)
    if card.kind != kind or (kind != "regressor" and not card.labels):
        raise Mismatch(f"the adapter in {adapter} is for {card.kind}, expected a {kind}'s")
    adapters.check(card, weights, allow_base=allow_base)
    model, loaded = build(weights, card.labels or (), problem=_PROBLEMS[kind], dropout=0.0)
    model = adapters.merged(model, adapter)
    model.body.to(getattr(torch, dtype))
    return model, loaded, card
