"""Plots as inline SVG: the same input gives the same text, and the page's CSS gives the colours.

matplotlib draws with one sentinel for each colour, which becomes a CSS variable, so that one
drawing is readable by day and by night. Letters stay letters, in the page's font. Every plot has a
title and a description for those who do not see it; its numbers are for a table beside it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from io import StringIO
from typing import Any, NamedTuple, ParamSpec

from eval.curves import Confusion, Point

P = ParamSpec("P")
WIDTH = 5.0
"""Inches; at 72 points each, a phone shows the letters at nine tenths of their size."""
MAX_LABEL = 26
INK, FADED, LINE, OURS, THEIRS, GROUND = (f"#0{i}0{i}0{i}" for i in range(1, 7))
VARIABLES = {INK: "ink", FADED: "faded", LINE: "line", OURS: "ours", THEIRS: "theirs",
             GROUND: "surface"}  # fmt: skip
STYLE = {
    "svg.fonttype": "none", "text.parse_math": False, "font.size": 10, "axes.edgecolor": LINE,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "xtick.color": LINE, "ytick.color": LINE, "xtick.labelcolor": FADED, "ytick.labelcolor": INK,
    "axes.labelcolor": FADED, "ytick.major.size": 0, "grid.color": LINE, "grid.linewidth": 0.6,
    "figure.facecolor": "none", "axes.facecolor": "none", "axes.axisbelow": True,
}  # fmt: skip


class Told(NamedTuple):
    """What a plot shows, for readers and screen readers alike."""

    title: str
    description: str


class Bar(NamedTuple):
    """A value with its interval."""

    label: str
    value: float
    low: float
    high: float
    series: int = 0
    """0: the system under test. 1: what it is compared with, drawn below it."""


def drawn(draw: Callable[P, tuple[Any, Told]]) -> Callable[P, str]:
    """Let `draw`, which returns (figure, told), return SVG instead."""

    @wraps(draw)
    def svg(*args: P.args, **kwargs: P.kwargs) -> str:
        import matplotlib

        text = StringIO()
        empty = dict.fromkeys(("Date", "Creator", "Type", "Format"))
        with matplotlib.rc_context(), warnings.catch_warnings():
            # Chinese is in the reader's fonts, not in matplotlib's.
            warnings.filterwarnings("ignore", "Glyph .* missing")
            matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
            figure, told = draw(*args, **kwargs)
            matplotlib.rcParams["svg.hashsalt"] = told.title
            figure.savefig(text, format="svg", metadata=empty)
        return _inline(text.getvalue(), told)

    return svg


@drawn
def intervals(
    bars: Sequence[Bar], told: Told, mark: float | None = None, *, signed: bool = False
) -> tuple[Any, Told]:
    """A line from low to high for each bar, a dot at its value; `mark` is a dashed line.

    Shares and scores stand on an axis from 0 to 1, unless they are `signed` differences.
    """
    labels = list(dict.fromkeys(bar.label for bar in bars))
    both = len({bar.series for bar in bars}) > 1
    figure, axes = _figure(0.62 + (0.42 if both else 0.32) * len(labels))
    for bar in bars:
        y = labels.index(bar.label) + (0.32 * bar.series - 0.16 if both else 0)
        colour = THEIRS if bar.series else OURS
        axes.plot([bar.low, bar.high], [y, y], color=colour, lw=3, solid_capstyle="round")
        axes.plot([bar.value], [y], "o", ms=7, color=colour, mec=GROUND, mew=1.5)
    if mark is not None:
        axes.axvline(mark, color=FADED, lw=1, dashes=(4, 3))
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    if all(bar.low >= 0 and bar.high <= 1 for bar in bars) and not signed:
        axes.set_xlim(-0.01, 1.01)
    axes.grid(axis="x")
    return figure, told


@drawn
def reliability(points: Sequence[Point], told: Told) -> tuple[Any, Told]:
    """Share that is right over confidence; below it, how many samples each dot rests on."""
    figure, (above, below) = _figure(3.9, rows=(3, 1))
    above.plot([0, 1], [0, 1], color=FADED, lw=1, dashes=(4, 3))
    for p in points:
        above.plot([p.x, p.x], [p.low, p.high], color=OURS, lw=2.4, alpha=0.45)
    above.plot([p.x for p in points], [p.share for p in points], "o-", lw=1.2, ms=6.5, color=OURS,
               mec=GROUND, mew=1.2)  # fmt: skip
    below.bar([p.x for p in points], [p.n for p in points], width=0.045, color=OURS, alpha=0.45)
    above.set(xlim=(0, 1.02), ylim=(-0.02, 1.03), ylabel="share that is right")
    below.set(xlim=(0, 1.02), xlabel="confidence", ylabel="samples")
    above.grid()
    return figure, told


@drawn
def risk_coverage(points: Sequence[Point], told: Told) -> tuple[Any, Told]:
    """Share that is wrong over the share that is answered, the surest first, with its band."""
    figure, axes = _figure(3.9)
    few = _thinned(points)
    _line(axes, few)
    top = max(p.share for p in few if p.n >= 10 or p is few[-1])
    axes.set(xlim=(0, 1.02), ylim=(0, min(1.0, 1.5 * top + 0.05)))
    axes.set(xlabel="share answered, surest first", ylabel="share of these that is wrong")
    axes.grid()
    return figure, told


@drawn
def ranks(points: Sequence[Point], told: Told) -> tuple[Any, Told]:
    """recall@k over k."""
    figure, axes = _figure(3.2)
    _line(axes, points)
    axes.plot([p.x for p in points], [p.share for p in points], "o", color=OURS, mec=GROUND)
    step = 1 if len(points) <= 12 else 5
    axes.set_xticks([p.x for p in points if p.x == 1 or p.x % step == 0])
    axes.set(ylim=(0, 1.03), xlabel="how many are looked at", ylabel="share of gold found")
    axes.grid()
    return figure, told


@drawn
def confusion(found: Confusion, told: Told) -> tuple[Any, Told]:
    """A square for each pair of labels, the darker the larger its share of the row."""
    from matplotlib.patches import Rectangle

    n = len(found.labels)
    figure, axes = _figure(1.0 + min(0.62, 4 / n) * n)
    for i, row in enumerate(found.counts):
        for j, count in enumerate(row):
            depth, colour = 0.08 + 0.62 * count / max(1, sum(row)), OURS if i == j else THEIRS
            axes.add_patch(Rectangle((j, i), 0.96, 0.96, color=colour, alpha=depth, lw=0))
            if n <= 12:
                axes.text(j + 0.48, i + 0.5, str(count), ha="center", va="center", color=INK)
    names = [_short(label, 14) for label in found.labels]
    centres = [i + 0.48 for i in range(n)]
    axes.set_yticks(centres, names)
    slant = {"rotation": 0, "ha": "center"} if n <= 4 else {"rotation": 45, "ha": "right"}
    axes.set_xticks(centres, names, **slant)
    axes.tick_params(length=0, labelcolor=INK)
    axes.set(xlim=(0, n), ylim=(n, 0), xlabel="what the product said", ylabel="what is right")
    axes.spines[:].set_visible(False)
    return figure, told


def _figure(height: float, rows: tuple[int, ...] = (1,)) -> Any:
    """A figure with its axes, one above the other. No pyplot: that keeps state for all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    single = len(rows) == 1
    return figure, figure.subplots() if single else figure.subplots(len(rows), height_ratios=rows)


