"""Hashed traces of training text, so that a test set can be checked for overlap without the text.

`fingerprints.bin` is the magic line, then sorted 8-byte big-endian hashes: of each whole normalised
text and of each of its 13-grams of words (Brown et al. 2020, appendix C; Chinese: 13 characters).
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable
from pathlib import Path

from app.core.errors import InputError
from app.core.files import atomic_path

FILE = "fingerprints.bin"
MAGIC = b"frontdesk-fingerprints/1\n"
GRAM = 13
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+")


def tokens(text: str) -> list[str]:
    """Lower-case words; each Han character is a word; punctuation is dropped."""
    return _TOKEN.findall(text.lower())


def of(text: str) -> set[int]:
    """Hashes of the whole text and of its 13-grams; empty for a text without words."""
    words = tokens(text)
    if not words:
        return set()
    grams = {" ".join(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)}
    return {_hash("=" + " ".join(words)), *(_hash(gram) for gram in grams)}


def write(path: Path, texts: Iterable[str], known: Iterable[int] = ()) -> int:
    """Write the fingerprints of `texts` and `known` atomically; returns how many hashes there are.

    known: what an adapter had learnt before, that a run goes on from.
    """
    hashes = sorted(set(known).union(*(of(text) for text in texts)))
    with atomic_path(path) as temporary:
        temporary.write_bytes(MAGIC + struct.pack(f">{len(hashes)}Q", *hashes))
    return len(hashes)


def read(path: Path) -> frozenset[int]:
    """The hashes in a fingerprints file. Raises InputError where it is not one."""
    data = path.read_bytes()
    body = data[len(MAGIC) :]
    if not data.startswith(MAGIC) or len(body) % 8:
        raise InputError(f"{path} is not a fingerprints file of version 1; train the run again")
    return frozenset(struct.unpack(f">{len(body) // 8}Q", body))


def overlaps(text: str, known: frozenset[int]) -> bool:
    """Whether `text` as a whole, or any 13-gram of it, is among the hashes `known`."""
    return not of(text).isdisjoint(known)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
