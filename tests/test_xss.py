"""100 strings that would run as markup are shown as they are written, wherever the page shows text.

tests/data/xss.txt has one a line. They stand in the database as questions, answers, titles of
articles, passages and titles of conversations, and are rendered in headless Chromium: no dialog, no
element of theirs, no request to anywhere but the app.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.core.settings import Settings, signing_secret
from app.core.visitor import COOKIE, Visitors
from app.store.db import Store, open_store
from tests.helpers_browser import ask, chromium, serving, watched

__all__ = ["chromium"]

pytestmark = pytest.mark.browser
STRINGS = Path("tests/data/xss.txt").read_text(encoding="utf-8").splitlines()
ALIVE = r"""() => [...document.querySelectorAll("#thread *, #conversations *")]
    .filter((e) => /^(script|img|image|iframe|object|embed|link|meta|base|form)$/i.test(e.tagName)
        || /^(video|audio|math|template|marquee|select|textarea)$/i.test(e.tagName)
        || [...e.attributes].some((a) => /^on/i.test(a.name)
            || /^\s*(javascript|data|vbscript):/i.test(a.value) && a.name !== "title"))
    .map((e) => e.outerHTML)"""
"""Elements that could run or fetch something."""
TITLES = 25
"""Conversations that carry one each as their title."""


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL of an app over a database of such strings, and the cookie of their owner."""
    folder: Path = tmp_path_factory.mktemp("xss")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRONTDESK_VAR", str(folder))
        owner, cookie = Visitors(signing_secret(Settings())).issue()
        store = open_store(Settings().database)
        _poison(store, owner)
        store.close()
    with serving(folder) as url:
        yield url, cookie


def _poison(store: Store, owner: str) -> None:
    talks = store.conversations
    for string in STRINGS[:TITLES]:
        talk = talks.create(owner, "en")
        talks.append(owner, talk, "user", string)
        talks.rename(owner, talk, string)
    talk = talks.create(owner, "en")
    for string in STRINGS:
        cited = {"id": string, "title": string, "url": string, "passage": string}
        talks.append(owner, talk, "user", string)
        talks.append(
            owner, talk, "assistant", f"{string} [1]", citations=[cited], release=string,
            finish="stop",
        )  # fmt: skip


def test_there_are_100_different_strings() -> None:
    assert len(set(STRINGS)) == 100


def test_nothing_in_the_chat_becomes_markup_or_reaches_another_host(
    poisoned: tuple[str, str], chromium: Browser
) -> None:
    url, cookie = poisoned
    wrong: list[str] = []
    context = chromium.new_context(locale="en-US")
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": url}])
    page = watched(context.new_page(), url, wrong)
    page.goto(url)
    said = page.locator("#thread .said")
    expect(said).to_have_count(2 * len(STRINGS))
    questions = page.locator("#thread [data-testid=user] .said .line").all_text_contents()
    assert questions == STRINGS
    for summary in page.locator("#thread details.source summary").all()[::10]:
        summary.evaluate("e => e.parentElement.open = true")
    passages = page.locator("#thread .passage").evaluate_all(
        "all => all.map(e => e.firstChild.data)"
    )
    assert passages == STRINGS
    titles = page.locator("#conversations label").all_text_contents()
    assert len(titles) == TITLES + 1
    foreign = page.evaluate(ALIVE)
    assert foreign == []
    links = page.locator("#thread a").evaluate_all("all => all.map(e => e.href)")
    assert all(link.startswith(f"{url}/articles/") for link in links)
    ask(page, STRINGS[8])  # as it is streamed, echoed and spoken too
    page.locator("#conversations label").first.hover()
    context.close()
    assert wrong == []
