"""Parts of report.html that rest on samples; empty where samples do not carry what they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval import curves, plots
from eval.markup import (
    Safe,
    between,
    few,
    figure,
    folded,
    number,
    section,
    shown,
    side_by_side,
    table,
    tag,
    words,
)
from eval.plots import Told
from eval.report import Report
from eval.samples import Row

MOST_LABELS = 24
"""A confusion matrix of more labels would show nothing; the pairs most confused still do."""
MOST_ROWS = 25
MOST_CHARS = 240


def confidence(rows: Sequence[Row]) -> Safe:
    """Reliability, and what would be wrong if only the surest were answered."""
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


def confusion(rows: Sequence[Row]) -> Safe:
    """Which labels are taken for which others."""
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


def ranks(rows: Sequence[Row]) -> Safe:
    """recall@k by k."""
    found = curves.ranks(rows)
    if not found:
        return Safe("")
    spoken = "; ".join(f"first {p.x}: {_percent(p.share)} ({_between(p)})" for p in found)
    told = Told("Share of gold found by depth", spoken)
    caption = f"n = {found[0].n}, normal 95 % band."
    numbers = [(int(p.x), _percent(p.share), _between(p)) for p in found]
    return section(
        "How far down one must look",
        "The share of the right items that are among the first so many.",
        figure(plots.ranks(found, told), caption),
        folded("The numbers", table(["first", "found", "95 % interval"], numbers)),
    )


def worst(report: Report, rows: Sequence[Row], known: Mapping[str, str]) -> Safe:
    """The samples that went worst; `known` are texts that may be shown, by id."""
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
    other = [f"{words(k)} {shown(v)}" for k, v in told.items() if isinstance(v, (int, float))]
    return _flat(wording or (ranked[0] if ranked else other))


def _flat(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def cut(text: str) -> str:
    """At most MOST_CHARS of a text."""
    return text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS - 1]}…"
