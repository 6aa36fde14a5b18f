"""Where things lie, and writes that are whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RELEASES = ROOT / "app" / "release"
DEMO = ROOT / "app" / "demo"


def var_dir() -> Path:
    """What the running product writes: database, indexes, logs (FRONTDESK_VAR, default `var/`)."""
    return Path(os.environ.get("FRONTDESK_VAR", ROOT / "var"))


def cache_dir() -> Path:
    """What can be made again: unpacked weights, probes (FRONTDESK_CACHE, ~/.cache/frontdesk)."""
    return Path(os.environ.get("FRONTDESK_CACHE", Path.home() / ".cache" / "frontdesk"))


def release_dir() -> Path:
    """The released systems that are served (FRONTDESK_RELEASES, default app/release)."""
    return Path(os.environ.get("FRONTDESK_RELEASES", RELEASES))


def writable(folder: Path) -> Path:
    """`folder`, made if needed. Raises InputError with what to do where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(
            f"cannot write in {folder} ({error.strerror}): give the folder to this user, or name "
            f"another one (FRONTDESK_VAR for data, FRONTDESK_CACHE for weights, --out for results)"
        ) from error


@contextmanager
def atomic_path(target: Path, mode: int = 0o644) -> Iterator[Path]:
    """A temporary path beside `target` that replaces it when the block ends well, else vanishes."""
    writable(target.parent)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically: temporary file, fsync, rename."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically, keys in the order given."""
    write_text(target, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_jsonl(target: Path, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_text(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """The JSON value in `path`. Raises InputError, naming file and line, where it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except (ValueError, RecursionError) as error:  # the latter: nested beyond reason
        raise InputError(f"{path} is not JSON in UTF-8: {error}") from error


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """The sha256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256_files(paths: list[Path], base: Path = ROOT) -> str:
    """One sha256 over names and contents of `paths`, in sorted order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(base)}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()
