"""report.html: headline in plain words, plots, then all numbers of one report.

Made from report.json and samples.jsonl alone; what is drawn hangs on what the samples carry, never
on the task's name. Identical inputs give identical pages, provenance apart.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.core.files import write_text
from eval import plots
from eval.markup import (
    Safe,
    between,
    figure,
    folded,
    head,
    joined,
    number,
    page,
    section,
    side_by_side,
    table,
    tag,
    tree,
    words,
)
from eval.measure import Slice, Value
from eval.plots import Bar, Told
from eval.report import PAGE, Report
from eval.samples import Row
from eval.sections import confidence, confusion, ranks, worst
from eval.task import Task

SURE_ENOUGH = 10
"""Samples that a slice needs to be called the weakest."""
INTERVALS = "A dot is the value, its line the 95 % interval."


def report_page(task: Task, report: Report, rows: Sequence[Row], known: Mapping[str, str]) -> str:
    """The page of one report. `known`: texts of samples by id, where they may be shown."""
    made = report.provenance
    what = f"{report.task}: {made.system} on {made.data.ref}"
    return page(
        what,
        head(" · ".join(["Evaluation", report.task, made.system, made.data.ref]),
             *_headline(task, report)),
        _metrics(task, report),
        _slices(report),
        confidence(rows),
        confusion(rows),
        ranks(rows),
        worst(report, rows, known),
        section("Where it comes from", "", folded("Data, model, versions, machine", tree(
            made.model_dump(mode="json", exclude_none=True)))),
    )  # fmt: skip


def write_page(folder: Path, task: Task, report: Report, rows: Sequence[Row]) -> None:
    """Write report.html into `folder`."""
    write_text(folder / PAGE, report_page(task, report, rows, texts(task, report)))


def texts(task: Task, report: Report) -> dict[str, str]:
    """Texts of the samples by id, for demo data; public data's text is never written anywhere."""
    from app.core.data import parse_ref

    if parse_ref(report.provenance.data.ref).scheme != "demo":
        return {}
    return {s.id: s.text for s in task.read(report.provenance.data.ref).samples if s.text != s.id}


def said(value: float, unit: str) -> str:
    """A metric in words: a share in percent, any other score as it is."""
    return f"{100 * value:.1f} %" if unit == "share" else number(value)


def _headline(task: Task, report: Report) -> list[str]:
    main = report.metrics[0]
    low, high = said(main.low, main.unit), said(main.high, main.unit)
    lower = "" if main.higher_is_better else ", where lower is better"
    return [
        f"{words(main.name)} is {said(main.value, main.unit)}{lower}",
        f"{task.summary[:1].upper()}{task.summary[1:]} {main.name} "
        f"({_meaning(task, main.name)}) lies between {low} and {high} with "
        f"{report.confidence:.0%} confidence, by {main.n} samples.",
        " ".join([_weakest(report), *_apart(report)]).strip(),
    ]  # fmt: skip


def _apart(report: Report) -> list[str]:
    told = []
    if report.failed:
        told.append(f"{len(report.failed)} samples failed and count as wrong.")
    if report.left_out:
        told.append(f"{len(report.left_out)} overlap the training data and are left out.")
    return told


def _weakest(report: Report) -> str:
    main = report.metrics[0]
    sign = 1 if main.higher_is_better else -1
    found = [(s, v) for s, v in _sliced(report.slices, main.name) if v.n >= SURE_ENOUGH]
    if not found:
        return ""
    part, value = min(found, key=lambda pair: sign * pair[1].value)
    low, high = said(value.low, value.unit), said(value.high, value.unit)
    return (
        f"Weakest slice: {part.slice} {part.of}, {said(value.value, value.unit)} "
        f"({low} to {high}, n = {value.n})."
    )


def _sliced(slices: Sequence[Slice], metric: str) -> list[tuple[Slice, Value]]:
    return [(part, v) for part in slices for v in part.metrics if v.name == metric]


def _meaning(task: Task, metric: str) -> str:
    """The promise of the metric's module, e.g. `the share of samples with the right label`."""
    doc = sys.modules[task.metric(metric).module].__doc__ or ""
    return doc.split("\n\n")[0].partition(": ")[2].rstrip(".\n").replace("\n", " ")


def _metrics(task: Task, report: Report) -> Safe:
    caption = (
        f"n = {report.n}, seed {report.seed}, intervals of {report.confidence:.0%} (BCa bootstrap)"
    )
    rows = [
        (_named(task, v), v.value, between(number(v.low), number(v.high)), v.n)
        for v in report.metrics
    ]
    names = ["metric", "value", "95 % interval", "n"]
    drawn = _drawn([Bar(v.name, v.value, v.low, v.high) for v in report.metrics], report.task)
    numbers = table(names, rows, caption)
    return section("The numbers", "", side_by_side(tag("div", joined(*drawn)), numbers))


def _named(task: Task, value: Value) -> Safe:
    meaning = _meaning(task, value.name)
    if not value.higher_is_better and "lower is better" not in meaning:
        meaning += "; lower is better"
    return joined(value.name, tag("div", meaning, "means"))


def _drawn(bars: Sequence[Bar], what: str) -> list[Safe]:
    """Shares and scores in one plot, each number of another range in one of its own."""
    unit = [bar for bar in bars if bar.low >= -1 and bar.high <= 1]
    groups = [g for g in (unit, *([bar] for bar in bars if bar not in unit)) if g]
    told = f"Metrics of {what} with intervals"
    return [figure(plots.intervals(g, Told(told, spoken(g))), INTERVALS) for g in groups]


def spoken(bars: Sequence[Bar]) -> str:
    """A plot of intervals for those who do not see it."""
    return "; ".join(
        f"{b.label} {number(b.value)}, {number(b.low)} to {number(b.high)}" for b in bars
    )


def arrow(higher_is_better: bool) -> str:
    """Which way is better."""
    return "higher" if higher_is_better else "lower"


def _slices(report: Report) -> Safe:
    main = report.metrics[0]
    found = _sliced(report.slices, main.name)
    if not found:
        return Safe("")
    bars = [Bar(f"{s.slice}: {s.of}", v.value, v.low, v.high) for s, v in found]
    drawn = plots.intervals(bars, Told(f"{main.name} by slice", spoken(bars)), main.value)
    rows = [(s, v) for s in report.slices for v in s.metrics]
    return section(
        "For whom it works", f"{main.name} for parts of the samples.",
        side_by_side(figure(drawn, f"{INTERVALS} Dashed: all samples."), _numbers(found)),
        folded(f"All {len(rows)} numbers, for every metric", _numbers(rows)),
    )  # fmt: skip


def _numbers(found: Sequence[tuple[Slice, Value]]) -> Safe:
    several = len({v.name for _, v in found}) > 1
    names = ["slice", *(["metric"] if several else []), "value", "95 % interval", "n"]
    rows = [
        (f"{part.slice}: {part.of}", *([v.name] if several else []), v.value,
         between(number(v.low), number(v.high)), v.n)
        for part, v in found
    ]  # fmt: skip
    return table(names, rows)
