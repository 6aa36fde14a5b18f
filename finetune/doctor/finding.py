"""What a check found: how grave, how many, where, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from app.core.redact import redact

Severity = Literal["error", "warning", "info"]
SCHEMA = 1
"""Of `as_json`; raised when a key changes its meaning or goes."""
SHOWN = 3
"""Examples that a finding shows."""
LISTED = 1000
"""Places that a finding lists at most."""
_WIDTH = 100


class Place(NamedTuple):
    """Where something was found, and what stands there."""

    where: str
    """file:line, or the reference and the row's id."""
    text: str


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say about the data."""

    check: str
    severity: Severity
    count: int
    of: int
    """How many were looked at; rows, unless `what` says otherwise."""
    what: str
    """One sentence."""
    remedy: str
    """What to do; empty where there is nothing to do."""
    examples: list[Place] = field(default_factory=list)
    """The first or gravest few, redacted and cut."""
    rows: list[str] = field(default_factory=list)
    """Where all of them are, gravest first; LISTED at most."""
    exhibit: str = ""
    """A longer text to show as it stands, redacted."""


@dataclass(frozen=True)
class Diagnosis:
    """All findings on the data of one run."""

    task: str
    rows: dict[str, int]
    """How many rows of train, dev and test were read."""
    findings: list[Finding]
    seconds: float

    def of(self, *severities: Severity) -> list[Finding]:
        """Findings that are as grave as that, in the order of the checks."""
        return [one for one in self.findings if one.severity in severities]

    def as_json(self) -> dict[str, Any]:
        """The stable form: doctor.json, and `--json`."""
        counts = Counter(one.severity for one in self.findings)
        return {
            "schema": SCHEMA,
            "task": self.task,
            "ok": not counts["error"],
            "counts": {name: counts[name] for name in ("error", "warning", "info")},
            "rows": self.rows,
            "seconds": round(self.seconds, 2),
            "findings": [_plain(one) for one in self.findings],
        }


def finding(
    check: str,
    severity: Severity,
    places: Sequence[Place],
    of: int,
    what: str,
    remedy: str,
    *,
    count: int | None = None,
    exhibit: str = "",
) -> Finding:
    """A Finding on `places`, gravest first; examples are redacted and cut here, and only here."""
    shown = [Place(place.where, _cut(redact(place.text).text)) for place in places[:SHOWN]]
    listed = [place.where for place in places[:LISTED]]
    found = len(places) if count is None else count
    return Finding(check, severity, found, of, what, remedy, shown, listed, exhibit)


def share(count: int, of: int) -> str:
    """`count` of `of` in per cent, such as "1.2 %"; "under 0.1 %" rather than 0."""
    per_cent = 100 * count / max(of, 1)
    return "under 0.1 %" if 0 < per_cent < 0.1 else f"{per_cent:.1f} %"


def out_of(count: int, of: int, rows: str = "rows") -> str:
    """How many of how many, such as `3 of 1,200 training rows (0.2 %)`."""
    return f"{count:,} of {of:,} {rows} ({share(count, of)})"


def short(where: str) -> str:
    """A place for the eye: of a path the last two parts."""
    return "/".join(where.split("/")[-2:])


def _plain(one: Finding) -> dict[str, Any]:
    return asdict(one) | {"examples": [place._asdict() for place in one.examples]}


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDTH else flat[: _WIDTH - 1] + "…"
