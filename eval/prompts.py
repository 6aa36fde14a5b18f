"""Which prompt a report was made with, by version and by the sha256 of what it says."""

from __future__ import annotations

from pathlib import Path

from app.core import textprep
from app.core.files import sha256_file, sha256_text
from app.core.prompt import TEMPLATES


def identity(version: str) -> dict[str, str] | None:
    """{version, sha256} of a prompt of this code; None where it has no such version.

    For `sentiment/N` and `reader/N`, which have no words of their own, the sha256 is that of the
    code that lays the text out.
    """
    if version in TEMPLATES:
        template = TEMPLATES[version]
        return {
            "version": version,
            "sha256": sha256_text(f"{template.system}\0{template.question}"),
        }
    if version == f"sentiment/{textprep.VERSION}":
        return {"version": version, "sha256": sha256_file(Path(textprep.__file__))}
    if version.startswith("reader/"):
        return _of_reader(version)
    return None


def _of_reader(version: str) -> dict[str, str] | None:
    from app.models import reader, windows

    if version != reader.PROMPT_VERSION:
        return None
    return {"version": version, "sha256": sha256_file(Path(windows.__file__))}
