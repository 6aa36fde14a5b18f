"""LoRA's linear layers computed as one node: the same numbers, fewer passes over the activations.

PEFT adds the low-rank path beside the layer: two small products, a scaling and an addition, each a
pass over all activations, in fp32 whatever the frozen weights are. Here it is added in place by the
products themselves, in the dtype of the frozen weights, and the backward pass is written out: no
gradient of a frozen weight, no copy of the input. Parameters and what is saved stay PEFT's.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch.nn.functional import linear


def fuse(model: Any) -> int:
    """Make every plain LoRA layer of `model` (a PeftModel) compute so; returns how many do.

    A layer keeps PEFT's way where it has dropout or a variant of LoRA, or where its base is not a
    torch.nn.Linear (GPT-2's Conv1D, quantised weights).
    """
    layers = [module for module in model.modules() if type(module) is Linear and _plain(module)]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]
    return len(layers)


def _plain(layer: Any) -> bool:
    names = layer.active_adapters
    return (
        type(layer.base_layer) is torch.nn.Linear
        and len(names) == 1
        and not layer.lora_variant
        and not layer.lora_bias.get(names[0])
        and isinstance(layer.lora_dropout[names[0]], torch.nn.Identity)
    )


def _forward(layer: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    weight = layer.base_layer.weight
    if layer.disable_adapters or layer.merged or x.dtype != weight.dtype or kwargs:
        return Linear.forward(layer, x, *args, **kwargs)
    (name,) = layer.active_adapters
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    given = (x, weight, layer.base_layer.bias, a, b, layer.scaling[name])
    made: torch.Tensor = LoraProduct.apply(*given)  # type: ignore[no-untyped-call]
    return made


class LoraProduct(torch.autograd.Function):
    """x W' + bias + scale * (x A') B', where W and bias are frozen.

    x: (..., in); weight: (out, in) and bias (out,) in the dtype of x; a: (rank, in) and b: (out,
    rank) in fp32. Gradients for x, a and b; those of a and b in their own dtype.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
        a: torch.Tensor, b: torch.Tensor, scale: float,
    ) -> torch.Tensor:  # fmt: skip
        """The layer's output, (..., out)."""
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ a.to(x.dtype).T
        out = linear(rows, weight, bias).addmm_(low, b.to(x.dtype).T, alpha=scale)
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scale = scale
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients in the order of forward's arguments."""
        rows, weight, a, b, low = ctx.saved_tensors
        shape = grads[0].shape
        grad = grads[0].reshape(-1, shape[-1])
        of_low = (grad @ b.to(grad.dtype)).mul_(ctx.scale)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (grad @ weight).addmm_(of_low, a.to(grad.dtype)).view(*shape[:-1], -1)
        of_a = (of_low.T @ rows).to(a.dtype)
        of_b = (grad.T @ low).mul_(ctx.scale).to(b.dtype)
        return of_x, None, None, of_a, of_b, None
