"""Reports, comparisons and verdicts that lie beside the releases and in the folder of runs.

The files were written by the evaluation tools; here they are only found and read. A reader names
one by an id out of the listing, never by a path.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from app.core.errors import InputError, NotFound
from app.core.files import ROOT, read_json, release_dir
from app.core.release import Feature

KINDS = {"report.json": "report", "compare.json": "compare", "gate.json": "gate"}
RUNS = "runs"
FEATURES: tuple[Feature, ...] = ("support", "sentiment", "recommend")
"""In the order of the page's tabs."""
MAX_PAGE_BYTES = 5_000_000
_DEPTHS = ("*/{}", "*/*/{}")
"""Where a run keeps them: runs/NAME/report.json, runs/NAME/TASK/report.json."""


class Entry(NamedTuple):
    """One file of a listing."""

    id: str
    source: str
    """The feature whose release it belongs to, or `runs`."""
    kind: str
    """report, compare or gate."""
    place: str
    """Where it lies in its source, e.g. `sst2`; empty at the top."""
    path: Path


class Reports:
    """The listing, made anew at each look: releases change while the app runs."""

    def __init__(self, runs_dir: str, releases: Path | None = None) -> None:
        self._runs = ROOT / runs_dir
        self._releases = releases

    def list(self) -> list[Entry]:
        """By feature, of each the main report first, then its evidence; those of runs last."""
        return sorted([*self._released(), *self._of_runs()], key=_order)

    def get(self, entry_id: str) -> Entry:
        """The entry with this id. Raises NotFound: nothing else can be named."""
        for entry in self.list():
            if entry.id == entry_id:
                return entry
        raise NotFound("there is no such report any more", zh="这份报告已经不在了。")

    def release(self, feature: str) -> dict[str, Any]:
        """release.json of a feature, or nothing where it has none that can be read."""
        return _tree((self._releases or release_dir()) / feature / "release.json")

    def _released(self) -> Iterator[Entry]:
        root = self._releases or release_dir()
        for feature in FEATURES:
            folder = root / feature / "reports"
            found = [path for name in KINDS for path in folder.rglob(name)]
            yield from _entries(feature, folder, found)

    def _of_runs(self) -> Iterator[Entry]:
        patterns = [depth.format(name) for name in KINDS for depth in _DEPTHS]
        found = [path for pattern in patterns for path in self._runs.glob(pattern)]
        yield from _entries(RUNS, self._runs, found)


def tree(entry: Entry) -> dict[str, Any]:
    """What the file holds; nothing where it is no JSON object."""
    return _tree(entry.path)


def page(entry: Entry) -> str | None:
    """The HTML page that was made beside it; None where there is none, or one of a strange size."""
    file = entry.path.with_suffix(".html")
    if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_PAGE_BYTES:
        return None
    return file.read_text(encoding="utf-8", errors="replace")


def _entries(source: str, root: Path, found: list[Path]) -> Iterator[Entry]:
    inside = root.resolve()
    for path in found:
        if path.resolve().is_relative_to(inside):  # a link may lead anywhere
            name = f"{source}/{path.relative_to(root).as_posix()}"
            place = path.parent.relative_to(root).as_posix()
            digest = sha256(name.encode()).hexdigest()[:16]
            yield Entry(digest, source, KINDS[path.name], "" if place == "." else place, path)


def _order(entry: Entry) -> tuple[int, bool, str, int]:
    first = entry.place == entry.source and entry.kind == "report"
    kinds = ("gate", "compare", "report")
    return (*FEATURES, RUNS).index(entry.source), not first, entry.place, kinds.index(entry.kind)


def _tree(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (InputError, OSError):
        return {}
    return found if isinstance(found, dict) else {}
