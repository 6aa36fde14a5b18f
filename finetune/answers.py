"""TRL's SFTTrainer, fed rows end to end, with a head that reads no more than it must."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from trl.trainer.sft_trainer import SFTTrainer

from finetune.packing import IGNORED
from finetune.trainer import Repeatable


class AnswerTrainer(Repeatable, SFTTrainer):
    """Mean cross-entropy over the tokens of the answers, in training over those of a step.

    Off a GPU TRL 1.16 applies the head to every token of the prompt: a third more time for a step.
    """

    packed = False
    """Whether batches are those of packing.end_to_end: then rows need no neighbours as long."""

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:  # fmt: skip
        """The batch's share of the step's mean; the mean of the batch without num_items."""
        losses, _ = self._losses(model, inputs)
        if num_items_in_batch is None:
            loss = losses.mean()
        else:  # counted over all processes, averaged by DDP
            loss = losses.sum() / num_items_in_batch * self.accelerator.num_processes
        return (loss, None) if return_outputs else loss

    def prediction_step(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """(None, sums, sums), where sums, (rows, 2), has each row's loss and tokens: `dev_loss`."""
        with torch.no_grad():
            given = self._prepare_inputs(inputs)
            losses, rows = self._losses(model, given)
        n = len(given.get("cu_seq_lens_q", [None, *given["input_ids"]])) - 1
        sums = torch.zeros(n, 2, device=losses.device)
        sums.index_add_(0, rows, torch.stack([losses, torch.ones_like(losses)], dim=1))
        return None, sums, sums

    def _losses(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of each token of the answers, (n,) fp32, and the row that it belongs to, (n,)."""
        targets = inputs["labels"][:, 1:]
        asked = nn.functional.pad(targets != IGNORED, (0, 1))
        given = {key: value for key, value in inputs.items() if key != "labels"}
        with head_reads(self.accelerator.unwrap_model(model), asked):
            logits = model(**given, use_cache=False).logits[0].float()
        losses = cross_entropy(logits, targets[asked[:, :-1]], reduction="none")
        row, place = asked.nonzero(as_tuple=True)
        ends = inputs.get("cu_seq_lens_q")
        return losses, row if ends is None else torch.bucketize(place, ends[1:], right=True)

    def _lengths(self, rows: Any) -> list[int]:
        return [1] * len(rows) if self.packed else super()._lengths(rows)


def dev_loss(found: Any) -> dict[str, float]:
    """{"loss"}: the mean over all tokens of dev, from the sums of `prediction_step`."""
    total, count = found.predictions.sum(axis=0)
    return {"loss": float(total / count)}


@contextmanager
def head_reads(model: Any, asked: torch.Tensor) -> Iterator[None]:
    """Within it the logits of `model` are (1, n, vocabulary): those where `asked`, (B, T), is true.

    Done where the head is entered, so that whatever a model does to its logits is done to these.
    """
    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][asked][None],))
    try:
        yield
    finally:
        handle.remove()
