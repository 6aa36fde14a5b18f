"""Passwords: kept as argon2id hashes with a salt each, never as typed.

Parameters are pwdlib's recommended ones (RFC 9106: 64 MiB, 3 passes); they stand in the hash, so
that older hashes go on being checked when they change.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from app.core.errors import InputError

if TYPE_CHECKING:
    from pwdlib import PasswordHash

MIN_CHARS, MAX_CHARS = 12, 256


def hashed(password: str) -> str:
    """The hash to keep. Raises InputError for one that is too short or too long."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise InputError(
            f"the password has {len(password)} characters: expected {MIN_CHARS} to {MAX_CHARS}; "
            "a few words in a row are easy to keep"
        )
    return _hasher().hash(password)


def matches(password: str, kept: str) -> bool:
    """Whether `password` has the hash `kept`; takes as long for a wrong one. Any length."""
    return _hasher().verify(password[: MAX_CHARS + 1], kept)


@cache
def _hasher() -> PasswordHash:
    from pwdlib import PasswordHash

    return PasswordHash.recommended()
