"""What a Space needs, derived: packages from the product's imports, weights from the releases."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.core import release as releases
from app.core.errors import InputError
from app.core.files import ROOT, release_dir
from app.core.release import Base, Release

# What `app` imports, directly. trl, datasets and matplotlib train, measure and plot: a Space does
# none of that. tests/test_stage.py holds the list against the imports.
RUNTIME = (
    "torch", "transformers", "peft", "accelerate", "safetensors", "huggingface_hub", "gradio",
    "fastapi", "uvicorn", "swagger-ui-bundle", "itsdangerous", "limits", "prometheus_client",
    "structlog", "pydantic", "PyYAML", "typer", "SQLAlchemy", "alembic", "bm25s", "opencc", "numpy",
    "scipy", "scikit-learn", "presidio_analyzer", "phonenumbers", "psutil", "pwdlib", "argon2-cffi",
    "python-multipart", "httpx", "markdown-it-py", "beautifulsoup4", "pypdf", "defusedxml",
    "charset-normalizer", "rich",
)  # fmt: skip
# The Space's torch build may bring libraries of its own (CUDA); they are torch's business.
_OF_TORCH = re.compile(r"^(nvidia-|cuda-|triton$)")


def pins() -> list[str]:
    """`name==version` of RUNTIME and all that it needs here, as installed from the lock, sorted."""
    found: dict[str, str] = {}
    waiting = [Requirement(name) for name in RUNTIME]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found or _OF_TORCH.match(name):
            continue
        found[name] = _installed(name)
        waiting += _needs(name)
    return [f"{name}=={found[name]}" for name in sorted(found)]


def bases(folder: Path | None = None) -> list[Base]:
    """The base weights that the releases in `folder` (default: those served) rest on, each once."""
    found: dict[str, Base] = {}
    for feature in sorted((folder or release_dir()).glob("*/release.json")):
        for base in _of_release(releases.read(feature.parent)):
            found[base.sha256] = base
    if not found:
        raise InputError(f"no release in {folder or release_dir()}: python -m deploy promote first")
    return list(found.values())


def _of_release(release: Release) -> list[Base]:
    return [release.base, *([release.encoder] if release.encoder else [])]


def _installed(name: str) -> str:
    try:
        return version(name).partition("+")[0]  # a local build such as +cpu is this machine's alone
    except PackageNotFoundError as error:
        raise InputError(f"{name} is not installed: run make setup, or python {ROOT}") from error


def _needs(name: str) -> list[Requirement]:
    """Requirements without an extra whose marker holds here."""
    parsed = (Requirement(line) for line in requires(name) or [])
    return [need for need in parsed if need.marker is None or need.marker.evaluate({"extra": ""})]
