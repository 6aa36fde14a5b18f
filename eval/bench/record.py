"""bench.json: speed-ups with their spread, each arm's speed and quality, and where they come from.

`metrics` name the machine as it is; with the suffix _avx2 they are of the same machine held to
AVX2. Times differ from run to run and machine to machine; ratios are what may be compared.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, FiniteFloat

from app.core.config import Strict

RECORD, MARKDOWN = "bench.json", "bench.md"
HEADLINE = "tuned_speedup"


class Speedup(Strict):
    """How many times faster than a peer: the median over rounds, with the least and greatest."""

    name: str
    measure: str
    peer: str
    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    n: int
    """Rounds."""
    unit: str = "ratio"
    higher_is_better: bool = True


class Speed(Strict):
    """An arm's speed: median, least and greatest over the rounds, and each of them."""

    measure: str
    unit: str
    higher_is_better: bool
    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    rounds: list[FiniteFloat]


class Quality(Strict):
    """How right an arm was, with its 95 % interval over samples."""

    name: str
    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    n: int


class ArmRecord(Strict):
    """One of the ways to do the work."""

    name: str
    does: str
    speeds: list[Speed]
    quality: Quality


class Run(Strict):
    """All rounds under one setting of the machine."""

    setting: str
    environment: dict[str, str]
    """Variables that narrow the instruction set or the threads, as they were."""
    capability: str
    """The widest instructions that torch used, as it says."""
    threads: int
    others: float
    """Cores that other processes used meanwhile, a mean: what makes times rough."""
    seconds: float
    work: str
    identity: dict[str, Any]
    metrics: list[Speedup]
    arms: list[ArmRecord]


class Provenance(Strict):
    """Which code, versions and machine."""

    code: str
    git: dict[str, Any]
    command: str
    date: str
    versions: dict[str, str]
    machine: dict[str, Any]


class Record(Strict):
    """bench.json."""

    bench: str
    peer: str
    n: int = Field(ge=1)
    """Samples that quality rests on and that each arm was timed on, in each round."""
    seed: int
    rounds: int = Field(ge=1)
    held: float
    """Probability that a metric's least and greatest hold its true median."""
    headline: str = HEADLINE
    metrics: list[Speedup]
    runs: list[Run]
    missing: list[str]
    """Settings that this machine cannot have, with the reason."""
    provenance: Provenance
