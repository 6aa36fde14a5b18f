"""Small results that take a while and can always be made again, kept under FRONTDESK_CACHE."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.core.errors import InputError
from app.core.files import cache_dir, write_json

log = logging.getLogger(__name__)


def remembered(file: str, key: str, make: Callable[[], Any]) -> Any:
    """The value of `key` in the JSON file `file`, made and kept there where it is not yet known.

    A file that cannot be read or written costs time and nothing else. Two processes that write at
    once may lose one of two new values, never the file.
    """
    path = cache_dir() / file
    known = _read(path)
    if key in known:
        return known[key]
    value = make()
    try:
        write_json(path, {**_read(path), key: value})
    except InputError as error:
        log.warning("%s is made anew each time: %s", file, error.message)
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
