"""report.html: headline in plain words, plots, then all numbers of one report.

Made from report.json and samples.jsonl alone; what is drawn hangs on what the samples carry, never
on the task's name. Identical inputs give identical pages, provenance apart.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.core.files import write_text
from eval import curves, plots
from eval.markup import (
    Safe,
    between,
    few,
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
from eval.task import Task

MOST_LABELS = 24
"""A confusion matrix of more labels would show nothing; the pairs most confused still do."""
MOST_ROWS = 25
MOST_CHARS = 240
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
        _confidence(rows),
        _confusion(rows),
        _ranks(rows),
        _worst(report, rows, known),
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
    return section("The numbers", "", side_by_side(joined(*drawn), numbers))


def _named(task: Task, value: Value) -> Safe:
    lower = "" if value.higher_is_better else "; lower is better"
    return joined(value.name, tag("div", _meaning(task, value.name) + lower, "means"))


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


def _confidence(rows: Sequence[Row]) -> Safe:
    carried = curves.sureness(rows)
    if carried is None:
        return Safe("")
    dots, curve = curves.reliability(*carried), curves.risk_coverage(*carried)
    n = len(carried[0])
    kept = [next(p for p in curve if p.x >= share / 10 - 1e-9) for share in range(2, 11, 2)]
    names = ["answered", "of these wrong", "95 % interval", "n"]
    answered = [(_percent(p.x), _percent(p.share), _between(p), p.n) for p in kept]
    bins = [(number(p.x), _percent(p.share), _between(p), p.n) for p in dots]
    return section(
        "Does it know when it is right?",
        "A model that says 80 % should be right 80 % of the time, and wrong less often where it is "
        "surer.",
        side_by_side(
            figure(plots.reliability(dots, Told("Reliability", _points(dots))),
                   f"Dots on the dashed line are honest; below it, too sure. n = {n}, exact 95 % "
                   "intervals; bars: samples in each bin."),
            figure(plots.risk_coverage(curve, Told("Risk and coverage", _points(kept))),
                   "If it answers only where it is surest and a person takes the rest. "
                   f"n = {n}, exact 95 % band."),
        ),
        folded("The numbers", side_by_side(
            table(names, answered), table(["confidence", "right", "95 % interval", "n"], bins))),
    )  # fmt: skip


def _points(points: Sequence[curves.Point]) -> str:
    return "; ".join(f"{_percent(p.x)}: {_percent(p.share)} ({_between(p)})" for p in points)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _between(p: curves.Point) -> Safe:
    return between(_percent(p.low), _percent(p.high))


def _confusion(rows: Sequence[Row]) -> Safe:
    found = curves.confusion(rows)
    if found is None:
        return Safe("")
    labels, counts = found
    pairs = sorted(
        (-counts[i][j], a, b) for i, a in enumerate(labels) for j, b in enumerate(labels) if a != b
    )
    wrong = [(a, b, -n) for n, a, b in pairs if n][:MOST_ROWS]
    n = sum(map(sum, counts))
    told = Told("Confusion", "; ".join(f"{a} called {b}: {k}" for a, b, k in wrong))
    caption = f"Rows: what is right. Deeper: a larger share of the row. n = {n}."
    drawn = figure(plots.confusion(found, told), caption) if len(labels) <= MOST_LABELS else ""
    mistakes = table(["what is right", "what it said", "samples"], wrong, "Most frequent first")
    return section("What is mistaken for what", "", side_by_side(drawn, mistakes if wrong else ""))


def _ranks(rows: Sequence[Row]) -> Safe:
    found = curves.ranks(rows)
    if not found:
        return Safe("")
    told = Told("Share of gold found by depth", _points(found))
    caption = f"n = {found[0].n}, normal 95 % band."
    numbers = [(int(p.x), _percent(p.share), _between(p)) for p in found]
    return section(
        "How far down one must look",
        "The share of the right items that are among the first so many.",
        figure(plots.ranks(found, told), caption),
        folded("The numbers", table(["first", "found", "95 % interval"], numbers)),
    )


def _worst(report: Report, rows: Sequence[Row], known: Mapping[str, str]) -> Safe:
    main = report.metrics[0]
    metric = next((v for v in report.metrics if any(v.name in r.scores for r in rows)), main)
    found = curves.worst(rows, metric.name, metric.higher_is_better)
    if not found:
        return Safe("")
    listed = [_row(row, metric.name, known) for row in found[:MOST_ROWS]]
    more = f", the first {MOST_ROWS} of {len(found)}" if len(found) > MOST_ROWS else ""
    told = f"Samples below the best {metric.name}, worst and surest first{more}."
    return section("Where it went worst", told, few(listed))


def _row(row: Row, metric: str, known: Mapping[str, str]) -> dict[str, Any]:
    sure = row.scores.get("confidence")
    found = {
        "id": row.id, metric: row.scores[metric],
        **({"confidence": sure} if sure is not None else {}),
        **({"text": tag("div", cut(known[row.id]), "said")} if row.id in known else {}),
        "right": tag("div", cut(_flat(row.gold)), "said"),
        "it said": tag("div", cut(_answer(row)), "said"),
    }  # fmt: skip
    return found | ({"error": cut(row.error)} if row.error else {})


def _answer(row: Row) -> str:
    told = row.prediction if isinstance(row.prediction, dict) else {"": row.prediction}
    wording = [v for k, v in told.items() if k in ("text", "label") and v is not None]
    ranked = [v[:3] for v in told.values() if isinstance(v, list)]
    return _flat(wording or (ranked[0] if ranked else []))


def _flat(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def cut(text: str) -> str:
    """At most MOST_CHARS of a text."""
    return text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS - 1]}…"
