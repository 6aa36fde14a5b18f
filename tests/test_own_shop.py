"""A shop that is not the demo's: its name and articles on the page, its goods, its orders."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from app import launch, prepare
from app.__main__ import main
from app.core import brief as briefs
from app.core.errors import ConfigError, StoreDown
from app.core.files import DEMO, ROOT
from app.core.settings import Settings
from app.server import create_app
from app.services import Services
from app.serving import features, own
from app.store.db import Store, open_store
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


# Orders -----------------------------------------------------------------------------------------

ORDERS = """
from datetime import UTC, datetime

from app.core.commerce import Line, OrderView, Refused

ORDER = OrderView("FK-70001", "shipped", datetime(2026, 3, 1, tzinfo=UTC), "1 Hub Lane", "GB",
                  [Line("bell", "Brass Bell", 2, 1250)])


MADE = []


class Orders:
    def find(self, order, email):
        known = order.upper() == ORDER.id and email.strip().lower() == "jo@example.net"
        return ORDER if known else None

    def cancel(self, order, email, *, key):
        return Refused("too_late", "2 hours")

    def change_address(self, order, email, address, *, key):
        return Refused("too_late")

    def request_return(self, order, email, product, quantity, reason, *, key):
        return Refused("too_early")

    def stock(self, product):
        return None


class Needy(Orders):
    def __init__(self, url):
        self.url = url


class Slow(Orders):
    async def find(self, order, email):
        return ORDER


def make():
    MADE.append(1)
    return Orders()


def broken():
    raise OSError("no route to the warehouse")


ready = Orders()
nothing = object()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the shop's own, importable for this test."""
    name = f"bolt_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(ORDERS)
    (tmp_path / f"{name}_typo.py").write_text("import nowhere_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("named", ["Orders", "make", "ready"])
def test_a_class_a_function_or_an_object_is_the_shops_system(module: str, named: str) -> None:
    assert own.commerce(f"{module}:{named}").find("FK-70001", "jo@example.net")


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("orders", "expected module:name, such as shop.orders:Orders, found 'orders'"),
        (":Orders", "found ':Orders'"),
        ("no.such.shop:Orders", "cannot import no.such.shop (ModuleNotFoundError: No module"),
        ("{module}_typo:Orders", "No module named 'nowhere_at_all'"),
        ("{module}:Order", "has no 'Order'. Did you mean 'Orders'?"),
        ("{module}:nothing", "is object without find, cancel, change_address, request_return"),
        ("{module}:Needy", "wants arguments (missing a required argument: 'url')"),
        ("{module}:Slow", "is Slow without find; expected the functions find"),
        ("{module}:broken", "(OSError: no route to the warehouse)"),
    ],
)
def test_what_is_no_commerce_is_refused_before_anything_is_opened(
    module: str, own_var: Path, named: str, told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        Services(Settings(commerce=named.format(module=module)))
    assert told in refused.value.message
    assert not list(own_var.glob("*.db"))


def test_an_error_written_for_its_reader_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> None:
        raise StoreDown("the warehouse is closed")

    monkeypatch.setattr(own, "shop", down, raising=False)
    with pytest.raises(StoreDown, match="the warehouse is closed"):
        own.commerce("app.serving.own:shop")


def test_order_status_is_told_from_the_shops_own_system(module: str) -> None:
    served = Services(Settings(model="scripted", commerce=f"{module}:make"))
    served.load()
    client = TestClient(create_app(served.settings, served))
    said = [say(client, "Where is my order FK-70001?")]
    said.append(say(client, "jo@example.net", said[-1]["frontdesk"]["conversation_id"]))
    first, second = (answer["choices"][0]["message"]["content"] for answer in said)
    assert "shipped" not in first
    assert "FK-70001" in second
    assert "on its way" in second or "shipped" in second
    assert sys.modules[module].MADE == [1]
    served.stop()
    served.store.close()


def say(client: TestClient, text: str, conversation: str | None = None) -> Any:
    """One turn over HTTP."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if conversation:
        body["frontdesk"] = {"conversation_id": conversation}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("theirs", [True, False])
def test_preparing_loads_the_demos_orders_only_where_there_are_no_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    theirs: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(prepare, "_weights", lambda _: "there")
    monkeypatch.setattr(prepare, "_learnt", lambda: "learnt")
    (tmp_path / "shop.yaml").write_text("commerce: shop.orders:Orders\n" if theirs else "port: 1\n")
    prepare.prepare(tmp_path / "shop.yaml")
    assert ("left out: shop.orders:Orders has the orders" in capsys.readouterr().out) is theirs
    store = open_store(Settings().database)
    assert (store.orders.counts().orders == 0) is theirs
    store.close()


# The start --------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'start.db'}")
    yield opened
    opened.close()


def still(store: Store, **settings: Any) -> list[str]:
    return own.still_demo(Settings(**settings), briefs.read(), store)


def test_the_start_names_what_is_the_demos_beside_own_articles(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.orders.load_demo(DEMO)
    assert still(store) == []
    store.articles.replace({"punctures.md": [ARTICLE]})
    assert still(store) == ["contact", "catalogue", "orders"]
    assert still(store, commerce="shop:Orders") == ["contact", "catalogue"]
    own_brief(tmp_path, monkeypatch, contact="ride@bolt.example.org")
    assert still(store, catalogue="file:goods", commerce="shop:Orders") == []


def test_the_banner_warns_in_one_line() -> None:
    quiet, loud = (
        launch.banner(Settings(), {}, "http://127.0.0.1:1", still).splitlines()
        for still in ([], ["contact", "orders"])
    )
    (warning,) = set(loud) - set(quiet)
    assert "still the demo's beside your own articles: contact, orders" in warning
    assert loud[-1] == "  http://127.0.0.1:1"


@pytest.mark.parametrize("key", ["catalogue", "commerce"])
def test_a_wrong_name_ends_the_start_with_status_2_before_the_port_is_bound(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "bind", lambda *_: pytest.fail("bound a port"))
    (tmp_path / "shop.yaml").write_text(f"{key}: nothing\n")
    with pytest.raises(SystemExit) as ended:
        main(["--model", "scripted", "--settings", str(tmp_path / "shop.yaml")])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {key}: ")
    assert err.count("\n") == 1
