"""The README's commands, run as they are written, in a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.files import ROOT, read_json
from tests.test_readme import ELSEWHERE, ENGLISH, commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    folder = tmp_path_factory.mktemp("checkout")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run(command: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    """`command` in a shell whose python is this one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "HF_HUB_OFFLINE": "1", "FRONTDESK_VAR": str(checkout / "var")}
    done = subprocess.run(
        command, shell=True, cwd=checkout, env={**os.environ, **own}, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done


def test_every_command_that_needs_no_server_runs_as_written(checkout: Path) -> None:
    walk = [
        command
        for command in commands(ENGLISH)
        if not command.startswith(tuple(ELSEWHERE)) and "localhost" not in command
    ]
    assert len(walk) >= 10
    before = read_json(checkout / "app/release/sentiment/release.json")["id"]
    for command in walk:
        done = run(command, checkout)
        assert done.returncode == 0, f"$ {command}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        if command.startswith("python -m deploy promote"):
            assert read_json(checkout / "app/release/sentiment/release.json")["id"] != before
    assert read_json(checkout / "app/release/sentiment/release.json")["id"] == before  # rolled back
    assert (checkout / "runs/released/retrieval/report.json").is_file()


@pytest.fixture
def server(checkout: Path) -> Iterator[str]:
    """`python -m app` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", str(port)], cwd=checkout,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "FRONTDESK_VAR": str(checkout / "var")},
    )  # fmt: skip
    try:
        waited(f"http://127.0.0.1:{port}/readyz")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def waited(url: str, seconds: float = 120) -> None:
    """Return once `url` answers 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise TimeoutError(f"{url} did not answer within {seconds} s")


def test_the_requests_over_http_are_answered_as_written(checkout: Path, server: str) -> None:
    asked = [command for command in commands(ENGLISH) if "localhost:7860" in command]
    assert len(asked) >= 3
    for command in asked:
        done = run(command.replace("localhost:7860", server), checkout)
        assert done.returncode == 0, done.stderr
        assert '"error"' not in done.stdout, done.stdout
