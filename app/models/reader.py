"""Answers copied out of a passage, or none: a BERT-shaped body, start and end logits per token.

Devlin et al. 2019, section 4.3: "not in the passage" is the span of [CLS]; an answer's score is its
start plus its end logit, less those of [CLS]. A long passage is read in windows that overlap. The
body must read both ways: in GPT-2 no token knows the words behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers.modeling_outputs import SequenceClassifierOutput

from app.core.errors import InputError, Mismatch
from app.models import adapters
from app.models.classifier import DROPOUT, reads_both_ways
from app.models.loading import encoder_body, tokenizer
from app.models.weights import Weights
from app.models.windows import Window, padded, windows

PROMPT_VERSION = "reader/1"
"""How question and passage are laid out; raise the number with a constant here or in windows."""
MAX_ANSWER = 30
"""Tokens; a longer span is never said."""


class SpanReader(nn.Module):
    """Body, dropout, a linear head with two logits for each token.

    input_ids, attention_mask, token_type_ids, candidates: (B, T); labels: (B, 2 or more) int64, of
    which the first two are the first and last token of the answer, 0 where the window lacks it.
    """

    def __init__(self, body: Any, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.body = body
        self.config = body.config
        self.name_or_path = body.name_or_path  # as in PooledClassifier
        self.typed = getattr(body.config, "type_vocab_size", 1) > 1
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(body.config.hidden_size, 2)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
        candidates: torch.Tensor,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits (B, T, 2) in fp32, -inf off [CLS] and the candidates; the mean loss."""
        types = {"token_type_ids": token_type_ids} if self.typed else {}
        states = self.body(input_ids=input_ids, attention_mask=attention_mask, **types)
        logits = self.head(self.dropout(states.last_hidden_state.float()))
        allowed = candidates.clone()
        allowed[:, 0] = True
        logits = logits.masked_fill(~allowed.unsqueeze(-1), -torch.inf)
        loss = None
        if labels is not None:
            loss = cross_entropy(logits, labels[:, :2])  # over T, the mean of starts and ends
        return SequenceClassifierOutput(loss=loss, logits=logits)


def best_spans(logits: torch.Tensor) -> torch.Tensor:
    """(B, T, 2) -> (B, 3) float32: score of the best span, its first and its last token.

    The score is -inf where the window has no candidate.
    """
    starts, ends = logits.float().unbind(-1)
    null = starts[:, 0] + ends[:, 0]
    pairs = starts[:, :, None] + ends[:, None, :]
    band = torch.ones_like(pairs[0], dtype=torch.bool).triu().tril(MAX_ANSWER - 1)
    band[0] = False
    best, place = pairs.masked_fill(~band, -torch.inf).flatten(1).max(1)
    width = logits.shape[1]
    return torch.stack([best - null, (place // width).float(), (place % width).float()], 1)


def build(
    weights: Weights, *, dtype: str = "float32", dropout: float = DROPOUT
) -> tuple[SpanReader, Any]:
    """(model, tokenizer): the body in `dtype`, under it a fresh head in fp32.

    Raises InputError for a body that is not BERT-shaped.
    """
    body, loaded = encoder_body(weights.folder, dtype), tokenizer(weights.folder)
    if not reads_both_ways(body) or loaded("")["input_ids"][:1] != [loaded.cls_token_id]:
        raise InputError(
            f"{weights.ref} is a {body.config.model_type}: a reader needs a BERT-shaped model, "
            f"whose tokens see the words on both sides and whose [CLS] stands for `not in the "
            f"passage`, such as google-bert/bert-base-uncased"
        )
    return SpanReader(body, dropout).to(body.device), loaded


class Span(NamedTuple):
    """An answer, where it stands."""

    text: str
    passage: int
    """Index of the passage among those given."""
    start: int
    end: int
    """Characters of the passage; `text` is passage[start:end]."""
    score: float
    """Logits of the span less those of `not in the passage`."""


class Reader:
    """A trained reader, ready to serve. Safe to call from several threads."""

    def __init__(
        self, model: SpanReader, tokenizer: Any, card: adapters.Card, threshold: float = 0.0
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.card = card
        self.threshold = threshold

    def answer(self, question: str, passages: Sequence[str]) -> Span | None:
        """The best span of `passages`; None where none reaches the threshold."""
        best = max(self.spans(question, passages), key=lambda span: span.score, default=None)
        return best if best is not None and best.score >= self.threshold else None

    @torch.inference_mode()
    def spans(self, question: str, passages: Sequence[str], batch_size: int = 16) -> list[Span]:
        """The best span of each window of each passage, whatever its score."""
        made = [(n, w) for n, text in enumerate(passages)
                for w in windows(self.tokenizer, question, text)]  # fmt: skip
        device, pad = self.model.head.weight.device, self.tokenizer.pad_token_id
        found: list[Span] = []
        for first in range(0, len(made), batch_size):
            batch = made[first : first + batch_size]
            inputs = padded([window for _, window in batch], pad)
            logits = self.model(**{key: value.to(device) for key, value in inputs.items()}).logits
            for (n, window), row in zip(batch, best_spans(logits).tolist(), strict=True):
                found += _span(passages[n], n, window, row)
        return found


def _span(passage: str, number: int, window: Window, row: Sequence[float]) -> list[Span]:
    """The span of a row of `best_spans`; none where the window has no candidate."""
    if row[0] == -torch.inf:
        return []
    start, end = window.offsets[int(row[1])][0], window.offsets[int(row[2])][1]
    return [Span(passage[start:end], number, start, end, row[0])]


def load_reader(
    weights: Weights,
    adapter: Path,
    dtype: str = "float32",
    *,
    threshold: float = 0.0,
    allow_base: bool = False,
) -> Reader:
    """The reader in `adapter` on its base, merged in fp32, its body in `dtype`.

    threshold: `answer` of the run's calibration. Raises NotFound or InputError (files), Mismatch
    (another base, kind or layout).
    """
    card = adapters.read_card(adapter)
    if card.kind != "reader":
        raise Mismatch(f"the adapter in {adapter} is for {card.kind}, expected a reader's")
    adapters.check(card, weights, PROMPT_VERSION, allow_base=allow_base)
    model, loaded = build(weights, dropout=0.0)
    model = adapters.merged(model, adapter)
    model.body.to(getattr(torch, dtype))
    return Reader(model, loaded, card, threshold)
