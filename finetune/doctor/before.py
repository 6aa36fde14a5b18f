"""The doctor before a run: errors stop it, warnings are printed, all is kept in doctor.json."""

from __future__ import annotations

import sys

from app.core.errors import InputError
from app.core.files import write_json
from finetune.config import TrainConfig
from finetune.doctor import examine, report
from finetune.runs import RunFolder

FILE = "doctor.json"


def check(config: TrainConfig, run: RunFolder) -> None:
    """Examine the data of `config`, once for a run: one that is resumed has the same data.

    It is quick, since suspect labels never stop a run. Raises InputError, the findings being
    printed, where an error stops the run.
    """
    if run.record.get("examined"):
        return
    found = examine(config, quick=True)
    write_json(run.path / FILE, found.as_json())
    if found.of("error"):
        print(report.text(found, ("error", "warning")), file=sys.stderr, flush=True)
        raise InputError(report.sentence(found))
    run.update(examined=True)
    print(report.text(found, ("warning",)), flush=True)
