"""Batches of texts of about the same length, so that little time goes into padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch


def length_sorted(
    tokenizer: Any, texts: Sequence[str], max_tokens: int, batch_size: int
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Yields (rows, inputs): indices into `texts`; input_ids and attention_mask, both (B, T).

    Padded on the right; longer texts are cut at the end. A text without tokens (GPT-2 makes none of
    an empty one) becomes one pad token that is attended to, so no row is ever empty.
    """
    encoded: list[list[int]] = []
    if texts:
        encoded = tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
    pad = tokenizer.pad_token_id
    encoded = [ids or [pad] for ids in encoded]
    order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield rows, pad_right([encoded[row] for row in rows], pad)


def pad_right(encoded: Sequence[Sequence[int]], pad: int) -> dict[str, torch.Tensor]:
    """input_ids and attention_mask (B, T) int64, T the longest of `encoded`."""
    longest = max(len(ids) for ids in encoded)
    ids = [[*row, *[pad] * (longest - len(row))] for row in encoded]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in encoded]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
