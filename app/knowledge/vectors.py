"""Vectors of texts, made once for each text and kept in the cache.

A file `<cache>/vectors/<key>.db` holds the vectors of one encoder by the sha256 of their texts, in
SQLite: a changed article embeds its own passages and nothing else. The key is made of what the
encoder says to a probe sentence, so that other weights under the same name never share it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np

from app.core.errors import InputError
from app.core.files import cache_dir, sha256_text, writable
from app.models.encoder import Array, TextEncoder

_PROBE = "How warm may the water be for green tea?"
_BATCH = 500
"""Values in one statement."""
_BUSY_S = 10.0


def encode_cached(encoder: TextEncoder, texts: Sequence[str]) -> Array:
    """(n, d) float32, as `encoder.encode(texts)`; read from the cache where it was made before.

    A file that is not whole is made again; a cache that cannot be written is done without.
    """
    ids = {text: sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts}
    path = cache_dir() / "vectors" / f"{key(encoder)}.db"
    known = _read(path, list(ids.values()), encoder.dim)
    new = [text for text, id_ in ids.items() if id_ not in known]
    if new:
        made = dict(zip([ids[text] for text in new], encoder.encode(new), strict=True))
        _keep(path, made)
        known |= made
    out = np.empty((len(texts), encoder.dim), dtype=np.float32)
    for row, text in enumerate(texts):
        out[row] = known[ids[text]]
    return out


def key(encoder: TextEncoder) -> str:
    # One decimal: the last bits differ between processors and thread counts, weights differ more.
    probe = np.round(encoder.encode([_PROBE])[0], 1) + 0.0
    return sha256_text("\0".join([encoder.name, probe.tobytes().hex()]))[:32]


def _read(path: Path, ids: Sequence[bytes], dim: int) -> dict[bytes, Array]:
    found = dict[bytes, Array]()
    if not path.is_file():
        return found
    try:
        with _opened(path) as cache:
            for at in range(0, len(ids), _BATCH):
                batch = ids[at : at + _BATCH]
                marks = ",".join("?" * len(batch))
                query = f"select id, vector from vectors where id in ({marks})"
                for id_, vector in cache.execute(query, batch):
                    if len(vector) == 4 * dim:
                        found[id_] = np.frombuffer(vector, dtype=np.float32)
    except sqlite3.DatabaseError:
        return {}
    return found


def _keep(path: Path, made: dict[bytes, Array]) -> None:
    rows = [(id_, np.asarray(vector, np.float32).tobytes()) for id_, vector in made.items()]
    try:
        writable(path.parent)
        try:
            _write(path, rows)
        except sqlite3.OperationalError:
            return  # busy or full: it will be embedded once more
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)  # torn
            _write(path, rows)
    except (InputError, OSError, sqlite3.Error):
        return  # a start from a read-only disk embeds each time, and works


def _write(path: Path, rows: Sequence[tuple[bytes, bytes]]) -> None:
    with _opened(path) as cache, cache:
        cache.execute("create table if not exists vectors (id blob primary key, vector blob)")
        cache.executemany("insert or replace into vectors values (?, ?)", rows)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, timeout=_BUSY_S)) as cache:
        yield cache
