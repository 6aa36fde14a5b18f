"""From settings to a running server: checks first, then the port, then the page.

Layer: above app.server, below app.__main__.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from app.core.config import dump
from app.core.errors import InputError
from app.core.files import var_dir, writable
from app.core.settings import Settings, load

if TYPE_CHECKING:
    from app.services import Services

GRACE_S = 2
"""What open connections get after Ctrl-C or SIGTERM; turns under way are stopped and stored."""


def serve(file: Path | None = None, **flags: object) -> None:
    """Check releases and folders, bind the port, serve until Ctrl-C, which is SystemExit(130).

    Raises, before anything is bound: ConfigError, Mismatch (a release that is not what was
    evaluated), WeightsMissing, InputError (port taken, folder that cannot be written).
    """
    from app.services import Services
    from app.serving.features import verify
    from app.serving.own import still_demo

    settings = load(file, **flags)
    writable(var_dir())
    if settings.threads:
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # read when torch is imported
    releases = verify(settings)
    services = Services(settings)
    with closing(services.store):
        listener = bind(settings.host, settings.port)
        still = still_demo(settings, services.brief, services.store)
        print(banner(settings, releases, url(listener), still), flush=True)
        _run(services, listener)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to host and port (0: a free one). Raises InputError, saying what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        return listener
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} on {host} is in use by another program: take another one with "
                f"--port {port + 1 if port < 65535 else 7861}, or --port 0 for any free one"
            ) from error
        raise InputError(
            f"cannot listen on {host} port {port} ({error.strerror}): --host takes an address of "
            "this machine, and ports below 1024 need rights"
        ) from error


def url(listener: socket.socket) -> str:
    """Where a browser on this machine finds a bound socket."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def banner(
    settings: Settings, releases: dict[str, str], address: str, still: Sequence[str] = ()
) -> str:
    """What is served: the resolved settings without secrets, the releases, the URL.

    still: what is the demo's yet beside own articles, which is warned of.
    """
    shown = settings.model_copy(
        update={"secret": None, "database_url": _without_password(settings.database)}
    )
    lines = [line for line in dump(shown).splitlines() if not line.startswith("secret:")]
    served = [f"release {feature}: {release}" for feature, release in releases.items()]
    said = [*lines, *served, *_warned(still), address]
    return "\n".join(["Frontdesk", *(f"  {line}" for line in said)])


def _warned(still: Sequence[str]) -> list[str]:
    told = f"warning: still the demo's beside your own articles: {', '.join(still)}"
    return [f"{told} (README.md, Your own shop)"] if still else []


def _without_password(database: str) -> str:
    return make_url(database).render_as_string(hide_password=True)


def _run(services: Services, listener: socket.socket) -> None:
    import uvicorn

    from app.server import create_app

    app = create_app(services.settings, services)

    class Server(uvicorn.Server):
        """Stops the turns at the first signal, so that their streams end and connections close."""

        interrupted = False

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.interrupted = self.interrupted or sig == signal.SIGINT
            app.state.services.stop()
            # Open pages hold a heartbeat stream that never ends: cutting it is no error.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )  # fmt: skip
    server = Server(config)
    # uvicorn raises the signal once more at its end; whether asyncio makes a KeyboardInterrupt of
    # that is a race.
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if server.interrupted:
        raise SystemExit(130)
