"""An app of its own on a free port, and headless Chromium to look at it.

The fixtures are imported by name (and listed in `__all__`) where they are used.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import httpx
import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, expect, sync_playwright

from app.ui.i18n import text

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
LOCALES = {"en": "en-US", "zh": "zh-CN"}
ASKED = {"en": "Where do I find the invoice for my order?", "zh": "下单以后多久能收到货？"}
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
Open = Callable[..., Page]
CUT = ("AbortError: signal is aborted", "Unexpected error Connection errored out")
"""What Gradio's client says where the page is left while it holds a stream open."""
_wrong: WeakKeyDictionary[Page, list[str]] = WeakKeyDictionary()


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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an app of its own, ready to answer."""
    folder: Path = tmp_path_factory.mktemp("browser")
    with serving(folder) as url:
        yield url


@pytest.fixture
def visit(address: str, chromium: Browser) -> Iterator[Open]:
    """Opens pages, each a new visitor; afterwards nothing may have gone wrong on any of them."""
    wrong: list[str] = []
    contexts = []

    def visiting(language: str = "en", width: int = 1280, height: int = 900, **more: Any) -> Page:
        context = chromium.new_context(
            locale=LOCALES[language], viewport={"width": width, "height": height}, **more
        )
        contexts.append(context)
        page = watched(context.new_page(), address, wrong)
        page.goto(address)
        opened(page, language)
        return page

    yield visiting
    for context in contexts:
        context.close()
    assert not wrong, wrong


def watched(page: Page, address: str, wrong: list[str]) -> Page:
    """The page, which notes errors, dialogs and requests to anywhere but `address` in `wrong`."""

    def on_dialog(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def on_request(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            wrong.append(request.url)

    page.set_default_timeout(PATIENCE_MS)
    _wrong[page] = wrong
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("dialog", on_dialog)
    page.on("request", on_request)
    return page


def again(page: Page) -> None:
    """Load the page anew; that this cuts a stream is nothing wrong."""
    wrong = _wrong.get(page, [])
    before = len(wrong)
    page.reload()
    wrong[before:] = [each for each in wrong[before:] if not each.startswith(CUT)]


def opened(page: Page, language: str) -> None:
    """Wait until the page speaks the language, in the names it gives to Gradio's buttons too."""
    expect(page.locator("#send")).to_have_text(text(language, "chat.send"))
    page.wait_for_function("window.frontdesk.words")


def ask(page: Page, question: str) -> None:
    """Type, press Enter, and wait until the answer is whole."""
    answers = page.locator("#thread [data-testid=bot]")
    before = answers.count()
    page.locator("#question textarea").fill(question)
    page.keyboard.press("Enter")
    expect(answers).to_have_count(before + 1)
    expect(page.locator("#thread .typing")).to_have_count(0)
    expect(page.locator("#send")).to_be_visible(timeout=PATIENCE_MS)


def tab(page: Page, key: str, language: str = "en") -> None:
    """Go to a tab by its name."""
    page.get_by_role("tab", name=text(language, key)).click()


def told(page: Page, words: str) -> None:
    """A toast says so."""
    expect(page.locator(".toast-messages")).to_contain_text(words)
