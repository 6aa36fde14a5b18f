"""The gate's policy: eval/policy.yaml joined with the promise of brief.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from app.core import brief
from app.core.brief import Feature
from app.core.config import Strict, load
from app.core.errors import ConfigError, nearest
from app.core.files import ROOT
from eval.task import Task

DEFAULT = ROOT / "eval" / "policy.yaml"


class TaskPolicy(Strict):
    """How one task is judged; what is absent comes from the brief's feature."""

    feature: Feature | None = None
    """The feature of brief.yaml whose metric, margin, min_gain and min_n hold."""
    metric: str | None = None
    """The one primary metric, by its name in reports."""
    margin: float | None = Field(None, gt=0, lt=1)
    """A candidate may be worse than the baseline by less than this."""
    min_gain: float | None = Field(None, ge=0, lt=1)
    """Required gain; none asks for non-inferiority alone."""
    min_n: int | None = Field(None, ge=1)
    """Fewer samples give no verdict but inconclusive."""
    guards: tuple[str, ...] = ()
    """Secondary metrics that must not be harmed."""
    protected: tuple[str, ...] = ()
    """Slices in each part of which the primary metric must not be harmed, e.g. language."""


class Policy(Strict):
    """policy.yaml."""

    seed: int = 17
    alpha: float = Field(0.05, gt=0, lt=0.5)
    """One-sided error of each bound."""
    guard_alpha: float = Field(0.02, gt=0, lt=0.5)
    """Chance that any guard of a task blocks a candidate that harms nothing."""
    power: float = Field(0.8, gt=0, lt=1)
    """Chance of a verdict at the n that is asked for."""
    resamples: int = Field(2000, ge=100)
    max_overlap: float = Field(0.01, ge=0, lt=1)
    """Above this share of test samples overlapping the training data the gate refuses."""
    max_age_days: int = Field(90, ge=1)
    """Older reports are refused."""
    max_systems: int = Field(50, ge=1)
    """After so many systems a test set is used up, and nothing more ships on it."""
    tasks: dict[str, TaskPolicy]


class Rule(Strict):
    """What decides on one task, with nothing left open."""

    metric: str
    margin: float
    min_gain: float | None = None
    min_n: int
    seed: int
    alpha: float
    power: float
    resamples: int
    max_overlap: float
    guard_alpha: float = 0.02
    guards: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    max_age_days: int = 90
    max_systems: int = 50


def rule(task: Task, path: Path | None = None) -> Rule:
    """The rule for `task` by the policy at `path` (default eval/policy.yaml) and the brief.

    Raises ConfigError where the policy does not name the task, leaves something open or names a
    metric that the task does not have.
    """
    file = path or DEFAULT
    policy = load(Policy, file)
    if task.name not in policy.tasks:
        known = ", ".join(policy.tasks)
        raise ConfigError(f"{file}: no policy for task {task.name}. It has: {known}")
    own = policy.tasks[task.name].model_dump(exclude_none=True)
    merged = _promise(own.pop("feature", None)) | own
    missing = [key for key in ("metric", "margin", "min_n") if key not in merged]
    if missing:
        raise ConfigError(
            f"{file}: tasks.{task.name} lacks {', '.join(missing)}; set it there or name a feature"
        )
    for name in [merged["metric"], *merged.get("guards", [])]:
        _known_metric(task, name, file)
    return Rule(**merged, **policy.model_dump(exclude={"tasks"}))


def _promise(feature: Feature | None) -> dict[str, Any]:
    if feature is None:
        return {}
    promised = brief.read().features.get(feature)
    if promised is None:
        raise ConfigError(f"brief.yaml has no feature {feature!r}, which the gate's policy names")
    return promised.model_dump(exclude={"max_error"}, exclude_none=True)


def _known_metric(task: Task, name: str, file: Path) -> None:
    known = [metric.name for metric in task.metrics]
    if name not in known:
        raise ConfigError(
            f"{file} and brief.yaml: task {task.name} has no metric {name!r}."
            f"{nearest(name, known)} It has: {', '.join(known)}"
        )
