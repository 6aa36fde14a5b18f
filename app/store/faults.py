"""A database that is full, locked, read-only, broken or gone: one sentence instead of a trace.

The transaction under way has been rolled back when it is raised; what was committed stands. The
next call tries anew, so the app goes on by itself once the database is back.
"""

from __future__ import annotations

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from app.core.errors import StoreDown

OURS = (IntegrityError, DataError)
"""What a statement of ours got wrong; not the database's fault."""
_FULL = ("disk is full", "no space left", "disk full", "file too large")
_READ_ONLY = ("readonly", "read-only")
_BUSY = ("is locked", "deadlock", "lock timeout")


def sentence(error: DBAPIError | NoConnection) -> StoreDown:
    """The error to raise for what a driver, or a pool without a free connection, raised."""
    found = str(getattr(error, "orig", error)).lower()
    if any(words in found for words in _FULL):
        return StoreDown("the disk of our database is full")
    if any(words in found for words in _READ_ONLY):
        return StoreDown("our database cannot be written at the moment")
    if isinstance(error, NoConnection) or any(words in found for words in _BUSY):
        return StoreDown("our database is too busy at the moment")
    return StoreDown("our database cannot be reached at the moment")
