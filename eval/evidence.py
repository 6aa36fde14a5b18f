"""gate.json: the gate's verdict with all that it rests on, for the Quality tab and promote."""

from __future__ import annotations

from typing import Any, Literal

from app.core.config import Strict
from app.core.provenance import now, versions
from eval import uses
from eval.guards import Guard
from eval.policy import Rule
from eval.report import Loaded

Verdict = Literal["ship", "block", "inconclusive"]


class Side(Strict):
    """A report as the gate saw it."""

    system: str
    value: float
    report_seal: str
    samples_sha256: str
    code: str
    release: str | None = None
    model_sha256: str | None = None
    adapter_sha256: str | None = None
    prompt: str | None = None


class Evidence(Strict):
    """gate.json."""

    verdict: Verdict
    sentence: str
    """The verdict in plain words, with its reason."""
    refused: list[str]
    """Why the reports cannot be trusted; not empty means block."""
    task: str | None = None
    """Absent, as what follows, where a report was tampered with: nothing in it is believed."""
    data: str | None = None
    data_sha256: str | None = None
    metric: str | None = None
    n: int | None = None
    difference: float | None = None
    """candidate - baseline, higher being better."""
    low: float | None = None
    high: float | None = None
    n_needed: int | None = None
    guards: list[Guard] | None = None
    """Secondary metrics and protected slices; one that is harmed blocks."""
    rule: Rule | None = None
    candidate: Side | None = None
    baseline: Side | None = None
    test_set_uses: int | None = None
    """Recorded runs on this test set, and by how many systems; see test_uses.jsonl."""
    test_set_systems: int | None = None
    date: str
    versions: dict[str, str]


def refused(reasons: list[str]) -> Evidence:
    """Block without a number, where a report itself cannot be read as it was written."""
    sentence = "Block: " + " ".join(reasons)
    return Evidence(
        verdict="block", sentence=sentence, refused=reasons, date=now(), versions=versions()
    )


def collect(
    candidate: Loaded,
    baseline: Loaded,
    rule: Rule,
    verdict: Verdict,
    sentence: str,
    *,
    refused: list[str],
    **numbers: Any,
) -> Evidence:
    """The evidence for `verdict`; `numbers` are fields of Evidence."""
    data = candidate.report.provenance.data
    runs, systems = uses.count(data.sha256)
    return Evidence(
        verdict=verdict,
        sentence=sentence,
        refused=refused,
        task=candidate.report.task,
        data=data.ref,
        data_sha256=data.sha256,
        metric=rule.metric,
        rule=rule,
        candidate=_side(candidate, rule.metric),
        baseline=_side(baseline, rule.metric),
        test_set_uses=runs,
        test_set_systems=systems,
        date=now(),
        versions=versions(),
        **numbers,
    )


def _side(loaded: Loaded, metric: str) -> Side:
    made = loaded.report.provenance
    return Side(
        system=made.system,
        value=loaded.report.value(metric).value,
        report_seal=made.seal,
        samples_sha256=loaded.report.samples_sha256,
        code=made.code,
        release=made.release,
        model_sha256=(made.model or {}).get("sha256"),
        adapter_sha256=(made.adapter or {}).get("sha256"),
        prompt=(made.prompt or {}).get("version"),
    )
