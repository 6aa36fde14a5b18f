"""Labels and scores: enough of them, known in training, not all of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from app.core.errors import InputError
from finetune.doctor.finding import Finding, Place, finding
from finetune.doctor.rows import Case, Sample
from finetune.samples import check_labels, unknown_label

LOPSIDED = 10.0
"""How many times as often the commonest label may stand as the rarest."""
FEW = 5
"""Training rows below which a label is hardly learnt."""


def rows(case: Case) -> Iterator[Finding]:
    """A data set of 0 or 1 rows."""
    found = len(case.part("train"))
    if found < 2 and not case.faults:
        refs = ", ".join(case.config.data.learnt_from)
        yield finding(
            "rows", "error", [], found,
            f"expected two training rows or more, found {found} in {refs}",
            "Name more data, or see why the rows there are were left out.", count=found,
        )  # fmt: skip


def labels(case: Case) -> Iterator[Finding]:
    """Fewer than two labels, or as many as rows.

    A run that goes on from an adapter has the labels of that: there this is a warning.
    """
    train, known = case.part("train"), _known(case)
    if not known or len(train) < 2:
        return
    try:
        check_labels(known, len(train), least=1 if case.config.task == "multilabel" else 2)
    except InputError as error:
        yield finding(
            "labels", "warning" if case.config.adapter.init_from else "error",
            [Place(row.where, f"{row.text} -> {', '.join(row.labels)}") for row in train],
            len(train), error.message,
            "Name the right column in data.columns, or add rows of other labels.",
            count=len(known),
        )  # fmt: skip


def unknown(case: Case) -> Iterator[Finding]:
    """Labels in dev or test that training lacks; those of an adapter to go on from it may lack."""
    others, known = case.part("dev", "test"), _known(case)
    strangers = [(row, name) for row in others for name in row.labels if name not in set(known)]
    if strangers and known and not case.config.adapter.init_from:
        row, name = strangers[0]
        yield finding(
            "unknown_labels", "error", [Place(r.where, f"{r.text} -> {n}") for r, n in strangers],
            len(others), unknown_label(getattr(row.record, "id", row.where), name, known).message,
            "Correct the label, add training rows of it, or take these rows out of dev and test.",
        )  # fmt: skip


def balance(case: Case) -> Iterator[Finding]:
    """Labels that are far rarer than others, or nearly absent."""
    train = case.part("train")
    counts = Counter(label for row in train for label in row.labels)
    if len(counts) < 2 or len(counts) >= len(train):
        return
    (most, high), (least, low) = counts.most_common()[0], counts.most_common()[-1]
    rare = [name for name, count in counts.items() if count < FEW]
    if high > LOPSIDED * low or (rare and high >= FEW):
        yield finding(
            "balance", "warning", _one_of_each(train, rare or [least]), len(train),
            f"{high:,} training rows have the label {most!r}, {low:,} have {least!r}"
            + (f"; {len(rare)} labels have fewer than {FEW} rows" if rare else ""),
            "Add rows of the rare labels, or limit the common one; judge by macro_f1.",
            count=len(rare) or 1,
        )  # fmt: skip


def scores(case: Case) -> Iterator[Finding]:
    """Scores that are all the same. What is no number, NaN among it, is an unreadable row."""
    rated = [row for row in case.part("train") if row.score is not None]
    if len(rated) >= 2 and len({row.score for row in rated}) == 1:
        yield finding(
            "scores", "error", [Place(row.where, row.text) for row in rated], len(rated),
            f"all {len(rated):,} training rows have the score {rated[0].score:g}",
            "Name the right column in data.columns: expected scores that differ.",
        )  # fmt: skip


def _known(case: Case) -> list[str]:
    """The labels of the training rows, sorted."""
    return sorted({label for row in case.part("train") for label in row.labels})


def _one_of_each(train: Sequence[Sample], names: Sequence[str]) -> list[Place]:
    """A row of each of these labels."""
    found: dict[str, Place] = {}
    for row in train:
        for name in {*row.labels} & {*names}:
            found.setdefault(name, Place(row.where, f"{row.text} -> {name}"))
    return [found[name] for name in sorted(found)]
