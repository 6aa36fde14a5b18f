"""Check a staged Space as Spaces runs it: its requirements alone, its folder alone, one question.

    python -m deploy check DIR [--port N]

Nothing of this checkout is on the path; the network is not used once the packages are installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import yaml

from app.core.config import Strict, parse
from app.core.errors import AppError, InputError
from deploy.stage import files

READY_S = 120
QUESTION = "How many days do I have to send something back?"
_SECRETS = re.compile(rb"hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9]{30,}|-----BEGIN [A-Z ]*PRIVATE KEY")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


class FrontMatter(Strict):
    """The keys that we set; an unknown one is a mistake that Spaces would not report."""

    title: str
    emoji: str
    colorFrom: str
    colorTo: str
    sdk: Literal["gradio"]
    sdk_version: str
    python_version: str
    app_file: str
    short_description: str
    license: str
    suggested_hardware: str
    models: list[str]
    pinned: bool


class CheckFailed(AppError):
    """The folder is well formed but does not pass; exit status 1."""

    code = "check_failed"


def check(folder: Path, *, port: int | None = None) -> dict[str, Any]:
    """Static checks, install, boot, ask; returns timings in seconds and the answer.

    Raises InputError where `folder` is no staged Space, CheckFailed where it does not work.
    """
    check_files(folder)
    with tempfile.TemporaryDirectory(prefix="frontdesk-check-") as temporary:
        home = Path(temporary)
        copy = shutil.copytree(folder, home / "space")
        start = time.monotonic()
        python = _install(copy, home)
        installed = time.monotonic() - start
        with _boot(copy, home, python, port or _free_port()) as (url, ready):
            answer, seconds = _ask(url)
    return {
        "install_s": round(installed, 1),
        "ready_s": round(ready, 1),
        "answer_s": round(seconds, 2),
        "answer": answer["choices"][0]["message"]["content"],
        "citations": [found["id"] for found in answer["frontdesk"]["citations"]],
    }


def check_files(folder: Path) -> FrontMatter:
    """Front matter, pins, and that no pickle and no secret lies in the folder."""
    readme = folder / "README.md"
    if not readme.is_file():
        raise InputError(f"{folder} is no staged Space: expected README.md; python -m deploy stage")
    parts = readme.read_text(encoding="utf-8").split("---\n", 2)
    if len(parts) != 3:
        raise InputError(f"{readme}: expected front matter between two lines of ---")
    matter = parse(FrontMatter, yaml.safe_load(parts[1]), str(readme))
    pins = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
    if pins.get("gradio") != matter.sdk_version:
        raise CheckFailed(
            f"sdk_version is {matter.sdk_version}, "
            f"requirements.txt pins gradio {pins.get('gradio')}"
        )
    if not (folder / matter.app_file).is_file():
        raise CheckFailed(f"app_file {matter.app_file} is not in {folder}")
    for path in files(folder):
        _check_file(path, folder)
    return matter


def _check_file(path: Path, folder: Path) -> None:
    name = path.relative_to(folder)
    if path.suffix in _PICKLES or path.suffix == ".db":
        raise CheckFailed(f"{name} must not be published: pickles run code, databases hold people")
    if path.suffix in (".safetensors",):
        return
    if _SECRETS.search(path.read_bytes()):
        raise CheckFailed(f"{name} holds what looks like a token or private key: take it out")


def _install(space: Path, home: Path) -> Path:
    """A virtual environment with requirements.txt, as Spaces installs it: no further flag."""
    python = home / "venv" / "bin" / "python"
    _run([sys.executable, "-m", "venv", str(home / "venv")], "making a virtual environment")
    quiet = ["--quiet", "--disable-pip-version-check"]
    requirements = str(space / "requirements.txt")
    _run([str(python), "-m", "pip", "install", *quiet, "-r", requirements], "pip install")
    return python


@contextmanager
def _boot(space: Path, home: Path, python: Path, port: int) -> Iterator[tuple[str, float]]:
    """Run the entry file in an empty environment; yields URL and seconds until /readyz said 200."""
    environment = {
        "HOME": str(home), "PATH": os.environ["PATH"],
        "SYSTEM": "spaces", "SPACE_ID": "check/space",
        "GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1", "FRONTDESK_HOST": "127.0.0.1",
    }  # fmt: skip
    log = home / "log.txt"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(python), "serve.py"], cwd=space, env=environment, stdout=stream, stderr=stream
        )
    try:
        url = f"http://127.0.0.1:{port}"
        yield url, _wait(url, process, log)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> float:
    start = time.monotonic()
    while time.monotonic() - start < READY_S:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return time.monotonic() - start
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    tail = log.read_text(errors="replace").strip().splitlines()[-5:]
    state = "stopped" if process.poll() is not None else f"was not ready after {READY_S} s"
    raise CheckFailed(f"the Space {state}; its log ends: {' | '.join(tail)}")


def _ask(url: str) -> tuple[dict[str, Any], float]:
    body = json.dumps({"model": "frontdesk", "messages": [{"role": "user", "content": QUESTION}]})
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", body.encode(), {"Content-Type": "application/json"}
    )
    start = time.monotonic()
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    if not answer["frontdesk"]["citations"]:
        said = answer["choices"][0]["message"]["content"]
        raise CheckFailed(f"the Space answered {QUESTION!r} without citing an article: {said!r}")
    return answer, time.monotonic() - start


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise CheckFailed(f"{what} failed: {(lines or ['no message'])[0]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
