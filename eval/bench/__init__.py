"""Benches: the product's speed beside two peers, one with its defaults and one tuned.

`BENCHES` is the registry: a name and its line; the file of the same name holds its `BENCH`. Nothing
is imported until a bench is asked for, so that `--help` can list them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from app.core.errors import NotFound, nearest

if TYPE_CHECKING:
    from eval.bench.base import Bench

BENCHES = {
    "retrieval": "indexing help articles, and finding the one that answers a question",
    "chat": "answers: the second turn, eight users at once, token after token",
    "train-encoder": "LoRA on a BERT for two classes",
    "train-chat": "LoRA on a chat model for answers over passages",
}

ROUNDS = 6
"""So that least and greatest hold the median with 0.97; each arm has each place in turn twice."""


def bench(name: str) -> Bench:
    """The bench called `name`. Raises NotFound, listing those that exist."""
    if name not in BENCHES:
        known = ", ".join(BENCHES)
        raise NotFound(f"no bench {name!r}.{nearest(name, BENCHES)} There is: {known}")
    found: Bench = import_module(f"eval.bench.{name.replace('-', '_')}").BENCH
    return found
