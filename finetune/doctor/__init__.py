"""What is wrong with the data of a run, before the first step: `examine(config)`.

    rows.py  reads all rows as the task does, past every fault
    CHECKS   each looks at these rows and yields Findings
    report.py  says them in a terminal

Errors stop a run, unless data.accept names their check; warnings and what is merely worth knowing
do not. `python -m finetune doctor` shows all three, a run the first two; it keeps doctor.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from app.core.errors import AppError, ConfigError, nearest
from finetune.config import TrainConfig
from finetune.doctor import (
    chats,
    duplicates,
    labels,
    leakage,
    lengths,
    privacy,
    rows,
    suspects,
    texts,
)
from finetune.doctor.finding import Diagnosis, Finding, finding
from finetune.doctor.rows import Case

CHECKS: dict[str, Callable[[Case], Iterable[Finding]]] = {
    "unreadable": texts.unreadable,
    "rows": labels.rows,
    "labels": labels.labels,
    "unknown_labels": labels.unknown,
    "scores": labels.scores,
    "empty_answers": texts.empty_answers,
    "template": chats.template,
    "end_token": chats.end_token,
    "leakage": leakage.leakage,
    "excluded": leakage.excluded,
    "too_long": lengths.too_long,
    "conflicts": duplicates.conflicts,
    "duplicates": duplicates.exact,
    "near_duplicates": duplicates.near,
    "near_leakage": duplicates.near_leakage,
    "suspect_labels": suspects.suspects,
    "cut_answers": texts.cut_answers,
    "balance": labels.balance,
    "language": texts.languages,
    "personal_data": privacy.personal_data,
    "loss_share": chats.loss_share,
}
"""In the order in which they are shown, by severity first; named as in data.accept."""
_GRAVITY = ("error", "warning", "info")


def examine(config: TrainConfig, *, quick: bool = False) -> Diagnosis:
    """All findings on the data that `config` names.

    `quick` leaves the encoder out: suspect labels are judged by words alone, errors are the same.
    Raises AppError for what is no matter of data: no such reference, file, prompt or check.
    """
    began = time.monotonic()
    _known(config.data.accept)
    case = rows.read(config, quick=quick)
    found: list[Finding] = []
    for check in CHECKS.values():
        new = [_accepted(one, config.data.accept) for one in _findings(check, case)]
        found += [one for one in new if one not in found]  # one model missing is said once
    found.sort(key=lambda one: _GRAVITY.index(one.severity))
    counts = {part: len(case.part(part)) for part in ("train", "dev", "test")}
    return Diagnosis(config.task, counts, found, time.monotonic() - began)


def _findings(check: Callable[[Case], Iterable[Finding]], case: Case) -> Iterator[Finding]:
    """Those of one check; that it lacks the model's tokenizer is worth knowing, no more."""
    try:
        yield from check(case)
    except AppError as error:
        yield finding(
            "not_checked", "info", [], 0, f"not looked at: {error.message}",
            "Make the model available; the run needs it too.", count=1,
        )  # fmt: skip


def _accepted(one: Finding, accepted: Iterable[str]) -> Finding:
    """An error of an accepted check becomes a warning that says so."""
    if one.severity != "error" or one.check not in accepted:
        return one
    return replace(one, severity="warning", what=f"{one.what} (accepted in data.accept)")


def _known(accepted: Iterable[str]) -> None:
    for name in accepted:
        if name not in CHECKS:
            raise ConfigError(
                f"data.accept: there is no check {name!r}.{nearest(name, CHECKS)} "
                f"There is {', '.join(CHECKS)}"
            )
