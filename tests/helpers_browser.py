"""An app of its own on a free port, and headless Chromium to look at it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """URL of `python -m app --model scripted` over the store in `folder`, ready to answer."""
    environment = os.environ | {"FRONTDESK_VAR": str(folder), "OMP_NUM_THREADS": "1"}
    with (folder / "app.log").open("w") as log:
        app = subprocess.Popen(
            [sys.executable, "-m", "app", "--model", "scripted", "--port", "0"],
            stdout=log, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
        try:
            yield _ready(app, folder / "app.log")
        finally:
            app.terminate()
            app.wait(20)


def _ready(app: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + 90
    while time.monotonic() < end and app.poll() is None:
        found = re.search(r"^ +(http://\S+)$", log.read_text(), re.MULTILINE)
        if found:
            try:
                if httpx.get(f"{found[1]}/readyz").status_code == 200:
                    return found[1]
            except httpx.TransportError:
                pass
        time.sleep(0.2)
    raise AssertionError(f"the app did not get ready:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, for the tests of one module."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
