"""A small network that puts lists in order: a line and some tanh units, fitted list by list.

A softmax over each list, ListNet's top-one loss (Cao et al. 2007), AdamW; a few thousand lists take
seconds on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

SEED = 17
UNITS, EPOCHS, BATCH = 32, 12, 64
RATE, DECAY = 0.01, 0.3

Floats = np.ndarray[Any, np.dtype[np.float32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Listed(NamedTuple):
    """m things of which some are right."""

    x: Floats
    """(m, d)."""
    allowed: Flags
    """(m,): those that count; all that are right do."""
    right: Flags
    weight: float


def fit(lists: Sequence[Listed]) -> tuple[Floats, Floats, Floats, Floats]:
    """line (d,), first (d, UNITS), bias (UNITS,), out (UNITS,).

    A thing's score is x @ line + tanh(x @ first + bias) @ out. The same lists give the same
    weights.
    """
    x, allowed, right, weight = _padded(lists)
    generator = torch.Generator().manual_seed(SEED)
    width = x.shape[-1]
    line = torch.zeros(width, requires_grad=True)
    first = torch.randn(width, UNITS, generator=generator) / width**0.5
    first.requires_grad_()
    bias, out = torch.zeros(UNITS, requires_grad=True), torch.zeros(UNITS, requires_grad=True)
    optimiser = torch.optim.AdamW([line, first, bias, out], lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * -(-len(lists) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(lists), generator=generator)
        for start in range(0, len(lists), BATCH):
            rows = order[start : start + BATCH]
            scores = x[rows] @ line + torch.tanh(x[rows] @ first + bias) @ out
            scores = scores.masked_fill(~allowed[rows], -1e9)
            chance = scores.masked_fill(~right[rows], -1e9).logsumexp(1) - scores.logsumexp(1)
            loss = -(chance * weight[rows]).sum() / weight[rows].sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    made = tuple(part.detach().numpy() for part in (line, first, bias, out))
    return made[0], made[1], made[2], made[3]


def _padded(lists: Sequence[Listed]) -> tuple[torch.Tensor, ...]:
    most = max(len(one.x) for one in lists)
    x = torch.zeros(len(lists), most, lists[0].x.shape[1])
    allowed, right = (torch.zeros(len(lists), most, dtype=torch.bool) for _ in range(2))
    for row, one in enumerate(lists):
        x[row, : len(one.x)] = torch.from_numpy(one.x)
        allowed[row, : len(one.x)] = torch.from_numpy(one.allowed)
        right[row, : len(one.x)] = torch.from_numpy(one.right)
    return x, allowed, right, torch.tensor([one.weight for one in lists])
