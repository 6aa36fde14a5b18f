"""A toy task for the tests of eval: a classifier of words, whose answers a test sets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.core import data as references
from eval import harness, report, samples
from eval.harness import Evaluation, Plan
from eval.metrics import accuracy, macro_f1
from eval.report import Report
from eval.samples import Row, Sample, Scored
from eval.task import Data, Request, System, Task
from eval.tasks import TASKS

Answer = Callable[[Sample], str]


def read(ref: str) -> Data:
    """Labelled rows, sliced by their first letter."""
    rows = references.classification(ref)
    samples = [Sample(r.id, r.text, r.label, {"letter": r.text[0]}) for r in rows]
    return Data(samples, {})


def score(sample: Sample, said: str | None) -> Scored:
    """Right or wrong."""
    return Scored({"accuracy": accuracy.accuracy(sample.gold, said)}, {"label": said}, said)


def toy(answer: Answer, identity: dict[str, Any] | None = None, batch: int = 4) -> Task:
    """The toy task around `answer`; its data is `file_data`."""

    def predict(samples: Sequence[Sample]) -> list[str]:
        return [answer(sample) for sample in samples]

    def build(request: Request, data: Data) -> System:  # noqa: ARG001
        return System(request.system or "toy", predict, identity or {}, batch)

    return Task(
        name="toy",
        summary="for tests",
        data="file:nowhere",
        metrics=(accuracy.METRIC, macro_f1.METRIC),
        systems=("toy", "other"),
        packages=(),
        read=read,
        build=build,
        score=score,
    )


def register(monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    """Let reports name the toy task, whose code is that of the tests."""
    monkeypatch.setitem(TASKS, task.name, task)
    monkeypatch.setattr(Task, "code", lambda self: f"code of {self.name}")


def file_data(folder: Path, n: int = 40) -> str:
    """A data reference of n rows, labelled yes and no in turn."""
    rows = [
        {"id": f"s{i}", "text": f"{'ab'[i % 4 // 2]} text {i}", "label": ("no", "yes")[i % 2]}
        for i in range(n)
    ]
    file = folder / "toy.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"file:{file}"


def wrong_on(*ids: str) -> Answer:
    """Answers rightly but on these samples."""
    return lambda s: {"yes": "no", "no": "yes"}[s.gold] if s.id in ids else s.gold


def evaluated(task: Task, out: Path, **request: Any) -> Report:
    """Run the task and write its report to `out`."""
    plan = harness.prepare(task, Request(**request))
    found = harness.run(plan)
    return report.write(out, found.report, found.rows)


def prepared(task: str, **request: Any) -> Plan:
    """A task of the registry, ready to run."""
    return harness.prepare(TASKS[task], Request(**request))


def run(task: str, **request: Any) -> Evaluation:
    """A task of the registry, run."""
    return harness.run(prepared(task, **request))


def values(found: Evaluation) -> dict[str, float]:
    """The metrics by name."""
    return {metric.name: metric.value for metric in found.report.metrics}


def rows_of(found: Evaluation) -> dict[str, Row]:
    """The rows by id."""
    return {row.id: row for row in found.rows}


def write_lines(file: Path, rows: Sequence[dict[str, Any]]) -> str:
    """Write jsonl; returns its data reference."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"file:{file}"


def assert_failing_never_pays(plan: Plan) -> None:
    """Were every sample a failure, no metric would be better than it is."""
    task, asked = plan.task, plan.samples
    answered = [task.score(s, o) for s, o in zip(asked, plan.system.predict(asked), strict=True)]
    failed = [task.score(sample, None) for sample in asked]
    for metric in task.metrics:
        if metric.by_sample:
            a, b = (metric.units(_rows(asked, side), {}) for side in (answered, failed))
            assert a.shape == b.shape  # pairs stay pairs
            if len(a) and metric.applies(a):
                gain = float(metric.of(b) - metric.of(a))
                assert (gain if metric.higher_is_better else -gain) <= 1e-9, metric.name


def _rows(asked: Sequence[Sample], scored: Sequence[Scored]) -> list[Row]:
    pairs = zip(asked, scored, strict=True)
    return [samples.row(sample, said, public=False) for sample, said in pairs]
