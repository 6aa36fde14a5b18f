"""ChatModel on transformers, with a PEFT adapter: several answers at once, nothing read twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from app.models import adapters
from app.models.kv_rows import KVRows
from app.models.loading import causal_model, tokenizer
from app.models.local_chat import LocalChat


class TransformersChat(LocalChat):
    """A causal language model in a folder that answers conversations.

    The adapter is merged into the weights in fp32 before the cast to `dtype`: unmerged, it takes a
    quarter of the decode speed. Raises InputError where the tokenizer has no chat template.
    """

    def __init__(
        self, folder: Path, adapter: Path | None = None, dtype: str = "float32", name: str = ""
    ) -> None:
        model = causal_model(folder, "float32" if adapter else dtype)
        if adapter:
            model = adapters.merged(model, adapter)
        self.model = model.to(getattr(torch, dtype)).eval()
        loaded = tokenizer(folder)
        self.rows = KVRows(self.model)
        super().__init__(
            name or folder.name, loaded, self.rows, end_tokens(self.model, loaded),
            getattr(self.model.config, "max_position_embeddings", None),
        )  # fmt: skip


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a turn: those of the generation config, and the tokenizer's own."""
    configured = model.generation_config.eos_token_id
    many = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*many, tokenizer.eos_token_id) if i is not None)
