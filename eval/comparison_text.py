"""A comparison for a terminal, in Markdown, with the texts of flipped samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.core.errors import AppError
from eval.compare import Change, Comparison
from eval.task import Task


def texts(task: Task, found: Comparison) -> dict[str, str]:
    """Text of each flipped sample, joined again from the data reference; {} where it is gone."""
    flipped = {flip.id for flip in found.flips}
    try:
        samples = task.read(found.data).samples if flipped else []
    except AppError:
        return {}
    return {s.id: " ".join(s.text.split()) for s in samples if s.id in flipped}


def render(found: Comparison, texts: Mapping[str, str] | None = None) -> str:
    """The comparison for a terminal, in Markdown. texts: of flipped samples, to be shown, only."""
    lines = [
        f"# {found.task}: {found.a} (a) against {found.b} (b) on {found.data}",
        "",
        f"n = {found.n}, seed {found.seed}, paired; intervals of {found.confidence:.0%} on a - b; "
        "p two-sided, beside it adjusted for all rows of its table (Holm). Detectable: the "
        "smallest difference that this n shows at 5 % with a chance of 80 %.",
        *([f"{found.left_out} samples overlap training data: left out."] if found.left_out else []),
        "",
        *_table("metric", [(change.name, change) for change in found.metrics]),
        "",
        *_slice_lines(found),
        *_flip_lines(found, texts or {}),
    ]
    return "\n".join(lines) + "\n"


def _table(what: str, changes: Iterable[tuple[str, Change]]) -> list[str]:
    return [
        f"| {what} | a | b | a - b | 95 % interval | p | p (Holm) | test | detectable | n |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_line(name, change) for name, change in changes),
    ]


def _slice_lines(found: Comparison) -> list[str]:
    if not found.slices:
        return []
    named = [(f"{change.slice} {change.of}", change) for change in found.slices]
    return [f"{found.primary} by slice:", "", *_table("slice", named), ""]


def _line(name: str, c: Change) -> str:
    shown = name if c.higher_is_better else f"{name} (lower is better)"
    least = "-" if c.detectable is None else f"{c.detectable:.3f}"
    return (
        f"| {shown} | {c.a:.3f} | {c.b:.3f} | {c.difference:+.3f} | {c.low:+.3f} to {c.high:+.3f} "
        f"| {_p(c.p)} | {_p(c.p_holm)} | {c.test} | {least} | {c.n} |"
    )


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _flip_lines(found: Comparison, texts: Mapping[str, str]) -> list[str]:
    primary = next(change for change in found.metrics if change.name == found.primary)
    better = sum((flip.a > flip.b) == primary.higher_is_better for flip in found.flips)
    worse = len(found.flips) - better
    lines = [f"{found.primary}: {better} samples better in a, {worse} worse."]
    lines += [
        f"- {flip.id}: {flip.b:.2f} -> {flip.a:.2f}  {flip.text or texts.get(flip.id, '')}".rstrip()
        for flip in found.flips
    ]
    return lines
