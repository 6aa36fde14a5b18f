"""curves.png: loss, dev metrics and learning rate of a run, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.core.files import atomic_path

FILE = "curves.png"
_NO_METRIC = ("eval_loss", "eval_runtime")
_TIMING = ("_per_second", "_runtime", "_time")
Points = list[tuple[int, float]]


def points(history: Sequence[dict[str, Any]], name: str) -> Points:
    """(step, value) of the log lines that have `name`, one a step, the last of it."""
    return sorted({row["step"]: float(row[name]) for row in history if name in row}.items())


def dev_metrics(history: Sequence[dict[str, Any]]) -> list[str]:
    """Names of what was measured on dev beside the loss, as the log spells them, in order."""
    found = {name: None for row in history for name in row if name.startswith("eval_")}
    return [n for n in found if n not in _NO_METRIC and not n.endswith(_TIMING)]


def smoothed(values: Sequence[float], keep: float = 0.9) -> list[float]:
    """Exponential moving average, each divided by the weight seen so far: no pull to zero."""
    mean, weight, out = 0.0, 0.0, []
    for value in values:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        out.append(mean / weight)
    return out


def draw(history: Sequence[dict[str, Any]], target: Path) -> bool:
    """Write the picture of a Trainer's log (or metrics.jsonl) to `target`, atomically.

    False, and nothing written, where there is no training loss yet.
    """
    losses = points(history, "loss")
    if not losses:
        return False
    # figures by hand: pyplot keeps a global list of them and asks for a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metrics = dev_metrics(history)
    figure = Figure(figsize=(7, 2.4 * (3 if metrics else 2)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(3 if metrics else 2, 1, sharex=True))
    _losses(axes[0], losses, points(history, "eval_loss"))
    if metrics:
        _metrics(axes[1], {name: points(history, name) for name in metrics})
    axes[-1].plot(*_columns(points(history, "learning_rate")), color="tab:green")
    axes[-1].set(ylabel="learning rate", xlabel="step")
    for ax in axes:
        ax.grid(alpha=0.3)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return True


def _losses(ax: Any, train: Points, dev: Points) -> None:
    steps, values = _columns(train)
    ax.plot(steps, values, color="tab:blue", alpha=0.25, linewidth=0.8)
    ax.plot(steps, smoothed(values), color="tab:blue", label="train, smoothed")
    if dev:
        ax.plot(*_columns(dev), "o-", color="tab:orange", markersize=3, label="dev")
    ax.set(ylabel="loss")
    ax.legend(frameon=False)


def _metrics(ax: Any, by_name: dict[str, Points]) -> None:
    for name, found in by_name.items():
        ax.plot(*_columns(found), "o-", markersize=3, label=name.removeprefix("eval_"))
    ax.set(ylabel="on dev")
    ax.legend(frameon=False)


def _columns(found: Points) -> tuple[list[int], list[float]]:
    return [step for step, _ in found], [value for _, value in found]
