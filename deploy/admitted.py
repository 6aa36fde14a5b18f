"""What a run has to show before it is promoted: its report, the gate's word, labels that fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from app.core.errors import AppError, InputError
from app.core.files import read_json
from eval.report import REPORT, Loaded, current_code, read

GATE = "gate.json"
MOODS, NEUTRAL = {"negative", "positive"}, {"neutral"}


class Refused(AppError):
    """The run may not be served; exit status 1, and the old release stays."""

    code = "refused"


class _Side(BaseModel):
    """A report as the gate saw it."""

    report_seal: str


class _Said(BaseModel):
    """Of gate.json, what a promotion rests on."""

    verdict: Literal["ship", "block", "inconclusive"]
    sentence: str
    candidate: _Side | None = None
    """Absent where a report was tampered with, which never ships."""


def report_of(run: Path, feature: str) -> Loaded:
    """The run's report on `feature`, made by the present code. Raises Refused for another."""
    inside = run / feature
    loaded = read(inside if (inside / REPORT).is_file() else run)
    if loaded.report.task != feature:
        raise InputError(f"{run} has a report on {loaded.report.task}, not on {feature}")
    if not current_code(loaded.report):
        raise Refused(f"{loaded.folder / REPORT} was made by other code than this: evaluate again")
    return loaded


def gate_of(run: Path, loaded: Loaded) -> Path:
    """gate.json of the run: it must say ship, about this very report.

    Raises InputError where it is not what the gate writes, Refused where it says no.
    """
    path = run / GATE
    command = f"python -m eval gate {run} BASELINE --out {run}"
    if not path.is_file():
        raise InputError(f"no {GATE} in {run}: {command}")
    said = _said(path, command)
    if said.verdict != "ship":
        raise Refused(f"the gate says {said.verdict}: {said.sentence}")
    if said.candidate is None:
        raise InputError(f"{path} says ship about no candidate: ask the gate again ({command})")
    if said.candidate.report_seal != loaded.report.provenance.seal:
        raise Refused(f"{path} is about another report than {loaded.folder}: ask the gate again")
    return path


def _said(path: Path, command: str) -> _Said:
    tree = read_json(path)
    try:
        return _Said.model_validate(tree)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        found = ", ".join(tree) if isinstance(tree, dict) else type(tree).__name__
        raise InputError(
            f"{path} is not what the gate writes ({where}: {fault['msg'].lower()}): expected "
            f"verdict, sentence and candidate.report_seal, found {found or 'nothing'}; ask the "
            f"gate again ({command})"
        ) from error


def check_labels(feature: str, record: dict[str, Any]) -> None:
    """Raise Refused for a sentiment classifier whose labels are no moods.

    The chat reads a customer's mood from them and hands over to a person by it; with other labels
    it would find every customer calm, and nobody would be told.
    """
    labels = record.get("labels") or []
    if feature != "sentiment" or MOODS <= set(labels) <= MOODS | NEUTRAL:
        return
    raise Refused(
        "sentiment needs the labels positive and negative (neutral may be a third), by which the "
        f"chat finds who is upset and hands over; found {', '.join(labels) or 'none'}. A "
        "classifier of other labels is an intent's: measure it with python -m eval run intents "
        "--adapter RUN/adapter --data file:PATH#test, let the gate judge it by tasks.intents of "
        "eval/policy.yaml, and call it in a flow of yours (app/support/flows/README.md): intents "
        "have no release"
    )