def _line(axes: Any, points: Sequence[Point]) -> None:
    x = [p.x for p in points]
    band = ([p.low for p in points], [p.high for p in points])
    axes.fill_between(x, *band, color=OURS, alpha=0.16, lw=0)
    axes.plot(x, [p.share for p in points], color=OURS, lw=2)


def _thinned(points: Sequence[Point], most: int = 120) -> Sequence[Point]:
    """At most so many, evenly, the last one among them."""
    step = -(-len(points) // most)
    return points[::-1][::step][::-1]


def _short(label: str, most: int = MAX_LABEL) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"


def _inline(svg: str, told: Told) -> str:
    """For the inside of a page: no prologue, no size of its own, no style for the whole page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<g id=\"[^\"]*\"", "<g", svg)  # the same in every plot; nothing refers to them
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    svg = re.sub(r" transform=\"rotate\(-0 [^\"]*\)\"", "", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg).strip()
    for sentinel, name in VARIABLES.items():
        svg = svg.replace(f": {sentinel}", f": var(--{name})")
    box = re.search(r"viewBox=\"[^\"]*\"", svg)
    assert box is not None
    words = f"<title>{escape(told.title)}</title><desc>{escape(told.description)}</desc>"
    return f'<svg {box[0]} role="img">{words}{svg[svg.index(">") + 1 :]}'
