"""Reads files in a child process with limits of memory and time (app.knowledge.ingest.worker).

A file that makes a parser hang, eat memory or crash is a file that cannot be read, and nothing
else: the child is ended and a new one reads the next file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

from app.core.files import ROOT
from app.knowledge.ingest.document import Document, Note, Read, Unreadable

SECONDS = 30.0
"""For one file."""


class Sandbox:
    """Call it as `run.read_here`; the child starts with the first file. For one thread."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def __call__(self, data: bytes, name: str) -> Read:
        """What the file holds. Raises Unreadable."""
        child = self._child = self._child or self._start()
        late = threading.Event()

        def kill() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self._seconds, kill)
        timer.start()
        try:
            told = _ask(child, data, name)
        finally:
            timer.cancel()
        if told is None:
            self._end()
            reason = f"took over {self._seconds:.0f} s" if late.is_set() else "broke its parser"
            raise Unreadable(reason, "split it, or save it in another format")
        if "reason" in told:
            raise Unreadable(told["reason"], told["remedy"])
        documents = [Document(**document) for document in told["documents"]]
        return Read(documents, [Note(**note) for note in told["notes"]])

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "app.knowledge.ingest.worker"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def _ask(child: subprocess.Popen[bytes], data: bytes, name: str) -> dict[str, Any] | None:
    """The child's answer; None where it ended before it gave one."""
    assert child.stdin is not None
    assert child.stdout is not None
    header = json.dumps({"name": name, "size": len(data)}).encode() + b"\n"
    try:
        child.stdin.write(header + data)
        child.stdin.flush()
        answer = child.stdout.readline()
        told: dict[str, Any] | None = json.loads(answer) if answer.endswith(b"\n") else None
    except (OSError, ValueError):
        return None
    return told
