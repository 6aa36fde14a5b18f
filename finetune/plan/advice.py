"""Which model and method to take, from runs that were measured here: finetune/table.jsonl.

Nothing is guessed: where the table has no task like this one, or nothing within the limits, the
advice says so and names none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.core.brief import Limits
from finetune.table.lines import Line, Row, rows
from finetune.units import clock, size

ALIKE = 5.0
"""Rows and labels may differ by this factor for a measurement to speak for the data at hand."""


class Wanted(NamedTuple):
    """What the advice is for."""

    task: str
    labels: int
    rows: int
    limits: Limits
    price_per_hour: float | None = None
    """Of the machine that serves; without it cost_per_1000 is not looked at."""
    max_hours: float | None = None
    """Longest training here."""
    speed: float = 1.0
    """Matmul rate in fp32 of the machine that measured, divided by that of this one."""


def advise(lines: Sequence[Line], wanted: Wanted) -> dict[str, Any]:
    """{"take": recipe or None, "within_limits": [recipes], "sentences": [...]}."""
    measured = rows(lines)
    if not measured:
        return _none("finetune/table.jsonl has no finished runs yet, so nothing is advised")
    alike = [row for row in measured if _alike(row, wanted)]
    if not alike:
        return _none(_nothing_like(measured, wanted))
    refused = {row.recipe: why for row in alike if (why := _refused(row, wanted))}
    fitting = [row for row in alike if row.recipe not in refused]
    said = [f"not {name}: {why}" for name, why in refused.items()]
    if not fitting:
        return _none("nothing that was measured on data like this keeps the limits", *said)
    best = max(fitting, key=lambda row: row.metric.mean)
    as_good = [row for row in fitting if row.metric.mean >= _floor(best)]
    take = min(as_good, key=lambda row: row.least("cpu_s"))
    return {
        "take": take.recipe,
        "within_limits": [row.recipe for row in fitting],
        "sentences": [*_taken(take, best, wanted), *said],
    }


def _none(*sentences: str) -> dict[str, Any]:
    return {"take": None, "within_limits": [], "sentences": list(sentences)}


def _alike(row: Row, wanted: Wanted) -> bool:
    one = row.first
    return (
        one["task"] == wanted.task
        and _near(one["rows"], wanted.rows)
        and _near(max(one["labels"], 1), max(wanted.labels, 1))
    )


def _near(a: float, b: float) -> bool:
    return max(a, b) <= ALIKE * min(a, b)


def _nothing_like(measured: Sequence[Row], wanted: Wanted) -> str:
    ones = [row.first for row in measured]
    known = dict.fromkeys(
        f"{one['set']}: {one['task']}, {one['rows']:,} rows, {one['labels']} labels" for one in ones
    )
    return (
        f"the table has nothing like {wanted.task} on {wanted.rows:,} rows with {wanted.labels} "
        f"labels, so nothing is advised; it has {'; '.join(known)}"
    )


def _refused(row: Row, wanted: Wanted) -> str | None:
    """The limit that the recipe does not keep, in words; None where it keeps all."""
    limits, served = wanted.limits, [line["serving"] for line in row.lines if line["serving"]]
    if not served:
        return "how it serves was not measured"
    # The least of the seeds: other work on the machine only adds to times and memory.
    p95, memory, mean_ms = (
        min(one[name] for one in served) for name in ("p95_ms", "peak_bytes", "mean_ms")
    )
    cost = (wanted.price_per_hour or 0.0) * mean_ms / 3600
    if p95 > limits.p95_ms:
        return f"one text takes {p95:.0f} ms at the 95th percentile, limits.p95_ms {limits.p95_ms}"
    if memory > limits.memory_gb * 2**30:
        return f"it holds {size(memory)} when it serves, limits.memory_gb {limits.memory_gb:g}"
    if cost > limits.cost_per_1000:
        return f"1,000 texts cost {cost:.2g}, limits.cost_per_1000 {limits.cost_per_1000:g}"
    hours = _seconds_here(row, wanted) / 3600
    if wanted.max_hours is not None and hours > wanted.max_hours:
        return f"training takes about {hours:.1f} h here, --max-hours {wanted.max_hours:g}"
    return None


def _floor(best: Row) -> float:
    """Means from here on are not told apart from the best one's: the low end of its interval."""
    return best.metric.mean if best.metric.low is None else best.metric.low


def _seconds_here(row: Row, wanted: Wanted) -> float:
    """Training time by rows, and by the speed of matrix products on the two machines."""
    return row.least("wall_s") * wanted.rows / int(row.first["rows"]) * wanted.speed


def _taken(take: Row, best: Row, wanted: Wanted) -> list[str]:
    one = take.first
    rank = f" with rank {one['rank']}" if one["rank"] else ""
    why = (
        "the best of what fits"
        if take.recipe == best.recipe
        else f"cheaper to train than {best.recipe}, and within its interval over seeds "
        f"({best.metric.mean:.3f})"
    )
    unpriced = "" if wanted.price_per_hour else "; cost_per_1000 was not looked at (no price)"
    return [
        f"take {one['method']}{rank} on {one['model']} ({take.recipe}): {why}",
        f"measured on {one['set']}: {one['test']['metric']} {take.metric.mean:.3f} over "
        f"{take.metric.n} seeds, {one['rows']:,} rows, {one['labels']} labels; here about "
        f"{clock(_seconds_here(take, wanted))} of training{unpriced}",
    ]
