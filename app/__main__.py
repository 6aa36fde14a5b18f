"""`python -m app`: serve the page and the HTTP API; bring the database up and down.

Heavy imports are inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.core.errors import InputError, guarded

cli = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
db = typer.Typer(help="The database's schema.", no_args_is_help=True)
cli.add_typer(db, name="db")

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="YAML file; FRONTDESK_* and flags go over it.")
]


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one [7860]")] = None,
    model: Annotated[
        str | None, typer.Option(help="Chat model instead of the released one; `scripted`: none")
    ] = None,
    settings: SettingsFile = None,
) -> None:
    """Serve the page at / and the API at /v1 (the default command)."""
    from app.launch import serve as run

    run(settings, host=host, port=port, model=model)


@db.command()
def upgrade(settings: SettingsFile = None) -> None:
    """Bring the schema to the newest version (serve does this at its start)."""
    from app.core.settings import load
    from app.store.db import open_store
    from app.store.migrate import current

    store = open_store(load(settings).database)
    print(f"database at schema {current(store.engine)}")
    store.close()


@db.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="-1: one step back; base: drop all tables")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it: what is in newer columns is lost")
    ] = False,
    settings: SettingsFile = None,
) -> None:
    """Take the schema back, with the loss of what newer tables and columns hold."""
    from app.core.settings import load
    from app.store import migrate
    from app.store.db import open_store

    if not yes:
        raise InputError(
            f"downgrade to {revision} drops tables or columns with what is in them: make a backup "
            "and say --yes"
        )
    store = open_store(load(settings).database, migrate=False)
    print(f"database at schema {migrate.downgrade(store.engine, revision)}")
    store.close()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; flags alone mean `serve`."""
    given = sys.argv[1:] if arguments is None else arguments
    first = given[0] if given else "--port"
    serving = first.startswith("-") and first not in ("--help", "-h")
    try:
        guarded(lambda: cli(["serve", *given] if serving else given, prog_name="python -m app"))
    except SystemExit as ended:
        if ended.code == 130:  # typer turns Ctrl-C into this without a word
            print("stopped; what was said is stored", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
