"""Attention in training: causal within each row of one long sequence, or torch's own.

On a CPU both are made of plain products: torch's flash kernel takes two to three times as long
there to train (SmolLM2-135M's heads at 384 tokens, MiniLM's at 25, fp32 and bf16).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "frontdesk_rows"
"""Under which transformers knows it."""
SHORT = 1024
"""Tokens; longer rows go to torch's kernel, since plain products keep the square of the length."""
_ANY = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
_IGNORED = {"position_ids", "use_cache", "is_causal", "output_attentions", "output_hidden_states"}


def row_by_row(
    _: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any,
    dropout: float = 0.0, scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None, **others: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention of each row to itself. query: (1, H, N, d); key, value: (1, H or fewer, N, d).

    cu_seq_lens_q: (rows + 1,), where rows begin and end. Returns (1, N, H, d). Raises ValueError
    for what it does not compute, such as a sliding window or a soft cap.
    """
    unknown = sorted(k for k, v in others.items() if v is not None and k not in _IGNORED)
    if cu_seq_lens_q is None or mask is not None or unknown:
        raise ValueError(f"{NAME} reads cu_seq_lens_q and no mask; it does not know {unknown}")
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = pairwise(cu_seq_lens_q.tolist())
    made = [
        _row(query[:, :, a:b], key[:, :, a:b], value[:, :, a:b], scale, dropout) for a, b in rows
    ]
    return torch.cat(made, dim=2).transpose(1, 2).contiguous(), None


def _row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, dropout: float
) -> torch.Tensor:
    if dropout or query.device.type != "cpu" or query.shape[2] > SHORT:
        with sdpa_kernel(_ANY):
            return scaled_dot_product_attention(
                query, key, value, dropout_p=dropout, scale=scale, is_causal=True
            )
    made: torch.Tensor = CausalProduct.apply(query[0], key[0], value[0], scale)  # type: ignore[no-untyped-call]
    return made[None]


class CausalProduct(torch.autograd.Function):
    """softmax(scale * q k' + causal mask) v. q, k, v: (H, T, d); gives (H, T, d)."""

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """The attention's output."""
        later = _later(q.shape[1], q.dtype).expand(len(q), -1, -1)
        share = torch.baddbmm(later, q, k.transpose(1, 2), alpha=scale).softmax(-1)
        ctx.save_for_backward(q, k, v, share)
        ctx.scale = scale
        return share @ v

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of q, k, v."""
        q, k, v, share = ctx.saved_tensors
        of_share = grads[0] @ v.transpose(1, 2)
        of_scores = torch._softmax_backward_data(of_share, share, -1, share.dtype)
        return (
            (of_scores @ k).mul_(ctx.scale),
            (of_scores.transpose(1, 2) @ q).mul_(ctx.scale),
            share.transpose(1, 2) @ grads[0],
            None,
        )


def _later(length: int, dtype: torch.dtype) -> torch.Tensor:
    """(T, T): 0 where a token may look, -inf at what comes after it."""
    return _square(-(-length // 128) * 128, dtype)[:length, :length]


@functools.lru_cache(maxsize=16)
def _square(size: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.full((size, size), float("-inf"), dtype=dtype).triu(1)


@contextmanager
def plain_products(device: str) -> Iterator[None]:
    """Within it torch's attention is made of plain products on a CPU; elsewhere it is as it was."""
    if device != "cpu":
        yield
        return
    with sdpa_kernel([SDPBackend.MATH]):
        yield


AttentionInterface.register(NAME, row_by_row)
