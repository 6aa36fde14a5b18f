"""What a fine-tuning run recorded about its adapter: run.json beside the adapter's folder or in
it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.core.config import parse
from app.core.errors import InputError
from app.core.files import read_json
from app.core.release import Base, Calibration


def record(adapter: Path) -> dict[str, Any]:
    """run.json of `adapter`. Raises InputError saying where it was looked for."""
    for file in (adapter.parent / "run.json", adapter / "run.json"):
        if file.is_file():
            return dict(read_json(file))
    raise InputError(
        f"--adapter {adapter}: expected run.json in it or one folder above, which says base, "
        "labels and temperature; name the adapter folder of a run, such as runs/NAME/adapter"
    )


def base(run: dict[str, Any], adapter: Path) -> Base:
    """The base that the run was trained on."""
    return parse(Base, run.get("base"), f"run.json of {adapter}: base")


def calibration(run: dict[str, Any], adapter: Path) -> Calibration:
    """Temperature and thresholds fitted on dev; defaults where the run fitted none."""
    return parse(Calibration, run.get("calibration") or {}, f"run.json of {adapter}: calibration")
