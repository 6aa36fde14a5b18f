"""An admin logs in and looks at the reports, in headless Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.helpers_browser import chromium, serving

__all__ = ["chromium"]

pytestmark = pytest.mark.browser
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app with the admin ada, over the committed releases' reports."""
    folder: Path = tmp_path_factory.mktemp("quality")
    add = [sys.executable, "-m", "app", "user", "add", "ada", "--role", "admin"]
    own = os.environ | {"FRONTDESK_VAR": str(folder)}
    subprocess.run(add, input=PASSWORD, text=True, check=True, env=own)
    with serving(folder) as url:
        yield url


def visit(chromium: Browser, address: str, wrong: list[str]) -> Page:
    page = chromium.new_context(color_scheme="light", locale="en-US").new_page()
    page.set_default_timeout(60_000)
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(
        (address, "data:", "blob:", "about:")) else None)  # fmt: skip
    page.goto(address)
    expect(page.locator("#send")).to_be_visible()
    return page


def test_an_admin_logs_in_reads_a_report_and_logs_out(chromium: Browser, address: str) -> None:
    wrong: list[str] = []
    page = visit(chromium, address, wrong)
    quality = page.get_by_role("tab", name="Quality")
    expect(quality).to_have_count(0)
    page.get_by_role("link", name="Staff login").click()
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".account")).to_contain_text("ada (admin)")
    quality.click()
    expect(page.locator("#overview .card")).to_have_count(3)
    paper = page.frame_locator("iframe.paper")
    expect(paper.get_by_role("heading", level=1)).to_contain_text("gold fact recall is")
    assert paper.locator("figure svg").count() >= 2
    # As high as the report, which scrolls with the page and not within it.
    height = "e => [e.offsetHeight, e.contentDocument.body.offsetHeight]"
    outer, inner = page.locator("iframe.paper").evaluate(height)
    assert 0 <= outer - inner <= 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Staff login")).to_be_visible()
    expect(quality).to_have_count(0)
    assert wrong == []


def test_the_report_is_dark_where_the_page_is(chromium: Browser, address: str) -> None:
    page = visit(chromium, f"{address}", [])
    page.goto(f"{address}/login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("tab", name="Quality").click()
    body = page.frame_locator("iframe.paper").locator("body")
    expect(body).to_have_css("background-color", "rgb(246, 241, 228)")
    page.locator("#theme").click()
    expect(body).to_have_css("background-color", "rgb(19, 25, 21)")
    page.locator("#language").click()
    expect(page.locator("#overview")).to_contain_text("可以发布")
