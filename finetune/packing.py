"""Rows of one batch laid end to end in one sequence, so that no work goes into padding.

A batch holds the rows that it would hold without: packing changes neither steps nor gradients, only
how the rows lie. Positions begin anew at each row, and attention is computed row by row, so none
sees another, and a row costs the square of its own length, not of the longest. `separates` asks the
model at hand whether it keeps to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch

from finetune.attention import NAME

IGNORED = -100
"""Label of a token that carries no loss."""


def end_to_end(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """One sequence of rows {input_ids, labels}; labels default to the tokens themselves.

    Gives input_ids, labels, position_ids, (1, N) int64, and cu_seq_lens_q, (rows + 1,), where the
    rows begin and end. A row's first token is never a target: nothing before it is its own.
    """
    ids = [token for row in rows for token in row["input_ids"]]
    labels = [
        label for row in rows for label in (IGNORED, *list(row.get("labels", row["input_ids"]))[1:])
    ]
    places = [place for row in rows for place in range(len(row["input_ids"]))]
    ends = list(accumulate((len(row["input_ids"]) for row in rows), initial=0))
    lines = {"input_ids": ids, "labels": labels, "position_ids": places}
    made = {key: torch.tensor([line]) for key, line in lines.items()}
    return made | {"cu_seq_lens_q": torch.tensor(ends)}


def pack(model: Any) -> bool:
    """Have `model`, a causal LM, attend row by row; False, and unchanged, where it cannot."""
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        if separates(model):
            return True
    except (TypeError, ValueError):  # an argument that the model, or the attention, does not know
        pass
    model.set_attn_implementation(before)
    return False


@torch.no_grad()
def separates(model: Any) -> bool:
    """Whether two rows laid end to end get the logits that each gets alone.

    The yardstick is the change that the first row makes to the second where it is seen: a model in
    bf16 is never quite equal.
    """
    was, size = model.training, model.config.get_text_config().vocab_size
    model.eval()
    device = next(model.parameters()).device
    first, second = ([(n + i) % size for i in range(12)] for n in (3, 40))

    def logits(*rows: list[int]) -> torch.Tensor:
        made = end_to_end([{"input_ids": row} for row in rows])
        given = {key: value.to(device) for key, value in made.items() if key != "labels"}
        found: torch.Tensor = model(**given, use_cache=False).logits[:, -12:]
        return found

    alone, packed, seen = logits(second), logits(first, second), logits(first + second)
    model.train(was)
    apart, mixed = ((alone - other).abs().max().item() for other in (packed, seen))
    return apart <= 0.2 * mixed
