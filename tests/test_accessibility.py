"""axe-core finds nothing serious on any page, in both themes and languages, wide and narrow."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from app.ui.i18n import text
from tests.helpers_axe import grave
from tests.helpers_browser import ASKED, Open, address, ask, chromium, tab, visit

__all__ = ["address", "chromium", "visit"]

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("language", "theme", "width"),
    [("en", "light", 1280), ("en", "dark", 390), ("zh", "light", 390), ("zh", "dark", 1280)],
)
def test_nothing_serious_is_found(visit: Open, language: str, theme: Any, width: int) -> None:
    page = visit(language, width, 900, color_scheme=theme)
    found = {"empty chat": grave(page)}
    ask(page, ASKED[language])
    page.locator("#thread details.source summary").first.click()
    page.get_by_role("button", name=text(language, "chat.dislike")).click()
    expect(page.locator("#correction")).to_be_visible()
    page.locator("#delete").click()
    expect(page.locator("#deleting")).to_be_visible()
    found["chat"] = grave(page)
    tab(page, "tab.sentiment", language)
    page.locator("#review textarea").fill("What a terrible kettle, broken and awful.")
    page.locator("#read").click()
    expect(page.locator("#verdict strong")).to_be_visible()
    found["sentiment"] = grave(page)
    tab(page, "tab.recommend", language)
    expect(page.locator(".card").first).to_be_visible()
    found["recommend"] = grave(page)
    page.get_by_role("link", name=text(language, "footer.staff")).click()
    expect(page.locator("input[name=password]")).to_be_visible()
    found["login"] = grave(page)
    assert found == {name: [] for name in found}
