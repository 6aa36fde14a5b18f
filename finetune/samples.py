"""The rows of a run: read, a seeded sample, without those that a named test set also holds."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from app.core import data
from app.core.errors import InputError, nearest
from finetune import overlap
from finetune.config import TrainConfig

R = TypeVar("R")
Read = Callable[[str, Mapping[str, str] | None], list[R]]
"""Rows of a data reference, with our names for its columns; such as app.core.data.regression."""


class Samples(NamedTuple):
    """What a task learns from and is chosen on."""

    train: list[Any]
    dev: list[Any]
    counts: dict[str, Any]
    """Rows read, left out and used, for run.json."""


def read(config: TrainConfig, rows: Read[R], said: Callable[[R], list[str]]) -> Samples:
    """Training and dev rows. said: the texts of a row that must not overlap with a test set's.

    Raises InputError for fewer than two training rows.
    """
    group, seed = config.data, config.run.seed
    known = overlap.known_texts(group.exclude_overlap_with)
    train: list[R] = []
    counts: dict[str, Any] = {}
    for ref in group.learnt_from:
        found = _sample(rows(ref, _columns(ref, config)), group.limit, seed)
        kept = [row for row in found if not overlap.shares(said(row), known)]
        counts[ref] = {"read": len(found), "overlap_left_out": len(found) - len(kept)}
        train += kept
    if len(train) < 2:
        raise InputError(
            f"expected two training rows or more, found {len(train)} in "
            f"{', '.join(group.learnt_from)} ({_lost(counts)} overlap with test and are left out)"
        )
    dev = [row for ref in group.dev for row in rows(ref, _columns(ref, config))]
    dev = _sample(dev, group.dev_limit, seed)
    return Samples(train, dev, {"train": counts, "used": len(train), "dev": len(dev)})


def check_labels(labels: list[str], rows: int, *, least: int) -> None:
    """Raise InputError for fewer labels than `least`, or for as many as there are training rows."""
    if len(labels) < least:
        words = {1: "one label", 2: "two labels"}[least]
        raise InputError(f"expected {words} or more in the training data, found {labels}")
    if len(labels) >= rows:
        raise InputError(
            f"expected fewer labels than training rows, found {len(labels)} labels in {rows} rows: "
            f"a label needs several examples; does data.columns name the right column?"
        )


def unknown_label(row: str, label: str, labels: list[str]) -> InputError:
    """For a label that dev has and training lacks, or the adapter that the run goes on from."""
    return InputError(
        f"row {row} has the label {label!r}.{nearest(label, labels)} Expected one of those in the "
        f"training data (or in adapter.init_from): {', '.join(labels)}"
    )


def _columns(ref: str, config: TrainConfig) -> Mapping[str, str] | None:
    own = data.parse_ref(ref).scheme in ("file", "hub")
    return config.data.columns if own else None


def _sample(rows: list[R], limit: int | None, seed: int) -> list[R]:
    return rows if limit is None or limit >= len(rows) else random.Random(seed).sample(rows, limit)


def _lost(counts: dict[str, Any]) -> int:
    return sum(found["overlap_left_out"] for found in counts.values())
