"""A PostgreSQL server of our own for one test session: Debian's, in a temporary folder.

It listens on a socket in that folder alone, keeps nothing, and ends with the session.
"""

from __future__ import annotations

import getpass
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda p: int(p.parent.name))
WANTING = "postgresql: no server here (Debian: apt install postgresql)"
_numbers = itertools.count(1)


def present() -> bool:
    """Whether the server's programs are here, and a user that may run them: it refuses root."""
    usable = os.geteuid() != 0 or (bool(shutil.which("setpriv")) and _has_user("postgres"))
    return BIN is not None and (BIN / "initdb").exists() and usable


@contextmanager
def server() -> Iterator[str]:
    """Start it; gives the URL of its first database, and stops it at the end."""
    assert BIN is not None
    folder = Path(tempfile.mkdtemp(prefix="fd-pg-", dir="/tmp"))  # short: a socket lies in it
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    shutil.chown(folder, user)
    as_user = (
        ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig", "INT"]
        if os.geteuid() == 0
        else []
    )
    data = folder / "data"
    initdb = [BIN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync",
              "--encoding", "UTF8", "--locale", "C.UTF-8"]  # fmt: skip
    subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd=folder)
    quick = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB")
    options = [part for setting in quick for part in ("-c", setting)]
    serving = subprocess.Popen(
        [*as_user, BIN / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
    )  # fmt: skip
    url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
    try:
        _wait(url, serving)
        yield url
    finally:
        serving.send_signal(signal.SIGQUIT)  # at once: nothing is kept
        serving.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(url: str) -> str:
    """An empty database on the server of `url`."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name} template template0"))
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


def _wait(url: str, serving: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url)
    deadline = time.monotonic() + 60
    while True:
        try:
            engine.connect().close()
            break
        except OperationalError:
            if serving.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    engine.dispose()


def _has_user(name: str) -> bool:
    import pwd

    return name in {entry.pw_name for entry in pwd.getpwall()}
