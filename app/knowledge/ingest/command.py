"""`python -m app ingest`: progress on stderr, the report on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.knowledge.ingest.run import Progress, ingest, remove
from app.knowledge.ingest.sandbox import Sandbox
from app.store.db import Store

EVERY = 100
"""Files between two lines of progress on a pipe."""


def run(
    store: Store,
    folder: Path,
    *,
    visibility: str = "public",
    dry_run: bool = False,
    removing: bool = False,
    as_json: bool = False,
) -> None:
    """Ingest `folder` (or take it out) and print the report; see run.ingest for what it raises."""
    if removing:
        report = remove(folder, store.articles, dry_run=dry_run)
    else:
        with _progress() as progress, Sandbox() as read:
            report = ingest(
                folder,
                store.articles,
                visibility=visibility,
                dry_run=dry_run,
                read=read,
                progress=progress,
            )
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        print("\n".join(report.lines()))


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar where a person looks on, else a line now and then."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading")

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=escape(name[-40:]) or "done")

        yield show


def _line(done: int, total: int, name: str) -> None:
    del name
    if done and (done % EVERY == 0 or done == total):
        print(f"read {done} of {total} files", file=sys.stderr, flush=True)
