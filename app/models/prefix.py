"""What was read before need not be read again: keys and values of prompts that begin alike.

Reused is what follows from the same tokens alone, so an answer is the one that would be given
without it, and no word of one conversation reaches another. Nor does its speed tell what others
wrote: between conversations only the system message is reused; more needs a prompt with an answer
in it, whose first question is repeated whole: whoever goes on from it has asked it themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from app.models.batcher import Ticket
from app.models.local_chat import common

BYTES = 512 * 2**20
"""Of all that is kept; a token of a 135M model in fp32 takes 46 kB."""

ENTRIES = 64
"""Conversations that are kept at most: each is compared with every prompt."""


class Layer(NamedTuple):
    """Keys and values of one layer, each (1, heads, tokens, width)."""

    keys: torch.Tensor
    values: torch.Tensor

    def first(self, tokens: int) -> Layer:
        """Those of the first tokens, without a copy."""
        return Layer(self.keys[:, :, :tokens], self.values[:, :, :tokens])


class _Entry(NamedTuple):
    tokens: Sequence[int]
    layers: Sequence[Layer]

    @property
    def bytes(self) -> int:
        return sum(part.numel() * part.element_size() for layer in self.layers for part in layer)


class PrefixCache:
    """The latest prompts with their answers, least recently used dropped first. For one thread."""

    def __init__(self, most_bytes: int = BYTES) -> None:
        self.most_bytes = most_bytes
        self._entries: list[_Entry] = []
        """Least recently used first."""

    @property
    def bytes(self) -> int:
        """What is kept takes."""
        return sum(entry.bytes for entry in self._entries)

    def find(self, ticket: Ticket) -> tuple[int, Sequence[Layer]]:
        """How many tokens of its prompt need not be read, and their layers; (0, []) for none.

        The last token is always read, since the first of the answer follows from it.
        """
        most, best = 0, None
        for entry in self._entries:
            alike = _allowed(ticket, min(common(ticket.prompt, entry.tokens),
                                         len(ticket.prompt) - 1))  # fmt: skip
            if alike > most:
                most, best = alike, entry
        if best is None:
            return 0, []
        self._entries.remove(best)
        self._entries.append(best)
        return most, [layer.first(most) for layer in best.layers]

    def keep(self, tokens: Sequence[int], layers: Sequence[Layer]) -> None:
        """Remember `layers` of `tokens`, instead of what these go on from."""
        new = _Entry(list(tokens), layers)
        self._entries = [e for e in self._entries if common(e.tokens, tokens) < len(e.tokens)]
        self._entries.append(new)
        while self.bytes > self.most_bytes or len(self._entries) > ENTRIES:
            self._entries.pop(0)


def _allowed(ticket: Ticket, alike: int) -> int:
    """How many of `alike` tokens may be reused for `ticket`, by the rule above."""
    whole = ticket.opening is not None and alike >= ticket.opening
    return alike if whole else min(alike, ticket.shared)
