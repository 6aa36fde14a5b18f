"""Continuous batching on transformers: every step writes one token for each answer under way.

Prompts are read in pieces between the steps, so that a long one neither holds up those who are
being answered nor outlasts a stop. Keys and values lie in one tensor a layer, a row an answer,
written in place: nothing is padded, copied or concatenated when a token is added. Models whose
layers do not all attend to everything keep transformers' own cache and are stepped one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

from app.models.base import Options
from app.models.batcher import Ticket
from app.models.prefix import Layer, PrefixCache

MOST_ROWS = 16
MOST_TOKENS = 16_384
"""Rows times the longest of them: 750 MB for a 135M model in fp32."""
READ, READ_ALONE = 256, 512
"""Prompt tokens that are read between two steps, and where nobody is being answered yet."""
_BLOCK = 256
"""Tokens by which rows grow longer."""


class _Row:
    """An answer under way."""

    def __init__(self, ticket: Ticket, device: torch.device) -> None:
        self.ticket, self.tokens = ticket, list[int]()
        """Tokens that have been read into the cache."""
        self.cache: Any = None
        """transformers' own, until the row has moved into the slots."""
        self.last = -1
        """Written, and not yet read."""
        self.draw = sampler(ticket.options, device)

    def need(self) -> int:
        """Tokens that it may come to have."""
        return len(self.ticket.prompt) + self.ticket.options.max_new_tokens


