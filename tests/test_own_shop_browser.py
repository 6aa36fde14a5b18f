"""The page of a shop with articles of its own, in a browser: its name, and nothing of the demo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from app.store.db import open_store
from app.ui.i18n import text
from tests.helpers_axe import grave
from tests.helpers_browser import Open, chromium, serving, tab, visit
from tests.test_own_shop import ARTICLE, NAME, own_brief

__all__ = ["chromium", "visit"]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bicycle shop that ingested an article."""
    folder = tmp_path_factory.mktemp("own")
    store = open_store(f"sqlite:///{folder / 'frontdesk.db'}")
    store.articles.replace({"punctures.md": [ARTICLE]})
    store.close()
    with pytest.MonkeyPatch.context() as monkeypatch:
        own_brief(folder, monkeypatch, name=NAME)
        with serving(folder) as url:
            yield url


@pytest.mark.parametrize(("language", "desk"), [("en", "help desk"), ("zh", "客服台")])
def test_the_page_is_the_shops_own_and_axe_finds_nothing_serious(
    visit: Open, language: str, desk: str
) -> None:
    page = visit(language)
    expect(page).to_have_title(f"{NAME} {desk}")
    expect(page.locator("h1")).to_have_text(NAME)
    expect(page.locator("#thread")).to_contain_text(text(language, "chat.intro"))
    for key in ("chat.example1", "brand.synthetic", "footer.synthetic"):
        expect(page.get_by_text(text(language, key))).to_have_count(0)
    found = {"chat": grave(page)}
    tab(page, "tab.sentiment", language)
    expect(page.locator("#reviews")).to_be_hidden()
    found["sentiment"] = grave(page)
    assert found == {name: [] for name in found}


def test_the_keyboard_asks_and_the_own_article_is_named(visit: Open) -> None:
    page = visit()
    expect(page.locator("#question textarea")).to_be_focused()
    page.keyboard.type("Do you mend punctures?")
    page.keyboard.press("Enter")
    expect(page.locator("#thread [data-testid=bot]").first).to_contain_text("Punctures")
