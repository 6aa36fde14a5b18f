"""Rows that are longer than data.max_tokens, by the tokenizer of the model."""

from __future__ import annotations

from collections.abc import Iterator

from finetune.doctor.chats import rendered_rows
from finetune.doctor.finding import Finding, Place, finding, out_of, share
from finetune.doctor.rows import Case, Sample, prepare

CUT = ("classification", "multilabel", "regression")
"""Tasks that cut a long text; chats leave the row out, a reader looks at it in windows."""


def too_long(case: Case) -> Iterator[Finding]:
    """Texts that are cut, conversations that are left out."""
    if case.config.task in CUT:
        yield from _cut(case)
    elif case.config.task != "reader":
        yield from _left_out(case)


def _cut(case: Case) -> Iterator[Finding]:
    rows, most = case.part("train"), case.config.data.max_tokens
    if not rows:
        return
    ids = case.tokenizer([prepare(row.text) for row in rows])["input_ids"]
    counts = [len(row) for row in ids]
    long = [(row, n) for row, n in zip(rows, counts, strict=True) if n > most]
    if long:
        lost = sum(n - most for _, n in long)
        yield finding(
            "too_long", "warning", _places(long), len(rows),
            f"longer than data.max_tokens {most} and cut: "
            f"{out_of(len(long), len(rows), 'training rows')}; so {share(lost, sum(counts))} of "
            f"all tokens is lost",
            f"Raise data.max_tokens (the longest row has {max(counts)}), or split these texts.",
        )  # fmt: skip


def _left_out(case: Case) -> Iterator[Finding]:
    rows, most = rendered_rows(case), case.config.data.max_tokens
    long = [(row.sample, len(row.ids)) for row in rows if len(row.ids) > most]
    if not long:
        return
    none = len(long) == len(rows)
    what = (
        f"no training row fits in data.max_tokens {most}" if none else
        f"longer than data.max_tokens {most} and left out: "
        f"{out_of(len(long), len(rows), 'training rows looked at')}"
    )  # fmt: skip
    yield finding(
        "too_long", "error" if none else "warning", _places(long), len(rows), what,
        f"Raise data.max_tokens (the longest row has {max(n for _, n in long)}), or shorten them.",
    )  # fmt: skip


def _places(long: list[tuple[Sample, int]]) -> list[Place]:
    longest = sorted(long, key=lambda pair: -pair[1])
    return [Place(row.where, f"{n} tokens: {row.text}") for row, n in longest]