class _Slots(Cache):
    """Keys and values of all rows: for each layer (rows, heads, tokens, width), row r in slot r."""

    def __init__(self) -> None:
        self.layers: list[Any] = []  # transformers' own; none is used
        self.held: list[Layer] = []
        self._rows = self._places = torch.zeros(0, dtype=torch.long)
        self._longest = 0

    def aim(self, places: torch.Tensor) -> None:
        """The next update goes to places (rows,) of the first rows."""
        self._places, self._rows = places, torch.arange(len(places), device=places.device)
        self._longest = int(places.max()) + 1

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One token a row is added; returns views of all there are, as transformers asks for."""
        keys, values = self.held[layer_idx]
        keys[self._rows, :, self._places] = key_states[:, :, 0]
        values[self._rows, :, self._places] = value_states[:, :, 0]
        count = len(self._rows)
        return keys[:count, :, : self._longest], values[:count, :, : self._longest]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens of the longest row."""
        del layer_idx
        return self._longest

    def put(self, slot: int, layers: Sequence[Layer], length: int, most: int) -> None:
        """Copy `layers`, of `length` tokens, into `slot`, the last one, with room for `most`.

        most: tokens that the longest of all rows may come to have.
        """
        self._grow(slot + 1, most, layers)
        for (keys, values), new in zip(self.held, layers, strict=True):
            keys[slot, :, :length] = new.keys[0, :, :length]
            values[slot, :, :length] = new.values[0, :, :length]

    def move(self, source: int, target: int, length: int) -> None:
        """Row `source` goes to slot `target`."""
        for keys, values in self.held:
            keys[target, :, :length] = keys[source, :, :length]
            values[target, :, :length] = values[source, :, :length]

    def of(self, slot: int, length: int) -> list[Layer]:
        """A copy of what `slot` holds."""
        return [
            Layer(k[slot : slot + 1, :, :length].clone(), v[slot : slot + 1, :, :length].clone())
            for k, v in self.held
        ]

    def clear(self) -> None:
        """Give the memory back."""
        self.held = []

    def _grow(self, rows: int, tokens: int, like: Sequence[Layer]) -> None:
        have = self.held[0].keys.shape if self.held else (0, 0, 0, 0)
        if have[0] >= rows and have[2] >= tokens:
            return
        many, long = 1 << (rows - 1).bit_length(), -(-tokens // _BLOCK) * _BLOCK
        # Rounded up, so that not every row makes them grow, as far as the bound allows.
        rows, tokens = (many, long) if many * long <= MOST_TOKENS else (rows, tokens)
        if max(have[0], rows) * max(have[2], tokens) <= MOST_TOKENS:
            # Never smaller, but where a row that has left was far longer than those that stay.
            rows, tokens = max(have[0], rows), max(have[2], tokens)
        kept_rows, kept_tokens = min(have[0], rows), min(have[2], tokens)
        grown = [
            Layer(*(p.new_zeros(rows, p.shape[1], tokens, p.shape[3]) for p in layer))
            for layer in like
        ]
        for old, new in zip(self.held, grown, strict=bool(self.held)):
            for part, larger in zip(old, new, strict=True):
                larger[:kept_rows, :, :kept_tokens] = part[:kept_rows, :, :kept_tokens]
        self.held = grown


class KVRows:
    """app.models.batcher.Rows on a causal language model of transformers."""

    def __init__(self, model: Any, most_rows: int = MOST_ROWS) -> None:
        self.model, self.most_rows = model, most_rows
        self.prefix = PrefixCache()
        self.read = 0
        """Prompt tokens read so far, those that were found in the prefix cache left out."""
        self._together = _attends_to_all(model.config)
        self._reading: list[_Row] = []
        self._writing: list[_Row] = []
        """In the order of their slots."""
        self._slots = _Slots()

    def room(self, ticket: Ticket) -> bool:
        """See Rows."""
        rows = [*self._reading, *self._writing]
        need = max([len(ticket.prompt) + ticket.options.max_new_tokens, *(r.need() for r in rows)])
        many = len(rows) + 1
        return not rows or (many <= self.most_rows and many * need <= MOST_TOKENS)

    @torch.inference_mode()
    def join(self, ticket: Ticket) -> None:
        """See Rows."""
        row = _Row(ticket, self.model.device)
        row.cache = DynamicCache(config=self.model.config)
        if self._together:
            known, layers = self.prefix.find(ticket)
            for number, layer in enumerate(layers):
                row.cache.update(layer.keys, layer.values, number)
            row.tokens = list(ticket.prompt[:known])
        self._reading.append(row)

    @torch.inference_mode()
    def step(self) -> list[tuple[Ticket, int]]:
        """See Rows."""
        left = READ if self._writing else READ_ALONE
        writing = list(self._writing)
        if self._together and writing:
            self._write(writing)
        else:
            for row in writing:
                self._forward(row, [row.last])
        said = [(row.ticket, row.last) for row in writing]
        while self._reading and left > 0:
            row = self._reading[0]
            piece = list(row.ticket.prompt[len(row.tokens) :][:left])
            left -= len(piece)
            self.read += len(piece)
            self._forward(row, piece)
            if len(row.tokens) == len(row.ticket.prompt):
                self._place(self._reading.pop(0))
                said.append((row.ticket, row.last))
        return said

    @torch.inference_mode()
    def leave(self, ticket: Ticket) -> None:
        """See Rows."""
        self._reading = [row for row in self._reading if row.ticket is not ticket]
        slot = next((i for i, row in enumerate(self._writing) if row.ticket is ticket), None)
        if slot is None:
            return
        row, end = self._writing[slot], self._writing.pop()
        if self._together:
            self.prefix.keep(row.tokens, self._slots.of(slot, len(row.tokens)))
        if end is not row:
            self._writing[slot] = end
            if self._together:
                self._slots.move(len(self._writing), slot, len(end.tokens))
        if not self._writing:
            self._slots.clear()

    def clear(self) -> None:
        """See Rows."""
        self._reading, self._writing = [], []
        self._slots.clear()

    def _forward(self, row: _Row, tokens: list[int]) -> None:
        """Read `tokens` into the row's own cache; what follows from them is its last token."""
        made = self.model(
            input_ids=torch.tensor([tokens], device=self.model.device),
            past_key_values=row.cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        row.cache = made.past_key_values
        row.tokens += tokens
        row.last = row.draw(made.logits[0, -1])

    def _place(self, row: _Row) -> None:
        """A row whose prompt has been read begins to write."""
        if self._together:
            layers = [Layer(layer.keys, layer.values) for layer in row.cache.layers]
            most = max(each.need() for each in (*self._writing, row))
            self._slots.put(len(self._writing), layers, len(row.tokens), most)
            row.cache = None
        self._writing.append(row)

    def _write(self, rows: Sequence[_Row]) -> None:
        """A token more for all `rows` at once."""
        device = self.model.device
        places = torch.tensor([len(row.tokens) for row in rows], device=device)
        self._slots.aim(places)
        seen = torch.arange(int(places.max()) + 1, device=device) <= places[:, None]
        mask = torch.zeros(seen.shape, dtype=self.model.dtype, device=device)
        mask.masked_fill_(~seen, float("-inf"))
        made = self.model(
            input_ids=torch.tensor([[row.last] for row in rows], device=device),
            position_ids=places[:, None], attention_mask=mask[:, None, None],
            past_key_values=self._slots, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        for row, logits in zip(rows, made.logits[:, -1], strict=True):
            row.tokens.append(row.last)
            row.last = row.draw(logits)


def sampler(options: Options, device: torch.device) -> Callable[[torch.Tensor], int]:
    """logits (V,) -> token id."""
    if options.temperature <= 0:
        return lambda logits: int(logits.argmax())
    generator = torch.Generator(device)
    if options.seed is None:
        generator.seed()
    else:
        generator.manual_seed(options.seed)

    def draw(logits: torch.Tensor) -> int:
        likely = (logits.float() / options.temperature).softmax(-1)
        return int(torch.multinomial(likely, 1, generator=generator))

    return draw


def _attends_to_all(config: Any) -> bool:
    """Whether every layer keeps the keys and values of every token."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) and getattr(
        config, "use_sliding_window", True
    )
    return kinds == {"full_attention"} and not windowed
