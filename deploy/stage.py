"""Stage a Hugging Face Space: a folder that runs from itself alone.

    python -m deploy stage --out DIR

Holds the product, its brief (FRONTDESK_BRIEF's, where that is set), its releases, the weights under
them, pins, and the Space's front matter. Neither training nor evaluation code, no secret, and no
database: articles that were ingested are not in it. `python -m deploy check DIR` proves it boots.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from app.core import brief as briefs
from app.core import fingerprints
from app.core.errors import InputError
from app.core.files import ROOT, release_dir, sha256_file, writable, write_text
from app.core.release import Base
from deploy import manifest

PYTHON = "3.12"
"""Set always: the default of Spaces is 3.10, which is below what Frontdesk needs."""
WEIGHTS = "weights"
"""Folder beside `app` in which app.models.references looks for weights by name and sha256."""
MAX_GB = 5.0


def stage(out: Path) -> Path:
    """Write the Space folder to `out` (new or empty), whole or not at all; returns it.

    Raises InputError where `out` holds something, or a release's weights are not to be had.
    """
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: name a new folder, or empty it yourself")
    writable(out.parent)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".stage-") as temporary:
        built = Path(temporary) / "space"
        _build(built)
        if out.exists():
            out.rmdir()
        built.rename(out)
    return out


def _build(folder: Path) -> None:
    _copy_product(folder)
    for base in manifest.bases():
        _copy_weights(base, folder / WEIGHTS)
    _copy_learnt(folder / WEIGHTS / "asked")
    write_text(folder / "requirements.txt", "\n".join(manifest.pins()) + "\n")
    write_text(folder / "README.md", front_matter() + _READ_ME)
    write_text(folder / ".gitattributes", "*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    _check_size(folder)


def _copy_product(folder: Path) -> None:
    without = shutil.ignore_patterns("__pycache__", "*.pyc", "release", ".*")
    shutil.copytree(ROOT / "app", folder / "app", ignore=without)
    shutil.copytree(release_dir(), folder / "app" / "release", ignore=_not_served)
    shutil.copy2(_brief(), folder / "brief.yaml")  # where the Space looks for it
    for name in ("LICENSE", "NOTICE"):
        shutil.copy2(ROOT / name, folder / name)
    shutil.copy2(ROOT / "deploy" / "space" / "serve.py", folder / "serve.py")


def _brief() -> Path:
    """The file that briefs.read takes."""
    return Path(os.environ.get("FRONTDESK_BRIEF", ROOT / "brief.yaml"))


def _not_served(folder: str, names: list[str]) -> set[str]:
    """Samples and fingerprints are evidence for us; the page needs none of them."""
    del folder
    return {name for name in names if name.startswith((".", "samples")) or name.endswith(_UNUSED)}


_UNUSED = (".pyc", fingerprints.FILE)


def _copy_weights(base: Base, folder: Path) -> None:
    from app.models.references import resolve

    found = resolve(base.ref, sha256=base.sha256)
    target = folder / base.ref.replace("/", "--")
    kept = (".json", ".txt", ".safetensors", ".jinja", ".model")
    for source in sorted(found.folder.rglob("*")):
        if source.is_file() and source.suffix in kept:
            copy = target / source.relative_to(found.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    if found.unpacker is None and sha256_file(target / found.file) != base.sha256:
        raise InputError(f"{target / found.file} changed while it was copied; stage again")


def _copy_learnt(folder: Path) -> None:
    """What is learnt from the articles' ways to ask: a minute that the Space need not spend."""
    command = [sys.executable, "-m", "app.knowledge.learnt", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise InputError(f"{' '.join(command[1:])} failed: {run.stderr.strip()[-500:]}")


def front_matter() -> str:
    """The Space's configuration (spaces-config-reference of the Hub's documentation)."""
    brief = briefs.read(_brief())
    pinned = dict(pin.split("==") for pin in manifest.pins())
    return "---\n" + yaml.safe_dump(
        {
            "title": f"{brief.name} help desk",
            "emoji": "🫖",
            "colorFrom": "green",
            "colorTo": "yellow",
            "sdk": "gradio",
            "sdk_version": pinned["gradio"],
            "python_version": PYTHON,
            "app_file": "serve.py",
            "short_description": "Help desk, sentiment and recommendations, gated",
            "license": "apache-2.0",
            "suggested_hardware": "cpu-basic",
            "models": sorted({base.ref for base in manifest.bases()}),
            "pinned": False,
        },
        sort_keys=False,
        allow_unicode=True,
    ) + "---\n"  # fmt: skip


def files(folder: Path) -> Iterator[Path]:
    """All files of a staged folder, in order."""
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def _check_size(folder: Path) -> None:
    size = sum(path.stat().st_size for path in files(folder)) / 2**30
    if size > MAX_GB:
        raise InputError(f"the Space would hold {size:.1f} GB, above {MAX_GB} GB: release less")


_READ_ME = """
# A Frontdesk Space

Written by `python -m deploy stage`; change the product, not this folder. The demo shop is invented
and its data is synthetic. Articles that were ingested lie in a database, not here. The disk of a
Space is not kept: conversations and feedback are gone after a restart unless the secret
DATABASE_URL names a PostgreSQL database. Set the secret FRONTDESK_SECRET, or visitors lose their
conversations at each restart.
"""
