"""What a bench is made of: three arms that do the same work, each in its own way.

An arm's `run` does the whole work once, from nothing kept, and says how fast it was and how right;
so an arm that leaves work out is seen by its quality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from eval.bench.record import HEADLINE
from eval.stats import Groups
from eval.task import Request

PRODUCT, PEERS = "product", ("default", "tuned")
"""Names of the arms; the product comes first."""


class Measure(NamedTuple):
    """A speed."""

    name: str
    unit: str
    higher_is_better: bool


class Outcome(NamedTuple):
    """What one run of an arm gave."""

    speeds: Mapping[str, float]
    """Measure -> value, above 0."""
    scores: Sequence[float]
    """Quality of each sample, 0..1, in the same order for all arms."""


class Arm(NamedTuple):
    """One of the ways to do the work."""

    name: str
    does: str
    """What it is, in a line, with the settings that matter: dtype, batch, libraries."""
    run: Callable[[], Outcome]


class Contest(NamedTuple):
    """The arms, ready to run, and the work that they share."""

    arms: Sequence[Arm]
    """Product, default, tuned."""
    work: str
    """The work in a line."""
    groups: Groups | None
    """Clusters of the samples, as in eval.stats."""
    identity: Mapping[str, Any]
    """For provenance: data, model; JSON values."""


@dataclass(frozen=True)
class Bench:
    """A named comparison of speed."""

    name: str
    peer: str
    """Who the product is compared with."""
    measures: tuple[Measure, ...]
    """The first is the headline: its speed-ups carry no prefix."""
    quality: str
    """What the scores' mean is called, e.g. recall@1."""
    needs: Mapping[str, str]
    """The peers' modules -> their names on PyPI; the extra `bench` installs them."""
    packages: tuple[str, ...]
    """The product's code that the numbers rest on, e.g. app/knowledge."""
    build: Callable[[Request], Contest]
    """Reads the data and loads the models; none of it is timed."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Other names for speed-ups, where a bench has no single headline measure."""
    headline: str = HEADLINE
    """The speed-up that the page tells in words."""

    @property
    def code_parts(self) -> tuple[str, ...]:
        """Files and folders under the code hash of its record."""
        return ("app/core", "app/models", *self.packages, "eval/bench", "eval/stats.py")
