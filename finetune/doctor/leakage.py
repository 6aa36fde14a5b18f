"""Dev and test rows that training also holds: by whole text, or by 13 words in a row."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from app.core import fingerprints
from finetune.doctor.finding import Finding, Place, finding, out_of
from finetune.doctor.rows import Case, Part, prepare

TOLERATED = 0.01
"""Share of dev or test rows up to which leakage is a warning, as the gate has it."""


def leakage(case: Case) -> Iterator[Finding]:
    """Dev rows in training, test rows in training, test rows in dev."""
    known = {part: _fingerprints(case, part) for part in ("train", "dev")}
    for part, other in (("dev", "train"), ("test", "train"), ("test", "dev")):
        rows = case.part(part)  # type: ignore[arg-type]
        shared = [row for row in rows if any(_of(text) & known[other] for text in row.learnt)]
        if shared:
            yield _leak(part, other, [Place(row.where, row.text) for row in shared], len(rows))


def excluded(case: Case) -> Iterator[Finding]:
    """Training rows that the config already leaves out for their overlap with a test set."""
    if case.overlapping:
        read = case.overlapping + len(case.part("train"))
        yield finding(
            "excluded", "info", [], read,
            f"share a text or 13 words in a row with data.exclude_overlap_with, and are left out: "
            f"{out_of(case.overlapping, read, 'training rows')}", "", count=case.overlapping,
        )  # fmt: skip


def _leak(part: str, other: str, places: list[Place], of: int) -> Finding:
    count = len(places)
    held = {"train": "training", "dev": "dev"}[other]
    return finding(
        "leakage", "error" if count > TOLERATED * of else "warning", places, of,
        f"share their whole text or 13 words in a row with {held} rows: "
        f"{out_of(count, of, f'{part} rows')}",
        f"Name the {part} reference in data.exclude_overlap_with: it leaves them out of training."
        if other == "train" else
        "Take other dev rows: what is chosen on dev is chosen on these test rows too.",
    )  # fmt: skip


def _fingerprints(case: Case, part: Part) -> frozenset[int]:
    texts = {text for row in case.part(part) for text in row.learnt}
    return frozenset().union(*map(_of, texts))


@cache
def _of(text: str) -> frozenset[int]:
    return frozenset(fingerprints.of(prepare(text)))
