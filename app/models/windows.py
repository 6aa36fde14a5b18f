"""A question and a passage as tokens: windows over the passage, each behind the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

MAX_TOKENS, STRIDE = 384, 128
"""Of a window, and how many of them two neighbours share."""
MAX_QUESTION = 64
"""Tokens; what is longer is cut."""


class Window(NamedTuple):
    """A question and a piece of its passage, as tokens (T,)."""

    input_ids: list[int]
    token_type_ids: list[int]
    """0 up to the first separator, 1 behind it; zeros where the model knows no types."""
    candidates: list[bool]
    """Where an answer may begin and end: at the passage's tokens; [CLS] is at 0."""
    offsets: list[tuple[int, int]]
    """Characters of the passage that the token stands for."""


def windows(
    tokenizer: Any, question: str, passage: str, max_tokens: int = MAX_TOKENS
) -> list[Window]:
    """All of `passage` in windows of `max_tokens`, each behind the question, which may be cut."""
    most = min(MAX_QUESTION, max_tokens // 3)
    cut = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True,
                    truncation=True, max_length=most)  # fmt: skip
    length = len(cut["input_ids"])
    room = max_tokens - length - tokenizer.num_special_tokens_to_add(pair=True)
    found = tokenizer(
        question[: cut["offset_mapping"][-1][1]] if length else "", passage,
        truncation="only_second", max_length=max_tokens, stride=min(STRIDE, room // 2),
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    return [_window(found, number) for number in range(len(found["input_ids"]))]


def _window(found: Any, number: int) -> Window:
    ids = found["input_ids"][number]
    types = found.get("token_type_ids")
    candidates = [part == 1 for part in found.sequence_ids(number)]
    return Window(
        ids,
        types[number] if types else [0] * len(ids),
        candidates,
        found["offset_mapping"][number],
    )


def padded(rows: Sequence[Window], pad: int) -> dict[str, torch.Tensor]:
    """The inputs of SpanReader, (B, T), padded on the right."""
    longest = max(len(row.input_ids) for row in rows)

    def filled(values: Sequence[Any], filler: int) -> list[Any]:
        return [*values, *[filler] * (longest - len(values))]

    return {
        "input_ids": torch.tensor([filled(row.input_ids, pad) for row in rows]),
        "attention_mask": torch.tensor([filled([1] * len(row.input_ids), 0) for row in rows]),
        "token_type_ids": torch.tensor([filled(row.token_type_ids, 0) for row in rows]),
        "candidates": torch.tensor([filled(row.candidates, 0) for row in rows], dtype=torch.bool),
    }
