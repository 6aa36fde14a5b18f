"""What a fine-tuning run recorded about its adapter: run.json beside the adapter's folder or in
it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.core.config import parse
from app.core.errors import InputError
from app.core.files import read_json
from app.core.release import Calibration


def record(adapter: Path) -> dict[str, Any]:
    """run.json of `adapter`. Raises InputError saying where it was looked for."""
    for file in (adapter.parent / "run.json", adapter / "run.json"):
        if file.is_file():
            return dict(read_json(file))
    raise InputError(
        f"--adapter {adapter}: expected run.json in it or one folder above, which says base, "
        "labels and temperature; name the adapter folder of a run, such as runs/NAME/adapter"
    )


def labels(run: Mapping[str, Any], adapter: Path) -> list[str]:
    """Class names in the order of the logits. Raises InputError where the run recorded none."""
    found = run.get("labels")
    if not isinstance(found, list) or not found:
        raise InputError(f"run.json of {adapter}: expected a list of labels, found {found!r}")
    return [str(label) for label in found]


def calibration(run: Mapping[str, Any], adapter: Path) -> Calibration:
    """Temperature and thresholds fitted on dev; defaults where the run fitted none."""
    return parse(Calibration, run.get("calibration") or {}, f"run.json of {adapter}: calibration")
