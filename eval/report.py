"""A report: report.json, report.md and samples.jsonl in one folder, bound to each other by hashes.

Identical inputs give identical files, `provenance` apart. `read` accepts a report only as it was
written: the samples by their sha256, the whole by its seal, the metrics by computing them again.
The seal finds edits, by hand or by accident; it is no signature and keeps out nobody who can run
this code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from app.core.config import Strict, parse
from app.core.errors import InputError, Mismatch
from app.core.files import read_json, sha256_file, sha256_text, write_json, write_jsonl, write_text
from app.core.records import read_rows
from eval.measure import DIGITS, Slice, Value
from eval.samples import Row

REPORT, SAMPLES, MARKDOWN = "report.json", "samples.jsonl", "report.md"
PAGE = "report.html"
"""Made by eval.pages from the other three."""


class DataRecord(Strict):
    """Which data."""

    ref: str
    sha256: str
    limit: int | None = None


class Provenance(Strict):
    """What made the report; the only part that differs between identical runs."""

    system: str
    """Which system of the task, e.g. quote, lora, or released."""
    release: str | None = None
    """Id of the release, where the released system was evaluated."""
    code: str
    """sha256 over app/core, app/models, the feature's package, the task and its metrics."""
    data: DataRecord
    model: dict[str, Any] | None = None
    """Weights {ref, source, file, sha256}; the encoder's where the system has none but it."""
    encoder: dict[str, Any] | None = None
    """Weights of the text encoder, where there is one beside the model."""
    adapter: dict[str, str] | None = None
    """{path, sha256}."""
    prompt: dict[str, str] | None = None
    """{version, sha256}."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Numbers fitted on dev that a release takes over: temperature, thresholds."""
    options: dict[str, Any] = Field(default_factory=dict)
    """How the system was run, e.g. its mode and most new tokens."""
    command: str
    date: str
    versions: dict[str, str]
    machine: dict[str, Any]
    seal: str = ""
    """sha256 over the rest of the report."""


class Report(Strict):
    """report.json."""

    task: str
    n: int = Field(ge=1)
    """Samples evaluated, failed ones included."""
    seed: int
    confidence: float
    metrics: list[Value] = Field(min_length=1)
    slices: list[Slice]
    failed: list[str]
    """Ids of samples on which the product raised an error; they have the worst scores."""
    left_out: list[str]
    """Ids of samples that overlap the training data; they are in no number."""
    context: dict[str, Any]
    """What metrics read beside the samples."""
    samples: str = SAMPLES
    samples_sha256: str = ""
    provenance: Provenance

    def value(self, name: str) -> Value:
        """The metric `name`. Raises InputError listing those in the report."""
        for value in self.metrics:
            if value.name == name:
                return value
        known = ", ".join(value.name for value in self.metrics)
        raise InputError(f"the report on {self.task} has no metric {name!r}; it has: {known}")


class Loaded(NamedTuple):
    """A report that is what it was when it was written."""

    report: Report
    rows: list[Row]
    folder: Path


def write(folder: Path, report: Report, rows: Sequence[Row]) -> Report:
    """Write the three files, report.json last; returns the sealed report."""
    from eval.markdown import render

    write_jsonl(folder / SAMPLES, [row.model_dump(exclude_none=True) for row in rows])
    report = report.model_copy(update={"samples_sha256": sha256_file(folder / SAMPLES)})
    provenance = report.provenance.model_copy(update={"seal": seal(report)})
    report = report.model_copy(update={"provenance": provenance})
    write_text(folder / MARKDOWN, render(report, rows))
    write_json(folder / REPORT, report.model_dump(mode="json", exclude_none=True))
    return report


def read(path: Path) -> Loaded:
    """The report in a folder, or at its report.json, with its samples.

    Raises InputError where it is not a whole report, Mismatch where it was changed since.
    """
    file = _report_file(path)
    report = parse(Report, read_json(file), str(file))
    rows = _rows(file.parent / report.samples)
    _same_samples(file, report, rows)
    if seal(report) != report.provenance.seal:
        raise Mismatch(f"{file} was changed after it was written: evaluate again")
    _same_values(file, report, rows)
    return Loaded(report, rows, file.parent)


def seal(report: Report) -> str:
    """sha256 over all of the report but the seal itself."""
    tree = report.model_dump(mode="json", exclude_none=True)
    tree["provenance"].pop("seal", None)
    return sha256_text(json.dumps(tree, sort_keys=True, ensure_ascii=False))


def current_code(report: Report) -> bool:
    """Whether the code that the report rests on is the present one."""
    from eval.tasks import task

    return report.provenance.code == task(report.task).code()


def _report_file(path: Path) -> Path:
    file = path / REPORT if path.is_dir() else path
    if file.is_file():
        return file
    inside = sorted(str(p.parent) for p in path.glob(f"*/{REPORT}")) if path.is_dir() else []
    hint = f" There is one in {', '.join(inside)}." if inside else ""
    raise InputError(
        f"no report at {path}: expected {REPORT} or its folder.{hint} "
        f"Make one: python -m eval run TASK --out {path if not path.suffix else path.parent}"
    )


def _rows(file: Path) -> list[Row]:
    return [
        parse(Row, {k: v for k, v in row.items() if k != "_where"}, row["_where"])
        for row in read_rows(file)
    ]


def _same_samples(file: Path, report: Report, rows: list[Row]) -> None:
    samples = file.parent / report.samples
    found = sha256_file(samples)
    if found != report.samples_sha256:
        raise Mismatch(
            f"{samples} has sha256 {found}, {file} says {report.samples_sha256}: evaluate again"
        )
    if len(rows) != report.n or len({row.id for row in rows}) != report.n:
        raise Mismatch(f"{samples}: expected {report.n} samples with ids of their own")


def _same_values(file: Path, report: Report, rows: list[Row]) -> None:
    """The metrics' values as computed again from the samples."""
    from eval.tasks import task

    asked = task(report.task)
    for said in report.metrics:
        metric = asked.metric(said.name)
        units = metric.units(rows, report.context)
        found = round(float(metric.of(units)), DIGITS) if len(units) else None
        if found is None or abs(found - said.value) > 2 * 10**-DIGITS:
            raise Mismatch(f"{file}: {said.name} is {said.value}, the samples give {found}")
