"""A report as Markdown: numbers with intervals first, where they come from last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from eval.measure import Value
from eval.samples import Row

if TYPE_CHECKING:
    from eval.report import Report

SHOWN_FAILURES = 20


def render(report: Report, rows: Sequence[Row]) -> str:
    """report.md."""
    parts = [
        f"# {report.task}: {report.provenance.system} on {report.provenance.data.ref}",
        summary(report),
        table(report.metrics),
        *_slices(report),
        *_failures(rows),
        *_remarks(report, rows),
        "## Where it comes from",
        _provenance(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(report: Report) -> str:
    """One line: n, seed, intervals, what failed, what was left out."""
    line = (
        f"n = {report.n}, seed {report.seed}, intervals of {report.confidence:.0%} (BCa bootstrap)."
    )
    if report.failed:
        line += f" {len(report.failed)} failed and count as wrong."
    if report.left_out:
        line += f" {len(report.left_out)} overlap the training data and are left out."
    return line


def table(values: Iterable[Value]) -> str:
    """The metrics as a table, lower-is-better ones marked."""
    lines = ["| metric | value | 95 % interval | n |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_line(value) for value in values)])


def _line(v: Value) -> str:
    name = v.name if v.higher_is_better else f"{v.name} (lower is better)"
    return f"| {name} | {v.value:.3f} | {v.low:.3f} to {v.high:.3f} | {v.n} |"


def _slices(report: Report) -> list[str]:
    lines = ["| slice | n | metric | value | 95 % interval | n of metric |"]
    lines.append("|---|---|---|---|---|---|")
    for part in report.slices:
        lines += [f"| {part.slice}: {part.of} | {part.n} {_line(v)}" for v in part.metrics]
    return ["## Slices", "\n".join(lines)] if report.slices else []


def _failures(rows: Sequence[Row]) -> list[str]:
    failed = [row for row in rows if row.error]
    if not failed:
        return []
    lines = [f"- {row.id}: {row.error}" for row in failed[:SHOWN_FAILURES]]
    if len(failed) > SHOWN_FAILURES:
        lines.append(f"- and {len(failed) - SHOWN_FAILURES} more, in samples.jsonl")
    return ["## Failed samples", "\n".join(lines)]


def _remarks(report: Report, rows: Sequence[Row]) -> list[str]:
    from eval.tasks import TASKS

    lines = TASKS[report.task].remarks(rows) if report.task in TASKS else []
    return ["## Remarks", "\n".join(f"- {line}" for line in lines)] if lines else []


def _provenance(report: Report) -> str:
    tree = report.provenance.model_dump(mode="json", exclude_none=True)
    tree.pop("seal")
    return "\n".join(f"- {key}: {_flat(value)}" for key, value in tree.items())


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    return f"`{value}`"
