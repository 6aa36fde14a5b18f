"""What axe-core says of a page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

GRAVE = {"serious", "critical"}


def grave(page: Page) -> list[tuple[str, str, list[Any]]]:
    """(rule, impact, places) of what axe-core finds that matters; skips where it is missing."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core: dev extra")
    page.wait_for_timeout(400)  # a colour that is still fading in has another contrast
    found = axe.Axe().run(page).response["violations"]
    return [
        (v["id"], v["impact"], [n["html"][:160] for n in v["nodes"][:3]])
        for v in found
        if v["impact"] in GRAVE
    ]
