"""The child process that reads foreign bytes: `python -m app.knowledge.ingest.worker`.

Takes, on stdin, a line {"name", "size"} and that many bytes, again and again; answers each with a
line of JSON: {"documents", "notes"} or {"reason", "remedy"}. It may use MEMORY bytes, writes no
file, and ends when its parent does. app.knowledge.ingest.sandbox talks to it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import PurePosixPath
from typing import Any

from app.knowledge.ingest.document import Unreadable
from app.knowledge.ingest.readers import reader_of

MEMORY = 1_500_000_000
"""Bytes of address space; Python and the parsers take some 200 MB of it."""


def main() -> None:
    """Serve until stdin ends."""
    _limit()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a parser prints must not be taken for an answer
    requests = sys.stdin.buffer
    while header := requests.readline():
        asked = json.loads(header)
        data = requests.read(asked["size"])
        answers.write(json.dumps(answer(data, asked["name"])) + "\n")
        answers.flush()


def answer(data: bytes, name: str) -> dict[str, Any]:
    """What is said of one file; never raises."""
    try:
        found = reader_of(name)(data, PurePosixPath(name).stem)
    except Unreadable as error:
        return {"reason": error.reason, "remedy": error.remedy}
    except MemoryError:
        reason = f"needs more than {MEMORY / 1e9:.1f} GB of memory to be read"
        return {"reason": reason, "remedy": "split it"}
    except Exception as error:  # whatever a parser trips over, the other files are read
        reason = f"cannot be parsed ({type(error).__name__})"
        return {"reason": reason, "remedy": "save it again, or in another format"}
    return {
        "documents": [document._asdict() for document in found.documents],
        "notes": [note._asdict() for note in found.notes],
    }


def _limit() -> None:
    """Where the system has such limits (not on Windows)."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
