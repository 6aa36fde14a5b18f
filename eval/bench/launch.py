"""Run a bench under each setting of the machine, one process after the other, and join the records.

Nothing is kept of a bench that ends early: half of it is no comparison.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from app.core import provenance
from app.core.config import parse
from app.core.errors import AppError, InputError, NotFound
from app.core.files import ROOT, read_json, write_json, write_text
from eval.bench import others, speedups
from eval.bench.base import Bench
from eval.bench.record import MARKDOWN, RECORD, Provenance, Record, Run
from eval.bench.settings import Setting, possible
from eval.bench.worker import Order
from eval.stats import SEED
from eval.task import Request

INSTALL = ".venv/bin/python -m pip install -e '.[bench]'"


def measure(bench: Bench, request: Request, rounds: int, command: str) -> Record:
    """The bench under every setting that this machine can have.

    Raises InputError for bad numbers, NotFound where a peer is not installed, AppError where a run
    does not come to its end.
    """
    if rounds < 1 or (request.limit is not None and request.limit < 1):
        raise InputError(f"--rounds {rounds}, --limit {request.limit}: expected at least 1")
    check_installed(bench)
    _warn()
    settings, missing = possible()
    runs = [_run(bench, setting, request, rounds) for setting in settings]
    return Record(
        bench=bench.name,
        peer=bench.peer,
        n=runs[0].arms[0].quality.n,
        seed=SEED,
        rounds=rounds,
        held=round(speedups.held(rounds), 3),
        headline=bench.headline,
        metrics=[metric for run in runs for metric in run.metrics],
        runs=runs,
        missing=missing,
        provenance=_provenance(bench, command),
    )


def check_installed(bench: Bench) -> None:
    """Raises NotFound with the command that installs what is missing of the peers."""
    missing = [name for module, name in bench.needs.items() if find_spec(module) is None]
    if missing:
        raise NotFound(
            f"bench {bench.name} compares with {' and '.join(missing)}, not installed here since "
            f"nothing else needs it: {INSTALL}"
        )


def write(folder: Path, record: Record) -> None:
    """bench.md, then bench.json, each atomically."""
    from eval.bench.page import render

    write_text(folder / MARKDOWN, render(record))
    write_json(folder / RECORD, record.model_dump(mode="json"))


def _warn() -> None:
    """Say ahead that the machine is not idle; the record says how much others used of it."""
    busy = others.now()
    if busy > others.QUIET:
        print(f"{busy:.1f} cores are busy with other work: {others.ROUGH}", file=sys.stderr)


def _run(bench: Bench, setting: Setting, request: Request, rounds: int) -> Run:
    """What a process of its own found under `setting`."""
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-") as folder:
        order = Order(
            bench=bench.name,
            setting=setting.name,
            rounds=rounds,
            data=request.data,
            limit=request.limit,
            path=Path(folder) / "run.json",
        )
        command = [sys.executable, "-m", "eval.bench.worker", order.model_dump_json()]
        # What a worker that is killed leaves behind goes with the folder.
        finish(setting, command, {"HF_HUB_OFFLINE": "1", "TMPDIR": folder})
        return parse(Run, read_json(order.path), f"the run {setting.name}")


def finish(setting: Setting, command: Sequence[str], extra: Mapping[str, str]) -> None:
    """Run to the end under `setting`; who stops this process stops the worker with it.

    Leaves with status 2 where the worker did, since it has said why. Raises AppError where it died.
    """
    environment = os.environ | dict(extra) | dict(setting.environment)
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment)  # kills it on any exception
    finally:
        signal.signal(signal.SIGTERM, before)
    if done.returncode == 2:
        raise SystemExit(2)
    if done.returncode:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        raise AppError(
            f"the run {setting.name} ended with {how} before its last round (9 is often a machine "
            "without memory left): nothing was written; what it said stands above"
        )


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _provenance(bench: Bench, command: str) -> Provenance:
    peers = {name: version(name) for name in bench.needs.values()}
    return Provenance(
        code=provenance.code_hash(*bench.code_parts),
        git=provenance.git(),
        command=command,
        date=provenance.now(),
        versions=provenance.versions() | peers,
        machine=provenance.machine(),
    )
