"""Why a candidate's report is not believed: it is not about the code, data, prompt or adapter at
hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from safetensors.numpy import load_file

from app.core.data import sha256_of
from app.core.errors import AppError
from app.core.files import ROOT, read_json, sha256_file
from app.core.release import ADAPTER_FILE
from app.models.adapters import read_card
from eval.policy import Rule
from eval.prompts import identity
from eval.report import Loaded
from eval.task import Task, relative

_AGAIN = "Evaluate the candidate again."


def refusals(task: Task, candidate: Loaded, baseline: Loaded, rule: Rule) -> list[str]:
    """Reasons in plain sentences; empty where the candidate's report holds and both are fresh."""
    reasons = (
        _code(task, candidate),
        _data(candidate),
        _prompt(candidate),
        _adapter(candidate),
        _overlap(candidate, rule.max_overlap),
        _age("It", candidate, rule.max_age_days),
        _age("The baseline's", baseline, rule.max_age_days),
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
        return _unlike_its_run(next(f for f in files if _is(f, made["sha256"])))
    if not found:
        return f"The adapter it is about is not at hand: no {made['path']}."
    others = ", ".join(sorted(sha[:12] for sha in found))
    return f"{made['path']} is not the adapter it is about (sha256 {others}). {_AGAIN}"


def _is(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_file(file) == sha256


def _unlike_its_run(file: Path) -> str | None:
    """Whether the adapter does nothing, or its run's labels were changed since it was saved."""
    tensors = load_file(file)
    updates = [tensor for name, tensor in tensors.items() if "lora_B" in name]
    if updates and not any(tensor.any() for tensor in updates):
        return f"{relative(file)} changes nothing: it is the base under an adapter's name."
    card, run = read_card(file.parent), file.parent.parent / "run.json"
    said = read_json(run).get("labels") if run.is_file() else card.labels
    if said == card.labels:
        return None
    return (
        f"{relative(run)} names the labels {said}, the adapter was trained with {card.labels}: "
        "the label map was changed. Restore it."
    )


def _age(whose: str, loaded: Loaded, max_days: int) -> str | None:
    made = datetime.fromisoformat(loaded.report.provenance.date)
    days = (datetime.now(UTC) - made).days
    if days <= max_days:
        return None
    return f"{whose} report is {days} days old, above the {max_days} allowed: evaluate again."


def _overlap(candidate: Loaded, max_overlap: float) -> str | None:
    report = candidate.report
    share = len(report.left_out) / (report.n + len(report.left_out))
    if share <= max_overlap:
        return None
    return (
        f"{len(report.left_out)} test samples ({share:.1%}) overlap its training data, above the "
        f"{max_overlap:.0%} allowed: train again without them, or take another test set."
    )
