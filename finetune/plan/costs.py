"""Memory and work of a run by formula, from counts alone.

Work: Kaplan et al. 2020 (2N a token forward, N without embeddings) with the attention products as
Hoffmann et al. 2022 (appendix F) count them. Activations: Korthikanti et al. 2022.
"""

from __future__ import annotations

from typing import NamedTuple

STATES = {"adamw": 2, "adam": 2, "adadelta": 2, "sgd": 1}
"""Numbers that an optimiser keeps for each trained weight (sgd: with momentum)."""
_FP32 = 4
_KEPT = 17
"""Values that a layer keeps for the backward pass, for each token and hidden unit: 34 bytes in 16
bits."""
_SCORES = 3
"""fp32 values kept for each pair and head where no fused kernel recomputes the attention: scores
after the softmax, what dropout leaves of them, its noise."""


class Shape(NamedTuple):
    """Counts of a model as it is trained."""

    total: int
    trained: int
    working: int
    """Without embeddings: what each token is multiplied with."""
    weight_bytes: int
    layers: int
    hidden: int
    vocabulary: int
    """Width of the output layer; 0 for a model with a head of its own."""
    value_bytes: int
    """Of an activation: 2 where the frozen weights are in 16 bits, else 4."""
    adapter_bytes: int
    """What LoRA keeps for a token beside that: the inputs of its layers, in all layers together."""
    kept_heads: int
    """Heads whose scores are kept; 0 with a fused kernel (on CPU there is none with dropout)."""
    through: bool
    """Whether the backward pass goes through the body; it does not for a head alone."""


class Batch(NamedTuple):
    """What one step reads: its batches together, as one process computes them, padding included."""

    rows: int
    tokens: int
    pairs: int
    """Sum over rows of T * T: what attention compares."""
    asked: int
    """Tokens that carry loss through the output layer."""


class Memory(NamedTuple):
    """Bytes."""

    weights: int
    gradients: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


def memory(
    shape: Shape, largest: Batch, optimiser: str, momentum: float = 0.9, passes: int = 1
) -> Memory:
    """What training holds at its fullest: `largest` is the largest batch handled at once.

    What kernels and allocator hold for a moment is not in it: a process takes up to half as much
    again. passes: as in `flops`.
    """
    states = 0 if optimiser == "sgd" and not momentum else STATES[optimiser]
    return Memory(
        shape.weight_bytes,
        shape.trained * _FP32,
        shape.trained * _FP32 * states,
        passes * _activations(shape, largest),
    )


def _activations(shape: Shape, batch: Batch) -> int:
    layers = shape.layers if shape.through else 1  # without a backward pass one layer at a time
    kept = batch.tokens * shape.hidden * layers * _KEPT * shape.value_bytes
    scores = batch.pairs * shape.kept_heads * layers * _SCORES * _FP32
    # the logits, their fp32 copy and its gradient
    logits = batch.asked * shape.vocabulary * (shape.value_bytes + 2 * _FP32)
    return kept + scores + logits + batch.tokens * shape.adapter_bytes


def flops(shape: Shape, tokens: float, pairs: float, passes: int = 1) -> float:
    """Floating-point operations of training on `tokens`, whose attention compares `pairs`.

    A token: 2N forward, 2N back through the weights, frozen or not, 2N_trained for the gradients of
    the trained ones. Attention: 4 hidden a pair and layer forward, twice that backward. Of a model
    trained whole that is 6N + 12 L T hidden. Not counted: embeddings and output layer (Kaplan's N).
    passes: forward and backward passes over each row, 2 with R-Drop.
    """
    attention = 4.0 * shape.layers * shape.hidden * pairs
    forward = 2.0 * shape.working * tokens + attention
    back = (2.0 * shape.working * tokens + 2 * attention) if shape.through else 0.0
    gradients = 2.0 * min(shape.trained, shape.working) * tokens if shape.through else 0.0
    return passes * (forward + back + gradients)
