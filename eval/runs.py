"""What a fine-tuning run recorded about its adapter: run.json in its folder or one above."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.core.config import parse
from app.core.errors import InputError, Mismatch
from app.core.files import read_json, sha256_file
from app.core.release import ADAPTER_FILE, Calibration
from eval.task import relative


def adapter(folder: Path) -> dict[str, str]:
    """Path and sha256 of the adapter in `folder`, for provenance.

    Raises InputError where there is none, Mismatch where it is not the one that its run saved.
    """
    file = folder / ADAPTER_FILE
    if not file.is_file():
        there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        raise InputError(
            f"--adapter {folder}: expected a folder with {ADAPTER_FILE}, found "
            + (", ".join(there) if there else "no such folder")
        )
    found = sha256_file(file)
    recorded = (_run_json(folder) or {}).get("adapter_sha256")
    if recorded not in (None, found):
        raise Mismatch(
            f"{file} has sha256 {found}, its run saved {recorded}: restore the file or train again"
        )
    return {"path": relative(file), "sha256": found}


def record(folder: Path) -> dict[str, Any]:
    """run.json of the adapter in `folder`. Raises InputError saying where it was looked for."""
    found = _run_json(folder)
    if found is None:
        raise InputError(
            f"--adapter {folder}: expected run.json in it or one folder above, which says base, "
            "labels and temperature; name the adapter folder of a run, such as runs/NAME/adapter"
        )
    return found


def labels(run: Mapping[str, Any], folder: Path) -> list[str]:
    """Class names in the order of the logits. Raises InputError where the run recorded none."""
    found = run.get("labels")
    if not isinstance(found, list) or not found:
        raise InputError(f"run.json of {folder}: expected a list of labels, found {found!r}")
    return [str(label) for label in found]


def calibration(run: Mapping[str, Any], folder: Path) -> Calibration:
    """Temperature and thresholds fitted on dev; defaults where the run fitted none."""
    return parse(Calibration, run.get("calibration") or {}, f"run.json of {folder}: calibration")


def _run_json(folder: Path) -> dict[str, Any] | None:
    for file in (folder.parent / "run.json", folder / "run.json"):
        if file.is_file():
            return dict(read_json(file))
    return None
