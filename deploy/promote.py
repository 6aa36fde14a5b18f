"""Promote a run that the gate let through, and roll back: a release changes whole or not at all.

    app/release/<feature>/             what is served
    var/releases/<feature>/<id>/       earlier releases, for rollback

A run folder holds report.json (or <task>/report.json) and gate.json, beside adapter/ where the
system has weights of its own. Nothing is believed: the report is read with its samples, the gate's
evidence must be about this very report, the adapter must have the evaluated sha256, the code must
be the present one.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from app.core import fingerprints
from app.core import release as releases
from app.core.errors import InputError, NotFound, nearest
from app.core.files import read_json, release_dir, sha256_file, var_dir, writable, write_text
from app.core.provenance import now
from app.core.release import (
    ADAPTER_FILE,
    Base,
    Calibration,
    Engine,
    Evidence,
    Feature,
    Release,
)
from deploy.admitted import GATE, Refused, check_labels, gate_of, report_of
from deploy.card import model_card
from deploy.parity import engines
from eval.report import PAGE, REPORT, Loaded, read

ADAPTER_FILES = (ADAPTER_FILE, "adapter_config.json")


def promote(run: Path, feature: str) -> Release:
    """Make `run` the release of `feature`; returns it.

    Raises InputError for a folder that is no evaluated run, Refused with the reason where the gate
    did not let it through, a file is not the evaluated one or labels do not fit, Mismatch for a
    changed report.
    """
    known(feature)
    loaded = report_of(run, feature)
    gate = gate_of(run, loaded)
    current = release_dir() / feature
    writable(current.parent)
    with tempfile.TemporaryDirectory(dir=current.parent, prefix=f".{feature}-") as temporary:
        folder = Path(temporary) / feature
        release = _build(run, loaded, gate, feature, folder)
        _swap(folder, current, _kept(feature))
    return release


def rollback(feature: str, to: str | None = None) -> Release:
    """Serve release `to` (default: the latest of the earlier ones) again; returns it.

    Raises NotFound, listing the earlier releases, where there is none of that id.
    """
    known(feature)
    kept = _kept(feature)
    earlier = sorted(path.name for path in kept.glob("*") if (path / "release.json").is_file())
    chosen = to or (max(earlier, key=lambda name: _retired(kept / name)) if earlier else None)
    if chosen not in earlier:
        raise NotFound(
            f"no earlier release {chosen or ''} of {feature} in {kept}; "
            f"there is: {', '.join(earlier) or 'none'}"
        )
    current = release_dir() / feature
    with tempfile.TemporaryDirectory(dir=current.parent, prefix=f".{feature}-") as temporary:
        folder = Path(temporary) / feature
        shutil.copytree(kept / chosen, folder)
        release = releases.read(folder)
        _swap(folder, current, kept)
    shutil.rmtree(kept / chosen)
    return release


def known(feature: str) -> None:
    """Raise InputError, listing them, unless `feature` can be released."""
    features = get_args(Feature)
    if feature not in features:
        hint = nearest(feature, features)
        raise InputError(f"no feature {feature!r}.{hint} There is: {', '.join(features)}")


def _build(run: Path, loaded: Loaded, gate: Path, feature: str, folder: Path) -> Release:
    """Write the whole release folder, release.json last."""
    folder.mkdir()
    for name, report in {**_more_reports(run, loaded), feature: loaded}.items():
        shutil.copytree(report.folder, folder / "reports" / name, ignore=_only_the_report)
    for name in (GATE, "gate.html", "compare.json", "compare.html"):
        if (gate.parent / name).is_file():
            shutil.copy2(gate.parent / name, folder / "reports" / name)
    record = _copy_adapter(run, loaded, folder)
    check_labels(feature, record)
    release = _release(record, loaded, gate, feature, folder)
    write_text(folder / "README.md", model_card(release, loaded.report, record))
    release.save(folder)
    return release


def _more_reports(run: Path, loaded: Loaded) -> dict[str, Loaded]:
    """Reports in the run's sub-folders about the same adapter, on other data: they go along."""
    adapter = loaded.report.provenance.adapter
    found = {path.parent.name: read(path) for path in sorted(run.glob(f"*/{REPORT}"))}
    return {n: r for n, r in found.items() if adapter and r.report.provenance.adapter == adapter}


def _only_the_report(folder: str, names: list[str]) -> set[str]:
    del folder
    return {name for name in names if name not in (REPORT, PAGE, "report.md", "samples.jsonl")}


def _copy_adapter(run: Path, loaded: Loaded, folder: Path) -> dict[str, Any]:
    """Copy the adapter that was evaluated; returns run.json, or {} for a system without one."""
    evaluated = loaded.report.provenance.adapter
    if evaluated is None:
        return {}
    source = run / "adapter"
    found = sha256_file(source / ADAPTER_FILE) if (source / ADAPTER_FILE).is_file() else None
    if found != evaluated["sha256"]:
        raise Refused(
            f"{source / ADAPTER_FILE} has sha256 {found}, the report is about "
            f"{evaluated['sha256']}: evaluate this adapter, or restore that one"
        )
    for name in ADAPTER_FILES:
        shutil.copy2(source / name, folder / name)
    if (run / fingerprints.FILE).is_file():  # for evaluations, and for runs that go on from it
        shutil.copy2(run / fingerprints.FILE, folder / fingerprints.FILE)
    return dict(read_json(run / "run.json"))


def _release(
    record: dict[str, Any], loaded: Loaded, gate: Path, feature: str, folder: Path
) -> Release:
    made = loaded.report.provenance
    if made.model is None or "sha256" not in made.model:
        raise Refused(f"the system {made.system} has no weights that a release could name")
    base, mode = Base(**made.model), _mode(feature, made.system)
    return Release(
        feature=feature,
        id=f"{feature}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{made.seal[:6]}",
        created=now(),
        mode=mode,
        base=base,
        adapter_sha256=made.adapter["sha256"] if made.adapter else None,
        prompt_version=made.prompt["version"] if made.prompt else f"{feature}/1",
        labels=record.get("labels"),
        encoder=Base(**made.encoder) if made.encoder else None,
        calibration=Calibration(**made.settings),
        engines=engines(feature, mode, base, folder) if made.adapter else [_fp32()],
        evidence=Evidence(path=f"reports/{GATE}", sha256=sha256_file(gate)),
    )


def _fp32() -> Engine:
    """What was evaluated, by definition at parity with itself."""
    return Engine(engine="transformers", dtype="float32")


def _mode(feature: str, system: str) -> str:
    if feature == "recommend":
        return system
    return system if system in ("quote", "reader") else "model"


def _kept(feature: str) -> Path:
    return var_dir() / "releases" / feature


def _retired(folder: Path) -> float:
    return folder.stat().st_mtime


def _swap(new: Path, current: Path, kept: Path) -> None:
    """Move `current` among the earlier releases and `new` into its place; undone when stopped.

    Two renames, so for an instant there is no release: a running app keeps what it has loaded.
    """
    aside = None
    if (current / "release.json").is_file():
        aside = writable(kept) / releases.read(current).id
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(current, aside)
    retired = new.with_name("retired")
    try:
        if current.exists():
            current.rename(retired)
        new.rename(current)
    except BaseException:
        if retired.exists() and not current.exists():
            retired.rename(current)
        raise
    if aside is not None:
        aside.touch()
