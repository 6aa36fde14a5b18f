"""Markup of the Quality tab: cards, frames, titles. Every text is escaped here."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from app.serving import reports
from app.serving.reports import RUNS, Entry
from app.ui.i18n import text

SOURCES = {"support": "feature.support", "sentiment": "feature.sentiment",
           "recommend": "feature.recommend", RUNS: "quality.runs"}  # fmt: skip
VERDICTS = {"ship": "quality.ship", "block": "quality.block", "inconclusive": "quality.open"}


def intro(language: str) -> str:
    """What the tab is for."""
    return (
        f'<div class="intro"><h2>{text(language, "quality.title")}</h2>'
        f"<p>{text(language, 'quality.intro')}</p></div>"
    )


def card(
    feature: str, release: Mapping[str, Any], report: Mapping[str, Any],
    gate: Mapping[str, Any], language: str,
) -> str:  # fmt: skip
    """One feature: the number, its interval, the gate's word, and what it is about."""
    metrics = report.get("metrics") or []
    main = measured(metrics[0], language) if metrics else note(text(language, "quality.unmeasured"))
    verdict = gate.get("verdict")
    pill = ""
    if verdict in VERDICTS:
        pill = f'<span class="verdict-pill {verdict}">{text(language, VERDICTS[verdict])}</span>'
    data = report.get("provenance", {}).get("data", {}).get("ref", "")
    return (
        f'<li class="card"><span class="shelf">{escape(source(feature, language))}{pill}</span>'
        f'{main}<p class="about">{escape(str(data))}</p>'
        f'<p class="till"><code>{escape(str(release.get("id", "–")))}</code></p></li>'
    )


def measured(metric: Mapping[str, Any], language: str) -> str:
    """A value as a headline, with its interval drawn to scale and in words."""
    value, low, high = (float(metric[key]) for key in ("value", "low", "high"))
    unit = metric.get("unit")
    told = text(
        language, "quality.between", low=said(low, unit), high=said(high, unit), n=metric["n"]
    )
    within = low >= 0 and high <= 1
    scale = (
        f'<span class="scale" aria-hidden="true"><i style="left:{100 * low:.1f}%;'
        f'width:{100 * (high - low):.1f}%"></i><b style="left:{100 * value:.1f}%"></b></span>'
    )
    name = escape(str(metric["name"]).replace("_", " "))
    return (
        f'<h3>{said(value, unit)} <span class="metric">{name}</span></h3>'
        f'{scale if within else ""}<p class="interval">{told}</p>'
    )


def framed(page: str, title: str) -> str:
    """A report's page in a frame of its own, in which no script runs."""
    return (
        f'<iframe class="paper" title="{escape(title)}" sandbox="allow-same-origin" '
        f'srcdoc="{escape(page)}"></iframe>'
    )


def bare(entry: Entry, language: str) -> str:
    """The numbers alone, where no page was made."""
    tree = reports.tree(entry)
    if not tree:
        return note(text(language, "quality.unreadable"))
    lines = "".join(_line(metric) for metric in tree.get("metrics") or [])
    table = f"<table><tbody>{lines}</tbody></table>" if lines else ""
    sentence = f"<p>{escape(str(tree['sentence']))}</p>" if "sentence" in tree else ""
    return f'<div class="bare">{sentence}{table}</div>{note(text(language, "quality.no_page"))}'


def note(words: str) -> str:
    """A sentence in place of what is not there."""
    return f'<div class="verdict none" role="status"><p>{escape(words)}</p></div>'


def titled(entry: Entry, language: str) -> str:
    """A report in one line."""
    tree = reports.tree(entry)
    place = f"{entry.place} · " if entry.source == RUNS else ""
    if entry.kind == "gate":
        verdict = VERDICTS.get(str(tree.get("verdict")), "quality.unreadable")
        return f"{place}{text(language, 'quality.gate')}: {text(language, verdict)}"
    if entry.kind == "compare":
        named = {"a": tree.get("a", "?"), "b": tree.get("b", "?")}
        return f"{place}{text(language, 'quality.compare', **named)}"
    made = tree.get("provenance", {})
    parts = [tree.get("task"), made.get("system"), made.get("data", {}).get("ref")]
    told = " · ".join(str(part) for part in parts if part) or text(language, "quality.unreadable")
    return f"{place}{told}"


def said(value: float, unit: object) -> str:
    """A share in percent, any other score as it is."""
    return f"{100 * value:.1f} %" if unit == "share" else f"{value:.3f}"


def _line(metric: Mapping[str, Any]) -> str:
    value = metric.get("value", metric.get("difference"))
    cells = (f"{value:.3f}", f"{metric['low']:.3f} – {metric['high']:.3f}", f"n = {metric['n']}")
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr><th>{escape(str(metric['name']))}</th>{row}</tr>"


def source(name: str, language: str) -> str:
    """Where reports come from: a feature, or the runs."""
    known = text(language, SOURCES[name]) if name in SOURCES else name
    return known[:1].upper() + known[1:]
