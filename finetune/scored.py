"""The probabilities that TRL's preference trainers read, with a head that reads the answers alone.

Off a GPU TRL 1.16 applies the head to every token of the prompts too, several times over: more than
half of a step of SmolLM2-135M over help-desk passages.
"""

from __future__ import annotations

import functools
from types import MethodType
from typing import Any

import torch
from torch.nn.functional import pad
from trl.trainer.utils import FusedCausalLMOutput

from finetune.answers import head_reads
from finetune.packing import IGNORED


def score_answers(model: Any) -> None:
    """Make `model`, a language model that TRL has patched, answer `fused_lm_head=True` by itself.

    Its other calls stay as they are.
    """
    plain = type(model).forward

    @functools.wraps(plain)
    def forward(
        self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any
    ) -> Any:
        if fused_lm_head:
            return _scored(self, plain, labels[:, 1:], args, kwargs)
        return plain(self, *args, labels=labels, **kwargs)

    model.forward = MethodType(forward, model)


def _scored(
    model: Any, plain: Any, targets: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> FusedCausalLMOutput:
    """What TRL logs of each token of the answers, (B, T - 1) fp32, 0 where there is no target."""
    asked = targets != IGNORED
    with head_reads(model, pad(asked, (0, 1))):
        logits = plain(model, *args, **kwargs).logits[0].float()
    said, wanted = logits.log_softmax(-1), targets[asked]

    def placed(found: torch.Tensor) -> torch.Tensor:
        return found.new_zeros(asked.shape).masked_scatter(asked, found)

    with torch.no_grad():
        told = {
            "entropy": placed(-(said.exp() * said).sum(-1)),
            "mean_logits": placed(logits.mean(-1)),
            "is_top1": placed(logits.argmax(-1) == wanted),
        }
    return FusedCausalLMOutput(log_probs=placed(said.gather(1, wanted[:, None])[:, 0]), **told)
