"""Shared by all tests: no network but loopback, own folders, quiet libraries.

Public data for `realdata` lies in FRONTDESK_DATA (default ../shared/data); without it they skip.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before any library reads them.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Waiting threads sleep instead of spinning: two processes on two cores starve each other else.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["FRONTDESK_VAR"] = tempfile.mkdtemp(prefix="frontdesk-test-var-")

LONG = ("test_readme_walk", "test_abstain", "test_loop_journey", "test_stage", "test_table",
        "test_conversations_task", "test_train_distributed", "test_bench_training")  # fmt: skip
"""Files that take a minute or so, the longest first: begun last, they keep one worker alone."""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(autouse=True)
def own_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test writes its database, secret and logs in a folder of its own."""
    folder = tmp_path / "var"
    monkeypatch.setenv("FRONTDESK_VAR", str(folder))
    monkeypatch.setenv("FRONTDESK_TEST_USES", str(tmp_path / "test_uses.jsonl"))
    return folder


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anywhere but this machine fails the test that makes it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "127.0.0.1"
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; skip by name what this machine cannot run, saying what is missing."""
    from app.core.data import data_dir

    no_data = pytest.mark.skip(reason=f"realdata: no public data sets in {data_dir()}")
    no_browser = pytest.mark.skip(reason="browser: no chromium here (Debian: apt install chromium)")
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    for item in items:
        if item.get_closest_marker("realdata") and not data_dir().is_dir():
            item.add_marker(no_data)
        if item.get_closest_marker("browser") and not CHROMIUM:
            item.add_marker(no_browser)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of this session."""
    from tests import helpers_postgres

    if not helpers_postgres.present():
        pytest.skip(helpers_postgres.WANTING)
    with helpers_postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn: what stores must do on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    from tests import helpers_postgres

    return helpers_postgres.new_database(request.getfixturevalue("postgres"))


@pytest.fixture
def python() -> str:
    """The interpreter for subprocesses."""
    return sys.executable
