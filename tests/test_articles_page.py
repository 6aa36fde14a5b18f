"""The page of a help article: what is public is shown whole, nothing else, and as text alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.serving import articles as served
from app.ui import article
from tests.helpers_server import Site, site
from tests.helpers_ui import EVIL, Markup

DOCS = [
    {"id": "returns", "title": "Returns", "lang": "en",
     "text": "30 days.\n\n## Costs\n# None\nFree of charge."},
    {"id": "guide/吃茶", "title": "吃茶", "text": "水温 80 度。", "lang": "zh"},
    {"id": "evil", "title": EVIL, "text": EVIL},
    {"id": "margins", "title": "Margins", "text": "40 %", "visibility": "agents"},
    {"id": "odd", "title": "Odd", "text": "?", "visibility": "nobody"},
]  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(served, "articles", lambda *_: DOCS)
    with site(tmp_path) as made:
        yield made


def test_a_public_article_is_shown_whole_in_its_language(shop: Site) -> None:
    page = shop.client().get("/articles/returns")
    assert page.status_code == 200
    assert "<p>30 days.</p><h2>Costs</h2><h2>None</h2><p>Free of charge.</p>" in page.text
    assert '<html lang="zh-CN">' in shop.client().get("/articles/guide/吃茶").text


@pytest.mark.parametrize("name", ["margins", "odd", "nonsense", "", "../../etc/passwd", "returns/"])
def test_what_is_not_public_is_not_there(shop: Site, name: str) -> None:
    page = shop.client().get(f"/articles/{name}")
    assert page.status_code == 404
    assert "40 %" not in page.text


def test_what_was_deleted_is_gone_at_once(shop: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = shop.client()
    assert client.get("/articles/returns").status_code == 200
    monkeypatch.setattr(served, "articles", lambda *_: DOCS[1:])
    monkeypatch.setattr(type(shop.services.store.articles), "revision", lambda _: "a later one")
    assert client.get("/articles/returns").status_code == 404


def test_no_text_of_an_article_becomes_markup(shop: Site) -> None:
    markup = Markup(shop.client().get("/articles/evil").text)
    assert "img" not in markup.tags
    assert EVIL in markup.text


@pytest.mark.parametrize(
    ("citation", "address"),
    [
        ({"id": "returns", "url": "https://shop.example/help"}, "https://shop.example/help"),
        ({"id": "a b/ä", "url": "/help/x"}, "articles/a%20b/%C3%A4"),
        ({"id": "x", "url": "javascript:alert(1)"}, "articles/x"),
        ({}, "articles/"),
    ],
)
def test_a_citation_leads_to_the_web_or_to_our_own_page(
    citation: dict[str, Any], address: str
) -> None:
    assert article.address(citation) == address
