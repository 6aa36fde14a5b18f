"""How often a test set was used, and by which adapter: a set that is asked often gets learnt.

A line for each finished run on a `#test` split: date, task, data, its sha256, adapter, n. Runs of
the scripted stand-ins and on files of your own are not counted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import ValidationError

from app.core.config import Strict
from app.core.data import parse_ref
from app.core.errors import InputError
from app.core.files import ROOT, writable
from eval.report import Report


class Use(Strict):
    """One line of test_uses.jsonl."""

    date: str
    task: str
    data: str
    data_sha256: str
    adapter: str
    """sha256 of the adapter; without one, the name of the system."""
    n: int


def path() -> Path:
    """FRONTDESK_TEST_USES, else eval/test_uses.jsonl."""
    return Path(os.environ.get("FRONTDESK_TEST_USES", ROOT / "eval" / "test_uses.jsonl"))


def record(report: Report) -> None:
    """Append a line for `report`, if its data is a test split that counts."""
    made = report.provenance
    ref = parse_ref(made.data.ref)
    stand_in = any(
        (made_of or {}).get("ref") == "scripted" for made_of in (made.model, made.encoder)
    )
    if ref.split != "test" or ref.scheme == "file" or stand_in:
        return
    use = Use(
        date=made.date,
        task=report.task,
        data=made.data.ref,
        data_sha256=made.data.sha256,
        adapter=(made.adapter or {}).get("sha256", made.system),
        n=report.n,
    )
    writable(path().parent)
    # One short write in append mode is whole or absent, also beside other runs.
    with path().open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(use.model_dump()) + "\n")


def count(data_sha256: str) -> tuple[int, int]:
    """(runs, different adapters) on the test set with this sha256."""
    lines = path().read_text(encoding="utf-8").splitlines() if path().is_file() else []
    uses = [use for use in map(_parse, lines) if use.data_sha256 == data_sha256]
    return len(uses), len({use.adapter for use in uses})


def _parse(line: str) -> Use:
    try:
        return Use.model_validate_json(line)
    except ValidationError as error:
        raise InputError(f"{path()}: not a line of test uses: {line[:80]!r}") from error
