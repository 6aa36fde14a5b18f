"""Which reader takes which ending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from app.core.errors import nearest
from app.knowledge.ingest import docx, markdown, pdf, questions, webpage
from app.knowledge.ingest.document import Read, Unreadable

VERSION = 2
"""Raise it when a reader makes other text of the same bytes: all files are then read again."""

Reader = Callable[[bytes, str], Read]
READERS: dict[str, Reader] = {
    ".md": markdown.read,
    ".markdown": markdown.read,
    ".txt": markdown.read,
    ".html": webpage.read,
    ".htm": webpage.read,
    ".pdf": pdf.read,
    ".docx": docx.read,
    ".csv": questions.read,
}
"""By ending, in lower case."""


def reader_of(name: str) -> Reader:
    """The reader for a file of this name. Raises Unreadable, naming the endings there are."""
    ending = PurePosixPath(name).suffix.lower()
    if ending not in READERS:
        known = ", ".join(READERS)
        raise Unreadable(
            f"has the ending {ending or '(none)'}, which nothing here reads",
            f"save it as one of {known}.{nearest(ending, READERS)}",
        )
    return READERS[ending]
