"""A bench as Markdown: the headline in words, speed-ups, each arm's speed beside its quality."""

from __future__ import annotations

from collections.abc import Iterable

from eval.bench.others import QUIET, ROUGH
from eval.bench.record import Record, Run, Speed, Speedup

ENOUGH = 0.9
"""Below this probability, the least and the greatest ratio prove nothing: 5 rounds have 0.94."""


def render(record: Record) -> str:
    """bench.md."""
    parts = [
        f"# bench {record.bench}: the product beside {record.peer}",
        headline(record),
        f"{record.rounds} rounds after one to warm up, the arms in turn, n = {record.n} in each, "
        f"seed {record.seed}. Speed-ups are ratios within a round, above 1 where the product is "
        f"faster: their median, least and greatest (these two hold the true median with "
        f"probability {record.held:.2f}).",
        table(record.metrics),
        *(_run(run) for run in record.runs),
        *record.missing,
        "## Where it comes from",
        _provenance(record),
    ]
    return "\n\n".join(parts) + "\n"


def headline(record: Record) -> str:
    """The tuned peer, setting by setting: faster, slower, or not told apart."""
    found = (m for m in record.metrics if m.name.startswith(record.headline))
    return "\n".join(_sentence(metric, record.held) for metric in found)


def table(metrics: Iterable[Speedup]) -> str:
    """The speed-ups."""
    lines = ["| metric | of | median | least to greatest | rounds |", "|---|---|---|---|---|"]
    lines += [
        f"| {m.name} | {m.measure} | {m.value:.2f} | {m.low:.2f} to {m.high:.2f} | {m.n} |"
        for m in metrics
    ]
    return "\n".join(lines)


def _sentence(metric: Speedup, held: float) -> str:
    told = f"{metric.value:.2f} ({metric.low:.2f} to {metric.high:.2f})"
    if held < ENOUGH:
        verdict = f"{metric.n} rounds are too few to tell the product from the tuned peer"
    elif metric.low > 1:
        verdict = "the product is faster than the tuned peer"
    elif metric.high < 1:
        verdict = "the product is slower than the tuned peer"
    else:
        verdict = "the product and the tuned peer are not told apart"
    return f"- {metric.name} {told}: by {metric.measure}, {verdict}."


def _run(run: Run) -> str:
    measures = run.arms[0].speeds
    heads = [f"{m.measure}, {m.unit}" for m in measures]
    quality = run.arms[0].quality.name
    lines = [
        f"## {run.setting}: {run.capability}, {run.threads} threads",
        "",
        f"{run.work} {_noise(run)}",
        "",
        "| " + " | ".join(["arm", *heads, f"{quality}, 95 % interval"]) + " |",
        "|---" * (len(heads) + 2) + "|",
    ]
    for arm in run.arms:
        q = arm.quality
        right = f"{q.value:.3f} ({q.low:.3f} to {q.high:.3f})"
        lines.append("| " + " | ".join([arm.name, *map(_speed, arm.speeds), right]) + " |")
    lines += ["", *(f"- {arm.name}: {arm.does}" for arm in run.arms)]
    told = ", ".join(f"{name}={value}" for name, value in run.environment.items())
    return "\n".join([*lines, *([f"- environment: `{told}`"] if told else [])])


def _noise(run: Run) -> str:
    told = f"Other processes used {run.others:.1f} cores meanwhile"
    return f"{told}: {ROUGH}." if run.others > QUIET else f"{told}."


def _speed(speed: Speed) -> str:
    return f"{speed.value:.4g} ({speed.low:.4g} to {speed.high:.4g})"


def _provenance(record: Record) -> str:
    tree = record.provenance.model_dump() | {"identity": record.runs[0].identity}
    return "\n".join(f"- {key}: {_flat(value)}" for key, value in tree.items())


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    return f"`{value}`"
