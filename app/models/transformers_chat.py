"""ChatModel on transformers, with a PEFT adapter: several answers at once, nothing read twice."""

from __future__ import annotations

from collections.abc import Sequence
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
        ends = end_tokens(self.model.generation_config, loaded)
        room = getattr(self.model.config, "max_position_embeddings", None)
        super().__init__(name or folder.name, loaded, self.rows, ends, room)

    @torch.inference_mode()
    def predicted(self, prompt: Sequence[int], answer: Sequence[int]) -> list[int]:
        """The likeliest token at each place of `answer`, given `prompt` and the answer up to it."""
        return [int(i) for i in self.logits(prompt, answer).argmax(-1)]

    @torch.inference_mode()
    def logits(self, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
        """(len(answer), V) in fp32: what the model expects at each place of `answer`."""
        ids = torch.tensor([[*prompt, *answer]], device=self.model.device)
        made: torch.Tensor = self.model(ids, logits_to_keep=len(answer) + 1).logits
        return made[0, :-1].float()


def end_tokens(generation: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a turn: those of the generation config, and the tokenizer's own."""
    configured = generation.eos_token_id
    many = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*many, tokenizer.eos_token_id) if i is not None)
