"""Why a candidate's report is not believed: it is not about the code, data, prompt or adapter at
hand."""

from __future__ import annotations

from app.core.data import sha256_of
from app.core.errors import AppError
from app.core.files import ROOT, sha256_file
from app.core.release import ADAPTER_FILE
from eval.prompts import identity
from eval.report import Loaded
from eval.task import Task

_AGAIN = "Evaluate the candidate again."


def refusals(task: Task, candidate: Loaded, max_overlap: float) -> list[str]:
    """Reasons in plain sentences; empty where the report holds."""
    reasons = (
        _code(task, candidate),
        _data(candidate),
        _prompt(candidate),
        _adapter(candidate),
        _overlap(candidate, max_overlap),
    )
    return [reason for reason in reasons if reason]


def _code(task: Task, candidate: Loaded) -> str | None:
    made = candidate.report.provenance
    if made.code == (present := task.code()):
        return None
    return (
        f"It was made by other code (sha256 {made.code[:12]}, now {present[:12]}, over "
        f"{', '.join(task.code_parts)}). {_AGAIN}"
    )


def _data(candidate: Loaded) -> str | None:
    data = candidate.report.provenance.data
    try:
        present = sha256_of(data.ref)
    except AppError as error:
        return f"Its data cannot be checked: {error.message}."
    if present == data.sha256:
        return None
    return f"{data.ref} has changed since (sha256 {data.sha256[:12]}, now {present[:12]}). {_AGAIN}"


def _prompt(candidate: Loaded) -> str | None:
    made = candidate.report.provenance.prompt
    if made is None or identity(made["version"]) == made:
        return None
    return f"Its prompt {made['version']} ({made['sha256'][:12]}) is not this code's. {_AGAIN}"


def _adapter(candidate: Loaded) -> str | None:
    """Looked for where the report says, and where a run or a release has it beside its report."""
    made = candidate.report.provenance.adapter
    if made is None:
        return None
    folder = candidate.folder
    beside = [folder / "adapter", folder.parent / "adapter", folder.parent.parent]
    files = [ROOT / made["path"], *(place / ADAPTER_FILE for place in beside)]
    found = {sha256_file(file) for file in files if file.is_file()}
    if made["sha256"] in found:
        return None
    if not found:
        return f"The adapter it is about is not at hand: no {made['path']}."
    others = ", ".join(sorted(sha[:12] for sha in found))
    return f"{made['path']} is not the adapter it is about (sha256 {others}). {_AGAIN}"


def _overlap(candidate: Loaded, max_overlap: float) -> str | None:
    report = candidate.report
    share = len(report.left_out) / (report.n + len(report.left_out))
    if share <= max_overlap:
        return None
    return (
        f"{len(report.left_out)} test samples ({share:.1%}) overlap its training data, above the "
        f"{max_overlap:.0%} allowed: train again without them, or take another test set."
    )
