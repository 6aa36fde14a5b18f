"""`python -m app`: serve the page and the HTTP API; manage users, database and data.

Heavy imports are inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands import SettingsFile, data, opened
from app.core.errors import InputError, guarded

cli = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
db = typer.Typer(help="The database's schema.", no_args_is_help=True)
cli.add_typer(db, name="db")
user = typer.Typer(help="Who can log in, and as what.", no_args_is_help=True)
cli.add_typer(user, name="user")
cli.add_typer(data, name="data")


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


@cli.command()
def ingest(
    folder: Annotated[Path, typer.Argument(help="Markdown, HTML, PDF, DOCX, CSV of questions")],
    visibility: Annotated[
        str, typer.Option(help="public or agents, where an article does not say")
    ] = "public",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take all articles of that folder out")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON")] = False,
    settings: SettingsFile = None,
) -> None:
    """Make the help articles what the files of a folder say; a running server follows at once."""
    from app.core.settings import load
    from app.knowledge.ingest.command import run

    embedding = load(settings).model != "scripted"
    with opened(settings) as store:
        run(
            store, folder, visibility=visibility, dry_run=dry_run, removing=remove,
            embedding=embedding, as_json=as_json,
        )  # fmt: skip


@db.command()
def upgrade(settings: SettingsFile = None) -> None:
    """Bring the schema to the newest version (serve does this at its start)."""
    from app.store.migrate import current

    with opened(settings) as store:
        print(f"database at schema {current(store.engine)}")


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
            "(python -m app data backup FILE) and say --yes"
        )
    store = open_store(load(settings).database, migrate=False)
    print(f"database at schema {migrate.downgrade(store.engine, revision)}")
    store.close()


@user.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="Letters a-z, digits and . _ @ -")],
    role: Annotated[str, typer.Option(help="customer, agent or admin")],
    settings: SettingsFile = None,
) -> None:
    """Add a user; the password is asked for, or read from the first line of stdin."""
    from app.store.users import known_role

    with opened(settings) as store:
        added = store.users.add(name, known_role(role), _password())
    print(f"added {added.name} as {added.role}")


@user.command("password")
def user_password(
    name: Annotated[str, typer.Argument(help="See `user list`.")], settings: SettingsFile = None
) -> None:
    """Change a user's password, which logs the user out everywhere."""
    with opened(settings) as store:
        found = store.users.get(name)
        store.users.set_password(found.name, _password())
    print(f"changed the password of {found.name}; all sessions of this user have ended")


@user.command("list")
def user_list(settings: SettingsFile = None) -> None:
    """Names and roles."""
    with opened(settings) as store:
        found = store.users.list()
    for one in found:
        print(f"{one.name}  {one.role}  since {one.created:%Y-%m-%d}")
    if not found:
        print("nobody yet: python -m app user add NAME --role admin")


@user.command("remove")
def user_remove(
    name: Annotated[str, typer.Argument(help="See `user list`.")], settings: SettingsFile = None
) -> None:
    """Remove a user, who is logged out at once."""
    with opened(settings) as store:
        store.users.remove(name)
    print(f"removed {name}")


def _password() -> str:
    """The hash of a password from the terminal, typed twice, or from a pipe; never an argument,
    which other users of the machine could read."""
    from getpass import getpass

    from app.core.passwords import hashed

    if not sys.stdin.isatty():
        return hashed(sys.stdin.readline().rstrip("\r\n"))
    password = getpass("Password: ")
    if getpass("Once more: ") != password:
        raise InputError("the two passwords differ: nothing was changed")
    return hashed(password)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; flags alone mean `serve`."""
    given = sys.argv[1:] if arguments is None else arguments
    first = given[0] if given else "--port"
    serving = first.startswith("-") and first not in ("--help", "-h")
    try:
        guarded(lambda: cli(["serve", *given] if serving else given, prog_name="python -m app"))
    except SystemExit as ended:
        if ended.code == 130:  # Ctrl-C, of which typer says no word either
            print("stopped; what was said is stored", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
