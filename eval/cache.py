"""Finished samples on disk, so that an interrupted evaluation goes on where it stopped.

One file an evaluation, in FRONTDESK_CACHE/samples; its name is a sha256 over all that a row depends
on: the task's code and the harness's, system, data, samples, versions and machine. A line holds the
rows of one batch, so that a torn line loses a whole batch and the others are asked in the same
company as before. Failed samples are not kept.

A system whose weights are not fixed by a hash (a model behind a server) may be another one
tomorrow: its samples serve an interrupted run, for a day, and are dropped when it has finished.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from app.core import data as references
from app.core.errors import AppError
from app.core.files import cache_dir, sha256_text, writable
from app.core.provenance import code_hash, machine, versions
from eval import engines
from eval.samples import Row, Sample

if TYPE_CHECKING:
    from eval.harness import Plan

log = logging.getLogger(__name__)
MOST_FILES, MOST_BYTES = 50, 500 * 2**20
"""Older evaluations than the newest ones within both bounds are forgotten."""
SERVER_S = 24 * 3600.0
"""How long after its last sample an interrupted run on a server may go on."""
SYNC_S = 1.0
"""A killed run loses the batch under way; a machine that goes down, this much more."""


class Cache:
    """The finished samples of one evaluation. A disk that does not take them is only told of."""

    def __init__(self, file: Path, *, lasting: bool = True, fresh: bool = False) -> None:
        self.file, self.lasting = file, lasting
        self._stream: int | None = None
        self._synced = 0.0
        self._rows: dict[str, Row] = {}
        try:
            self._open(fresh)
        except (OSError, AppError) as error:
            self._give_up(error)

    def rows(self, samples: Sequence[Sample]) -> dict[str, Row]:
        """By id, the rows of those of `samples` that are finished."""
        found = ((s, self._rows.get(s.id)) for s in samples)
        return {
            sample.id: row
            for sample, row in found
            if row is not None and row.text_sha256 == sha256_text(sample.text)
        }

    def add(self, rows: Sequence[Row]) -> None:
        """Keep those of `rows` that did not fail, as one line."""
        whole = [row for row in rows if row.error is None]
        if not whole or self._stream is None:
            return
        line = json.dumps([row.model_dump() for row in whole], ensure_ascii=False)
        try:
            # One write in append mode: whole or torn at the end, also beside other runs.
            os.write(self._stream, f"{line}\n".encode("utf-8", "surrogatepass"))
            if time.monotonic() - self._synced > SYNC_S:
                os.fsync(self._stream)
                self._synced = time.monotonic()
        except OSError as error:
            self._give_up(error)
        else:
            self._rows |= {row.id: row for row in whole}

    def __len__(self) -> int:
        """Samples that a run that is stopped now need not ask again."""
        return len(self._rows)

    def finish(self) -> None:
        """The report is written."""
        if self._stream is not None:
            os.close(self._stream)
            self._stream = None
        if not self.lasting:
            self.file.unlink(missing_ok=True)

    def _open(self, fresh: bool) -> None:
        writable(self.file.parent)
        stale = not self.lasting and self.file.is_file() and _age_s(self.file) > SERVER_S
        if fresh or stale:
            self.file.unlink(missing_ok=True)
        self._stream = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.utime(self.file)  # used now: the last to be forgotten
        content = self.file.read_bytes()
        self._rows = {row.id: row for row in _parsed(content)}
        if content and not content.endswith(b"\n"):
            os.write(self._stream, b"\n")  # what was torn stays a line of its own
        _prune(self.file.parent)

    def _give_up(self, error: Exception) -> None:
        log.warning("finished samples are not kept from here on: %s", error)
        self._stream = None


def of(plan: Plan, fresh: bool = False) -> Cache:
    """The cache of `plan`; `fresh` forgets what it holds."""
    lasting = engines.fixed(plan.system.identity)
    return Cache(cache_dir() / "samples" / f"{key(plan)}.jsonl", lasting=lasting, fresh=fresh)


def key(plan: Plan) -> str:
    """sha256 over what the rows depend on. The samples are in it, since they are asked in batches
    and a batch may round otherwise in other company."""
    parts = {
        "task": plan.task.name,
        "code": [plan.task.code(), code_hash("eval")],
        "system": [plan.system.name, plan.system.batch, dict(plan.system.identity)],
        "data": [plan.ref, references.sha256_of(plan.ref), dict(plan.request.columns)],
        "samples": [sample.id for sample in plan.samples],
        "made with": [versions(), machine()],
    }
    return sha256_text(json.dumps(parts, sort_keys=True, ensure_ascii=False))


def _parsed(content: bytes) -> Iterator[Row]:
    """Rows of all whole lines; what is torn or of another format is skipped."""
    for line in content.splitlines():
        try:
            yield from [Row.model_validate(row) for row in json.loads(line)]
        except (ValueError, TypeError, ValidationError):
            continue


def _age_s(file: Path) -> float:
    return time.time() - file.stat().st_mtime


def _prune(folder: Path) -> None:
    """Forget the files used longest ago, beyond MOST_FILES and MOST_BYTES; never the newest."""
    stats = {file: file.stat() for file in folder.glob("*.jsonl")}
    total = 0
    newest = sorted(stats, key=lambda file: stats[file].st_mtime, reverse=True)
    for number, file in enumerate(newest):
        total += stats[file].st_size
        if number and (number >= MOST_FILES or total > MOST_BYTES):
            file.unlink(missing_ok=True)
