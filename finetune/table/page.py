"""The table as Markdown for the README: means of the seeds, with intervals over them."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.table.lines import Line, Row, Spread, rows
from finetune.units import size

_HEAD = (
    "recipe", "test", "mean", "95 % over seeds", "train", "CPU", "peak memory", "size on disk",
    "trained", "one text, p95", "rate", "epochs",
)  # fmt: skip


def markdown(lines: Sequence[Line]) -> str:
    """The table, and under it what its columns are; a sentence where nothing is measured yet."""
    found = rows(lines)
    if not found:
        return "No run is finished yet: python -m finetune table"
    cells = [_HEAD, ["---"] * len(_HEAD), *(_cells(row) for row in found)]
    body = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    machines = {(line["machine"]["processor"], line["machine"]["cores"]) for line in lines}
    where = "; ".join(f"{name}, {cores} cores" for name, cores in sorted(machines))
    return (
        f"{body}\n\nMeans of the seeds, whose number stands in brackets; the interval is Student's "
        "t over them, not over the test's samples. train: wall time of the training process, CPU: "
        "its processor time, one text: how it serves; all three of the seed that took least, since "
        "other work only adds to them; peak memory: of the training process. Rates were chosen on "
        f"dev, each run was tested once. {where}."
    )


def _cells(row: Row) -> list[str]:
    first = row.first
    return [
        row.recipe,
        f"{first['test']['data']} {first['test']['metric']}",
        f"{row.metric.mean:.4f} ({row.metric.n})",
        _interval(row.metric),
        f"{row.least('wall_s') / 60:.1f} min",
        f"{row.least('cpu_s') / 60:.1f} min",
        size(row.mean("peak_bytes")),
        size(row.mean("adapter_bytes")),
        f"{first['trained']:,}",
        _p95(row),
        f"{first['lr']:g}",
        f"{first['epochs']:g}",
    ]


def _p95(row: Row) -> str:
    served = [line["serving"]["p95_ms"] for line in row.lines if line["serving"]]
    return f"{min(served):.1f} ms" if served else "-"


def _interval(found: Spread) -> str:
    return "-" if found.low is None else f"{found.low:.4f} to {found.high:.4f}"
