"""The files of a folder and their bytes: bounded, through no link, never out of the folder."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from app.core.errors import InputError
from app.knowledge.ingest.document import Unreadable

MAX_BYTES = 20_000_000
"""Of one file; more is no help article."""
MAX_FILES = 20_000
_IGNORED = ("thumbs.db", "desktop.ini")


class File(NamedTuple):
    """A file below the folder."""

    path: Path
    name: str
    """Its path within the folder: parts joined with /, in NFC, printable."""


def walk(folder: Path) -> Iterator[File]:
    """Files in the order of their names; those that are hidden (.x, ~$x) are passed over.

    Links to folders are given as files, so that `content` can say that it does not follow them.
    Raises InputError where there is no such folder, or more than MAX_FILES in it.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        raise InputError(f"{folder}: expected a folder of help articles, found {found} there")
    for count, path in enumerate(_paths(folder), 1):
        if count > MAX_FILES:
            raise InputError(
                f"{folder} holds more than {MAX_FILES:,} files: ingest its folders one by one"
            )
        yield File(path, shown("/".join(path.relative_to(folder).parts)))


def content(path: Path) -> bytes:
    """The bytes of a plain file. Raises Unreadable for links, devices, what is empty or too large,
    and what may not be read."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink():
            raise Unreadable("is a link; links are not followed", "put the file itself here")
        with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Unreadable("is not a plain file", "take it out of the folder")
            if found.st_size > MAX_BYTES:
                raise _too_large(found.st_size)
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(
            f"cannot be opened ({error.strerror})", "give this user the right"
        ) from error
    if len(data) > MAX_BYTES:
        raise _too_large(len(data))
    if not data.strip():
        raise Unreadable("is empty", "write something into it, or take it out")
    return data


def _too_large(size: int) -> Unreadable:
    return Unreadable(
        f"is of {size / 1e6:,.1f} MB; at most {MAX_BYTES / 1e6:,.0f} MB are read", "split it"
    )


def _paths(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in links)
        for name in sorted([*names, *links]):
            if not name.startswith((".", "~$")) and name.lower() not in _IGNORED:
                yield Path(root) / name


def shown(name: str) -> str:
    """`name` in NFC; what cannot be shown or stored (bytes that are no UTF-8) becomes U+FFFD."""
    composed = unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))
    return "".join("\ufffd" if unicodedata.category(c)[0] == "C" else c for c in composed)
