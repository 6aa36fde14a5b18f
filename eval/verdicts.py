"""compare.html and gate.html: the answer in plain words, plots, then all numbers.

Made from compare.json with its two reports, and from gate.json. Fields that this module does not
know are shown as tables, so that evidence may grow without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval import plots
from eval.markup import (
    Safe,
    between,
    few,
    figure,
    folded,
    head,
    joined,
    key,
    number,
    page,
    records,
    section,
    side_by_side,
    table,
    tag,
    tree,
    words,
)
from eval.pages import INTERVALS, arrow, spoken
from eval.plots import Bar, Told
from eval.report import Report
from eval.sections import MOST_ROWS, cut

Tree = Mapping[str, Any]
COMPARED = {"task", "data", "n", "seed", "confidence", "a", "b", "metrics", "primary", "flips",
            "slices", "samples_sha256"}  # fmt: skip
JUDGED = {"verdict", "sentence", "refused", "task", "data", "rule", "candidate", "baseline", "date",
          "versions", "difference", "low", "high"}  # fmt: skip
"""Fields that have a place of their own on the page."""


def comparison_page(found: Tree, a: Report, b: Report) -> str:
    """The page of compare.json, with the two reports it is made of."""
    title = f"{found['task']}: {found['a']} against {found['b']}"
    caption = (
        f"n = {found['n']}, seed {found['seed']}, paired; intervals of {found['confidence']:.0%} "
        "on a - b"
    )
    return page(
        title,
        head(" · ".join(["Comparison", found["task"], found["data"]]), *_verdict(found)),
        section("Both systems", "", key(f"a: {found['a']}", f"b: {found['b']}"),
                side_by_side(*_both(found, a, b), *_differences(found["metrics"])),
                records([_change(c) for c in found["metrics"]], caption)),
        _changed_slices(found),
        _flips(found),
        _rest(found, COMPARED),
        section("Where it comes from", "", folded("Samples", tree(found["samples_sha256"]))),
    )  # fmt: skip


def _verdict(found: Tree) -> list[str]:
    change = next(c for c in found["metrics"] if c["name"] == found["primary"])
    words_for = {"better": "is better than", "worse": "is worse than"}
    how = words_for.get(_direction(change), "and")
    end = "" if how != "and" else " do not differ clearly"
    return [
        f"{found['a']} {how} {found['b']}{end} in {change['name']}",
        f"{number(change['a'])} against {number(change['b'])}: a difference of "
        f"{change['difference']:+.3f}, between {change['low']:+.3f} and {change['high']:+.3f} with "
        f"{found['confidence']:.0%} confidence, by {change['n']} samples that both answered.",
    ]


def _direction(change: Tree) -> str:
    """better, worse, or neither, by the interval of a - b."""
    sign = 1 if change.get("higher_is_better", True) else -1
    low, high = sorted((sign * change["low"], sign * change["high"]))
    return "better" if low > 0 else "worse" if high < 0 else "not clear"


def _both(found: Tree, a: Report, b: Report) -> list[Safe]:
    names = [c["name"] for c in found["metrics"]]
    bars = [
        Bar(v.name, v.value, v.low, v.high, series)
        for series, report in enumerate((a, b))
        for v in report.metrics
        if v.name in names and v.low >= -1 and v.high <= 1
    ]
    told = Told(f"{found['a']} and {found['b']} side by side", spoken(bars))
    return [figure(plots.intervals(bars, told), INTERVALS)] if bars else []


def _differences(changes: Sequence[Tree], title: str = "Differences, a minus b") -> list[Safe]:
    bars = [Bar(c["name"], c["difference"], c["low"], c["high"]) for c in changes]
    if not bars:
        return []
    caption = (
        f"a - b. {INTERVALS} Where it does not cross the dashed line, the difference is clear."
    )
    return [figure(plots.intervals(bars, Told(title, spoken(bars)), 0.0, signed=True), caption)]


def _change(change: Tree) -> dict[str, Any]:
    """A row of the table: known fields first, whatever else the comparison holds after them."""
    rest = {k: v for k, v in change.items() if k not in ("name", "low", "high", "higher_is_better")}
    better = arrow(change.get("higher_is_better", True))
    direction = _direction(change)
    told = tag("span", direction, direction if direction != "not clear" else "")
    p = rest.pop("p", None)
    interval = between(f"{change['low']:+.3f}", f"{change['high']:+.3f}")
    found = {
        "metric": change["name"], "a": rest.pop("a", None), "b": rest.pop("b", None),
        "a - b": f"{rest.pop('difference'):+.3f}", "interval": interval, "a is": told,
    }  # fmt: skip
    tested = {"p": "< 0.001" if p < 0.001 else f"{p:.3f}"} if p is not None else {}
    return found | tested | rest | {"better": better}


def _changed_slices(found: Tree) -> Safe:
    parts = found.get("slices") or []
    flat = [{"name": f"{p['slice']}: {p['of']}", **{k: v for k, v in c.items() if k != "name"},
             "metric": c["name"]} for p in parts for c in p.get("metrics", [])]  # fmt: skip
    main = [c for c in flat if c["metric"] == found["primary"]]
    rows = [{"slice": c["name"], **_change({**c, "name": c["metric"]})} for c in flat]
    for row in rows:
        row["metric"] = row.pop("metric")
    return section(
        "For whom it changed", f"{found['primary']} for parts of the samples.",
        *_differences(main, "Differences by slice, a minus b"),
        folded(f"All {len(rows)} numbers", records(rows)) if rows else "",
    )  # fmt: skip


def _flips(found: Tree) -> Safe:
    """Samples whose primary score changed: first those that got worse, which a release would do."""
    primary = next(c for c in found["metrics"] if c["name"] == found["primary"])
    sign = 1 if primary.get("higher_is_better", True) else -1
    worse = [flip for flip in found["flips"] if sign * (flip["a"] - flip["b"]) < 0]
    better = [flip for flip in found["flips"] if sign * (flip["a"] - flip["b"]) > 0]
    parts = [
        joined(tag("h3", f"{len(flips)} {how} with a"), few([_flip(f) for f in flips[:MOST_ROWS]]))
        for how, flips in (("worse", worse), ("better", better))
        if flips
    ]
    most = max(len(worse), len(better))
    told = f"Ordered by how much {found['primary']} of the sample changed."
    if most > MOST_ROWS:
        told += f" At most {MOST_ROWS} each; compare.json has all."
    return section("Samples that changed", told, *parts)


def _flip(flip: Tree) -> dict[str, Any]:
    return {k: tag("div", cut(v), "said") if k == "text" and v else v for k, v in flip.items()}


def gate_page(evidence: Tree) -> str:
    """The page of gate.json."""
    _, _, reason = evidence["sentence"].partition(": ")
    kind = {"ship": "good", "block": "bad"}.get(evidence["verdict"], "open")
    about = [str(evidence[k]) for k in ("task", "data") if evidence.get(k)]
    verdict = tag("span", evidence["verdict"].capitalize(), kind)
    sides = {k: v for k in ("candidate", "baseline") if (v := evidence.get(k))}
    return page(
        f"Gate: {evidence['verdict']}",
        head(" · ".join(["Gate", *about]), verdict, f"{reason[:1].upper()}{reason[1:]}"),
        section("Why it was refused", "", *(tag("p", why) for why in evidence.get("refused", []))),
        section("The difference", "", *_bounds(evidence)),
        _rest(evidence, JUDGED),
        section("The rule", "", tree(evidence["rule"]) if evidence.get("rule") else ""),
        section("The two systems", "", _sides(sides) if sides else ""),
        section("Where it comes from", "", folded("Date and versions", tree(
            {k: evidence[k] for k in ("date", "versions") if k in evidence}))),
    )  # fmt: skip


def _bounds(evidence: Tree) -> list[Safe]:
    rule = evidence.get("rule") or {}
    if evidence.get("low") is None or not rule:
        return []
    required = rule["min_gain"] if rule.get("min_gain") is not None else -rule["margin"]
    bar = Bar(str(evidence["metric"]), evidence["difference"], evidence["low"], evidence["high"])
    told = Told("Candidate minus baseline, higher being better", spoken([bar]))
    caption = (
        f"Candidate minus baseline, higher being better: {bar.value:+.3f}, between {bar.low:+.3f} "
        f"and {bar.high:+.3f} (each bound {1 - rule['alpha']:.0%}), n = {evidence['n']}, seed "
        f"{rule['seed']}. To ship, the whole line must lie right of the dashed one ({required:+g})."
    )
    return [figure(plots.intervals([bar], told, required, signed=True), caption)]


def _sides(sides: Tree) -> Safe:
    fields = list(dict.fromkeys(field for side in sides.values() for field in side))
    rows = ([words(f), *(tag("code", side.get(f)) for side in sides.values())] for f in fields)
    return table(["", *sides], rows)


def _rest(found: Tree, known: set[str]) -> Safe:
    """Fields that no section shows: numbers together, each list or record in a part of its own."""
    rest = {k: v for k, v in found.items() if k not in known and v not in (None, [], {})}
    plain = {k: v for k, v in rest.items() if not isinstance(v, (dict, list))}
    parts = [section("More about it", "", tree(plain) if plain else "")]
    for name, value in rest.items():
        title = words(name)[:1].upper() + words(name)[1:]
        if isinstance(value, list) and all(isinstance(v, dict) for v in value):
            parts.append(section(title, "", records(value)))
        elif isinstance(value, list):
            parts.append(section(title, "", *(tag("p", str(v)) for v in value)))
        elif isinstance(value, dict):
            parts.append(section(title, "", tree(value)))
    return joined(*parts)
