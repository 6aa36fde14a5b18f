"""From token states to one vector a text. states: (B, T, D); mask: (B, T), 1 where a token is."""

from __future__ import annotations

import torch


def mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, D) float32: mean over the tokens of the mask; an empty mask gives zeros."""
    weight = mask.unsqueeze(-1).float()
    return (states.float() * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def first(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, D) float32: the state of the first token, [CLS], where the padding is on the right."""
    del mask
    return states[:, 0].float()


def last(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B, D) float32: the state of the last token of the mask, whichever side the padding is on."""
    places = torch.arange(mask.shape[1], device=mask.device)
    rows = torch.arange(mask.shape[0], device=mask.device)
    return states[rows, (mask * places).argmax(1)].float()
