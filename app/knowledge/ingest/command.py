"""`python -m app ingest`: progress on stderr, the report on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.knowledge.ingest.run import ingest, remove
from app.knowledge.ingest.sandbox import Sandbox
from app.store.db import Store

EVERY = 100
"""Files or passages between two lines of progress on a pipe."""

Show = Callable[[str, int, int], object]
"""What is being done, how much of it is, of how much."""


def run(
    store: Store,
    folder: Path,
    *,
    visibility: str = "public",
    dry_run: bool = False,
    removing: bool = False,
    embedding: bool = True,
    as_json: bool = False,
) -> None:
    """Ingest `folder` (or take it out) and print the report; see run.ingest for what it raises."""
    if removing:
        report = remove(folder, store.articles, dry_run=dry_run)
    else:
        with _progress() as show, Sandbox() as read:
            report = ingest(
                folder, store.articles, visibility=visibility, dry_run=dry_run, read=read,
                prepare=(lambda docs: _embed(docs, show)) if embedding else None,
                progress=lambda done, total, _: show("read", done, total),
            )  # fmt: skip
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        print("\n".join(report.lines()))


def _embed(docs: Sequence[Mapping[str, Any]], show: Show) -> None:
    if docs:
        from app.knowledge.ingest.embed import embed

        problem = embed(docs, lambda done, total: show("embedded", done, total))
        if problem:
            print(problem, file=sys.stderr)


@contextmanager
def _progress() -> Iterator[Show]:
    """A bar for each thing done where a person looks on, else a line now and then."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = bars.add_task(doing)
            bars.update(tasks[doing], completed=done, total=total)

        yield show


def _line(doing: str, done: int, total: int) -> None:
    if done % EVERY == 0 or done == total:
        print(f"{doing} {done} of {total}", file=sys.stderr, flush=True)
