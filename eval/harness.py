"""Run a task: ask the product each sample, score the outputs, make the report.

A sample on which the product raises, or whose output cannot be scored, is counted and listed with
the worst scores; it never ends the run. A product that is not there at all does (NotReady).
Samples that overlap the training data of the adapter under test are left out before anything is
asked. Finished samples are kept in a cache, where one is given, and not asked again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.core import data as references
from app.core import fingerprints, provenance
from app.core.errors import AppError, InputError, NotReady
from app.core.files import release_dir
from eval import columns
from eval.cache import Cache
from eval.measure import by_slice, measure
from eval.report import DataRecord, Provenance, Report
from eval.samples import Row, Sample, row
from eval.stats import CONFIDENCE, SEED
from eval.task import Data, Request, System, Task

Progress = Callable[[int], None]
"""Called with how many samples were just finished."""


class Evaluation(NamedTuple):
    """A report, not yet written, and its samples."""

    report: Report
    rows: list[Row]


class Plan(NamedTuple):
    """A task with its data read and its system built."""

    task: Task
    request: Request
    ref: str
    samples: list[Sample]
    left_out: list[str]
    data: Data
    system: System


class _Failed(NamedTuple):
    """In place of an output."""

    error: Exception


def prepare(task: Task, request: Request) -> Plan:
    """Read the data and build the system. Raises AppError for bad input before any question."""
    task.system(request.system)
    if request.prompt is not None and task.name != "support":
        raise InputError(f"task {task.name} takes no --prompt")
    if request.limit is not None and request.limit < 1:
        raise InputError(f"--limit {request.limit}: expected at least 1")
    ref = request.data or task.data
    columns.check(task, request.columns)
    with columns.advised(task):
        data = task.read(ref, request.columns) if request.columns else task.read(ref)
    _unique(ref, data.samples)
    known = _trained_on(_adapter_of(task, request))
    overlapping = [s.id for s in data.samples if known and fingerprints.overlaps(s.text, known)]
    out = set(overlapping)
    kept = _drawn([s for s in data.samples if s.id not in out], request.limit)
    if not kept:
        raise InputError(f"{ref}: all {len(data.samples)} samples overlap the training data")
    return Plan(task, request, ref, kept, overlapping, data, task.build(request, data))


def run(
    plan: Plan, command: str = "", progress: Progress | None = None, cache: Cache | None = None
) -> Evaluation:
    """Ask, score, measure. The report is the same whether rows come from `cache` or not.

    Batches are those of a run without cache, less what is finished. Raises InputError where every
    single sample failed, NotReady where none can be answered any more.
    """
    public = references.parse_ref(plan.ref).scheme != "demo"
    rows: list[Row] = []
    for start in range(0, len(plan.samples), plan.system.batch):
        batch = plan.samples[start : start + plan.system.batch]
        done = cache.rows(batch) if cache is not None else {}
        left = [sample for sample in batch if sample.id not in done]
        outputs = zip(left, _ask(plan.system, left) if left else (), strict=True)
        asked = [_row(plan.task, sample, output, public) for sample, output in outputs]
        if cache is not None:
            cache.add(asked)
        done |= {row.id: row for row in asked}
        rows += [done[sample.id] for sample in batch]
        if progress is not None and left:
            progress(len(left))
    failed = [r for r in rows if r.error]
    if len(failed) == len(rows):
        raise InputError(f"all {len(rows)} samples of {plan.ref} failed: {failed[0].error}")
    return Evaluation(_report(plan, rows, [r.id for r in failed], command), rows)


def _ask(system: System, batch: Sequence[Sample]) -> list[Any]:
    """Outputs of a batch; one by one where the batch as a whole fails, to find which one does."""
    try:
        outputs = list(system.predict(batch))
        if len(outputs) != len(batch):
            raise ValueError(f"{system.name}: {len(batch)} samples in, {len(outputs)} outputs")
        return outputs
    except NotReady:
        raise  # so would every other sample
    except Exception as error:
        # Whatever a sample does to the product is a result, not the end of the run.
        if len(batch) == 1:
            return [_Failed(error)]
        return [output for sample in batch for output in _ask(system, [sample])]


def _row(task: Task, sample: Sample, output: Any, public: bool) -> Row:
    if isinstance(output, _Failed):
        return _failed(task, sample, output.error, public)
    try:
        return row(sample, task.score(sample, output), public=public)
    except Exception as error:
        return _failed(task, sample, error, public)


def _failed(task: Task, sample: Sample, error: Exception, public: bool) -> Row:
    # A foreign exception's message may quote the sample; ours never do.
    told = not public or isinstance(error, AppError)
    reason = f"{type(error).__name__}: {error}"[:300] if told else type(error).__name__
    return row(sample, task.score(sample, None), public=public, error=reason)


def _report(plan: Plan, rows: list[Row], failed: list[str], command: str) -> Report:
    task, context = plan.task, plan.data.context
    return Report(
        task=task.name,
        n=len(rows),
        seed=SEED,
        confidence=CONFIDENCE,
        metrics=measure(task.metrics, rows, context),
        slices=by_slice(task.metrics, rows, context),
        failed=failed,
        left_out=plan.left_out,
        context=dict(context),
        provenance=Provenance(
            system=plan.system.name,
            code=task.code(),
            data=DataRecord(
                ref=plan.ref, sha256=references.sha256_of(plan.ref), limit=plan.request.limit
            ),
            command=command,
            date=provenance.now(),
            versions=provenance.versions(),
            machine=provenance.machine(),
            **plan.system.identity,
        ),
    )


def _unique(ref: str, samples: Sequence[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise InputError(f"{ref}: two samples have the id {sample.id!r}; ids must be unique")
        seen.add(sample.id)


def _adapter_of(task: Task, request: Request) -> Path | None:
    """The folder of the adapter under test: the one named, or the released one's."""
    if request.adapter is not None or request.model or request.system:
        return request.adapter
    feature = "sentiment" if task.name == "regression" else task.name
    return release_dir() / feature


def _trained_on(adapter: Path | None) -> frozenset[int]:
    """Fingerprints of what the adapter was trained on; they lie in its folder or one above."""
    if adapter is None:
        return frozenset()
    for folder in (adapter, adapter.parent):
        file = folder / fingerprints.FILE
        if file.is_file():
            return fingerprints.read(file)
    return frozenset()


def _drawn(samples: list[Sample], limit: int | None) -> list[Sample]:
    """At most `limit` samples, drawn with the seed since files are often sorted; order is kept."""
    if limit is None or limit >= len(samples):
        return samples
    chosen = sorted(random.Random(SEED).sample(range(len(samples)), limit))
    return [samples[i] for i in chosen]
