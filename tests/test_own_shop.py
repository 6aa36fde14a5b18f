"""A shop that is not the demo's: its name and articles on the page, its goods, its orders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from app.core import brief as briefs
from app.core.errors import ConfigError
from app.core.files import ROOT
from app.core.settings import Settings
from app.server import create_app
from app.services import Services
from app.serving import features, own
from app.ui import build
from tests import helpers_ui
from tests.helpers_ui import made, visitor

NAME = "Bolt <& Chain>"
ARTICLE = {
    "id": "punctures", "sha256": "0" * 64, "title": "Punctures", "text": "We mend them for €9.",
    "language": "en", "visibility": "public", "url": "", "questions": [],
}  # fmt: skip


def own_brief(folder: Path, monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    """The shipped brief with other values is the one that is read."""
    tree = briefs.read().model_dump(mode="json") | values
    (folder / "own.yaml").write_text(yaml.safe_dump(tree))
    monkeypatch.setenv("FRONTDESK_BRIEF", str(folder / "own.yaml"))


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """A bicycle shop that has ingested nothing yet."""
    own_brief(tmp_path, monkeypatch, name=NAME, contact="ride@bolt.example.org")
    opened = helpers_ui.services()
    opened.load()
    yield opened
    opened.stop()
    opened.store.close()


def ingest(services: Services) -> None:
    services.store.articles.replace({"punctures.md": [ARTICLE]})


# The page ---------------------------------------------------------------------------------------


def shown(ui: build.Page, services: Services, language: str) -> Any:
    """All that the page says when it is opened."""
    return ui._open(language, visitor(services))


@pytest.mark.parametrize(
    ("language", "title"), [("en", f"{NAME} help desk"), ("zh", f"{NAME} 客服台")]
)
def test_the_page_has_the_name_that_the_brief_states(
    services: Services, language: str, title: str
) -> None:
    ui = made(services)
    assert ui.blocks.title == f"{NAME} help desk"
    updates = shown(ui, services, language)
    assert updates[ui._words]["title"] == title
    (brand,) = [u["value"] for u in updates.values() if "<h1>" in str(u)]
    assert "<h1>Bolt &lt;&amp; Chain&gt;" in brand


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_of_the_demo_is_said_once_own_articles_answer(
    services: Services, language: str
) -> None:
    ui = made(services)
    before = shown(ui, services, language)
    assert len(before[ui.chat.thread]["examples"]) == 4
    assert before[ui.mood.examples]["visible"]
    assert services.demo
    ingest(services)
    after = shown(ui, services, language)
    assert after[ui.chat.thread]["examples"] == []
    assert not after[ui.mood.examples]["visible"]
    assert not services.demo
    demo = r"Port Ellery|埃勒里港|pill|invented|虚构|subscription|订阅"
    said = [str(u) for u in after.values()]
    assert [s for s in map(str, before.values()) if re.search(demo, s)]
    assert not [s for s in said if re.search(demo, s)]


def test_the_demo_stays_named_where_its_articles_are_kept() -> None:
    kept = helpers_ui.services(keep_demo_articles=True)
    ingest(kept)
    assert kept.demo
    kept.store.close()


def test_login_and_articles_have_the_name_too(services: Services) -> None:
    ingest(services)
    client = TestClient(create_app(services.settings, services))
    for path, title in (("login", "Staff login"), ("articles/punctures", "Punctures")):
        assert f"<title>{title} · Bolt &lt;&amp; Chain&gt;</title>" in client.get(path).text
    assert 'content="Bolt &lt;&amp; Chain&gt; help desk"' in client.get("/").text


def test_the_page_has_no_name_of_its_own() -> None:
    files = [f for part in ("ui", "web") for f in (ROOT / "app" / part).iterdir() if f.is_file()]
    named = [f.name for f in files if re.search("Fern (&|&amp;) Kettle", f.read_text("utf-8"))]
    assert named == []


# Goods ------------------------------------------------------------------------------------------

ITEMS = """item,title,text,price,category,stock
bell,Brass Bell,Rings over two streets,12.50,Parts,9
pump,Floor Pump,Reads bar and psi,39.00,Tools,3
lamp,Front Lamp,Runs on a dynamo,45.00,Parts,
"""


@pytest.fixture
def goods(tmp_path: Path) -> Path:
    """A bicycle shop's catalogue, with one purchase."""
    folder = tmp_path / "goods"
    folder.mkdir()
    (folder / "items.csv").write_text(ITEMS)
    (folder / "ratings.csv").write_text("user,item\nc1,bell\n")
    return folder


def test_own_goods_are_recommended_and_the_demos_are_not(goods: Path) -> None:
    settings = Settings(model="scripted", catalogue=f"file:{goods}")
    assert features.verify(settings) == {}
    shop = features.loaders(settings)["recommend"][0]().value
    assert {found.id for found in shop.suggest()} == {"bell", "pump", "lamp"}
    assert shop.suggest(query="a floor pump")[0].title == "Floor Pump"


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("goods", "data reference 'goods': expected demo:NAME"),
        ("file:/no/such/folder", "found nothing at /no/such/folder"),
        ("demo:ordres", "Did you mean 'orders'"),
        ("{goods}", "data reference '/"),
    ],
)
def test_a_catalogue_that_is_none_is_a_sentence_at_the_start(
    goods: Path, ref: str, found: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        features.verify(Settings(model="scripted", catalogue=ref.format(goods=goods)))
    assert found in refused.value.message
    assert "expected a folder with items.csv (item, title" in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("items.csv", None, "has no items.csv"),
        ("ratings.csv", None, "expected ratings.csv"),
        ("items.csv", "item,price\nbell,dear\n", "items.csv:2: expected a number"),
        ("ratings.csv", "who,what\na,b\n", "'user'"),
    ],
)
def test_a_folder_that_lacks_something_says_what(
    goods: Path, file: str, text: str | None, found: str
) -> None:
    (goods / file).unlink() if text is None else (goods / file).write_text(text)
    with pytest.raises(ConfigError, match="catalogue: ") as refused:
        own.goods(f"file:{goods}")
    assert found in refused.value.message


def test_a_catalogue_that_goes_bad_leaves_recommendations_failed(goods: Path) -> None:
    running = Services(Settings(model="scripted", catalogue=f"file:{goods}"))
    (goods / "items.csv").unlink()
    running.load()
    state = running.ready().state["recommend"]
    assert state["state"] == "failed"
    assert "has no items.csv" in state["error"]
    running.store.close()
