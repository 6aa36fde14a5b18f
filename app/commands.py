"""`python -m app data`: list articles; give out, delete, back up and put back what is kept.

Heavy imports are inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.core.errors import InputError

if TYPE_CHECKING:
    from app.store.db import Store

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="YAML file; FRONTDESK_* and flags go over it.")
]
Owner = Annotated[str, typer.Argument(help="Whose: visitor:..., as in tickets.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it: what is there is lost")]
data = typer.Typer(
    help="What is kept: list, export, delete, backup, restore.", no_args_is_help=True
)


@data.command()
def articles(
    as_json: Annotated[bool, typer.Option("--json", help="{file: articles}")] = False,
    settings: SettingsFile = None,
) -> None:
    """How many help articles were ingested, by the file that they come from."""
    with opened(settings) as store:
        found = {file: source.articles for file, source in store.articles.sources("").items()}
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for file, count in found.items():
        print(f"{count:5d}  {file}")
    print(f"{sum(found.values()):5d}  ingested articles")


@data.command()
def export(
    owner: Owner,
    out: Annotated[Path | None, typer.Option(help="A file instead of the screen")] = None,
    redacted: Annotated[
        bool, typer.Option("--redacted", help="For anybody but the owner: personal data replaced")
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """All that is kept of one owner, as JSON: conversations as typed, feedback, tickets."""
    from app.core.files import atomic_path

    with opened(settings) as store:
        store.owners.known(owner)
        found = store.owners.export(owner, redacted=redacted)
    text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
    if out is None:
        print(text, end="")
        return
    with atomic_path(out, mode=0o600) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{out}: {len(found['conversations'])} conversations")


@data.command()
def delete(owner: Owner, yes: Yes = False, settings: SettingsFile = None) -> None:
    """Delete all that is kept of one owner, for good; backups made before still hold it."""
    with opened(settings) as store:
        store.owners.known(owner)
        if not yes:
            raise InputError(
                f"this deletes all conversations, feedback and tickets of {owner}: export them "
                "first if they are needed, and say --yes"
            )
        erased = store.owners.erase(owner)
    print("deleted: " + ", ".join(f"{count} {what}" for what, count in erased._asdict().items()))


@data.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Such as backup.jsonl.gz")],
    settings: SettingsFile = None,
) -> None:
    """All that is kept, as of one moment, in one file; the app may go on meanwhile."""
    from app.store import backup as backups

    with opened(settings) as store:
        rows = backups.backup(store, file)
    print(f"{file}: {rows:,} rows. It holds what people typed: keep it safe, and delete it in time")


@data.command()
def restore(
    file: Annotated[Path, typer.Argument(help="Written by `data backup`, on either database")],
    yes: Yes = False,
    settings: SettingsFile = None,
) -> None:
    """Put a backup in place of all that is in the database; whole or not at all."""
    from app.store import backup as backups

    with opened(settings) as store:
        there = backups.count(store)
        if there and not yes:
            raise InputError(
                f"the database holds {there:,} rows, which a restore replaces: back them up "
                "(python -m app data backup FILE) and say --yes"
            )
        rows = backups.restore(store, file)
    print(f"restored {rows:,} rows; all users have to log in again")


@contextmanager
def opened(settings: Path | None) -> Iterator[Store]:
    """The store of these settings at the newest schema."""
    from app.core.settings import load
    from app.store.db import open_store

    store = open_store(load(settings).database)
    try:
        yield store
    finally:
        store.close()
