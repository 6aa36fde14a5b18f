"""The Quality tab: for admins alone, whatever the browser asks for; reports are named by id."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest

from app.core.errors import NotFound
from app.server import create_app
from app.services import Services
from app.serving import reports
from app.serving.accounts import COOKIE
from app.serving.reports import Reports
from app.store.models import utc_now
from app.ui import evidence
from app.ui.build import Page
from tests.helpers_server import listening
from tests.helpers_ui import EVIL, made, services

PAGE = f"<!doctype html><h1>the plots</h1>{EVIL}"
SECRET = "gold fact recall"


def metric(name: str = "gold_fact_recall", value: float = 0.5) -> dict[str, Any]:
    return {"name": name, "value": value, "low": 0.4, "high": 0.6, "n": 40, "unit": "share"}


def write(path: Path, tree: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Releases and runs as the tools leave them, with some files that are none."""
    root = tmp_path_factory.mktemp("quality")
    support = root / "release" / "support"
    made_by = {"system": "quote", "data": {"ref": "demo:support#test"}}
    report = {"task": "support", "metrics": [metric()], "provenance": made_by}
    write(support / "release.json", {"id": f"support-1 {EVIL}"})
    write(support / "reports" / "support" / "report.json", report)
    write(support / "reports" / "support" / "report.html", PAGE)
    write(support / "reports" / "gate.json", {"verdict": "ship", "sentence": f"Ship: {EVIL}"})
    write(support / "reports" / "compare.json", {"a": "quote", "b": EVIL, "metrics": []})
    write(root / "runs" / "try-1" / "report.json", report)
    write(root / "runs" / "try-1" / "sst2" / "gate.json", {"verdict": "block", "sentence": "No."})
    write(root / "runs" / "half" / "report.json", '{"task": "supp')
    write(root / "secret" / "report.json", report)
    write(root / "secret" / "report.html", "the secret")
    (root / "runs" / "away").symlink_to(root / "secret")
    write(root / "runs" / "linked" / "report.json", report)
    (root / "runs" / "linked" / "report.html").symlink_to(root / "secret" / "report.html")
    return root


@pytest.fixture(scope="module")
def desk(folder: Path) -> Iterator[Services]:
    """Services with ada (admin), alex (agent) and cas (customer)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRONTDESK_RELEASES", str(folder / "release"))
        database = f"sqlite:///{folder / 'quality.db'}"
        ready = services(database_url=database, secret="s", runs_dir=str(folder / "runs"))
        for name, role in (("ada", "admin"), ("alex", "agent"), ("cas", "customer")):
            ready.store.users.add(name, role, "a hash")
        ready.load()
        yield ready
        ready.stop()
        ready.store.close()


@pytest.fixture(scope="module")
def ui(desk: Services) -> Page:
    return made(desk)


@pytest.fixture(scope="module")
def address(desk: Services) -> Iterator[str]:
    """The whole application on a port."""
    site: Any = SimpleNamespace(app=create_app(desk.settings, desk))
    with listening(site) as url:
        yield url


@pytest.fixture
def toasts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda message, **_: told.append(message))
    return told


def cookie(desk: Services, name: str) -> str:
    """A session of `name`, begun as a login would."""
    from app.serving import accounts

    token = f"token of {name}"
    digest = accounts._digest(token)
    desk.store.users.end(digest)
    desk.store.users.begin(name, digest, utc_now() + timedelta(hours=1))
    return desk.accounts._signer.sign(token).decode()


def asking(desk: Services, name: str | None) -> Any:
    cookies = {COOKIE: cookie(desk, name)} if name else {}
    return SimpleNamespace(cookies=cookies, headers={}, session_hash="tab",
                           client=SimpleNamespace(host="192.0.2.7"))  # fmt: skip


def listed(folder: Path) -> Reports:
    return Reports(str(folder / "runs"), folder / "release")


# The listing -------------------------------------------------------------------------------------


def test_the_main_report_comes_first_then_its_evidence_then_runs(folder: Path) -> None:
    found = [(e.source, e.kind, e.place) for e in listed(folder).list()]
    assert found[:3] == [("support", "report", "support"), ("support", "gate", ""),
                         ("support", "compare", "")]  # fmt: skip
    assert ("runs", "gate", "try-1/sst2") in found


def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder: Path) -> None:
    places = [e.place for e in listed(folder).list()]
    assert "away" not in places
    [linked] = [e for e in listed(folder).list() if e.place == "linked"]
    assert reports.page(linked) is None


@pytest.mark.parametrize(
    "name",
    ["", "..", "../secret/report.json", "/etc/passwd", "%2e%2e/secret", "runs/try-1/report.json",
     "support/support/report.json", "0" * 16],
)  # fmt: skip
def test_nothing_is_named_by_a_path(folder: Path, name: str) -> None:
    with pytest.raises(NotFound, match="no such report"):
        listed(folder).get(name)


def test_a_report_cut_in_half_is_listed_as_unreadable(folder: Path) -> None:
    [half] = [e for e in listed(folder).list() if e.place == "half"]
    assert reports.tree(half) == {}
    assert evidence.titled(half, "en") == "half · cannot be read"
    assert "cannot be read" in evidence.bare(half, "en")


def test_a_page_of_a_strange_size_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = listed(folder).list()[0]
    assert reports.page(entry) == PAGE
    monkeypatch.setattr(reports, "MAX_PAGE_BYTES", 10)
    assert reports.page(entry) is None


def test_no_folder_is_no_report(tmp_path: Path) -> None:
    assert Reports(str(tmp_path / "none"), tmp_path / "none").list() == []


# Who may -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "cas", "alex"])
def test_every_handler_refuses_who_is_no_admin(
    ui: Page, desk: Services, toasts: list[str], name: str | None
) -> None:
    tab, request = ui.quality, asking(desk, name)
    known = tab._reports.list()[0].id
    assert tab.open(known, "en", request) == {}
    assert tab.choose("support", "en", request) == {}
    assert tab.read(known, "zh", request) == {}
    assert toasts == ["This is for the role admin: log in with such an account first"] * 2 + [
        "您没有权限查看，请先用相应的账号登录。"
    ]
    assert tab.again(known, "en", request) == {}


@pytest.mark.parametrize(("name", "there"), [(None, False), ("alex", False), ("ada", True)])
def test_the_tab_is_shown_to_admins(
    ui: Page, desk: Services, name: str | None, there: bool
) -> None:
    updates = ui._open("zh", asking(desk, name))
    assert updates[ui.quality.tab]["visible"] is there
    assert updates[ui.quality.tab]["label"] == "质量"
    assert name in updates[ui._account] if name else updates[ui._account] == ""


def test_the_page_that_a_customer_gets_holds_no_report(ui: Page) -> None:
    assert SECRET not in json.dumps(ui.blocks.get_config_file(), default=str)
    assert "the plots" not in json.dumps(ui.blocks.get_config_file(), default=str)


@pytest.mark.parametrize(("name", "told"), [(None, False), ("cas", False), ("ada", True)])
def test_the_private_endpoint_itself_asks_for_the_role(
    desk: Services, address: str, name: str | None, told: bool
) -> None:
    """The tab's event is called as a script could: by its number, over HTTP."""
    cookies = {COOKIE: cookie(desk, name)} if name else {}
    with httpx.Client(base_url=address, cookies=cookies, timeout=60) as client:
        config = client.get("/config").json()
        tab = next(c["id"] for c in config["components"] if c["props"].get("id") == "quality")
        event = next(d for d in config["dependencies"] if [tab, "select"] in d["targets"])
        call = {"fn_index": event["id"], "session_hash": f"of {name}", "data": [None, None]}
        assert client.post("/gradio_api/queue/join", json=call).status_code == 200
        with client.stream("GET", f"/gradio_api/queue/data?session_hash=of {name}") as stream:
            said = "".join(stream.iter_text())
    assert "process_completed" in said
    assert ("the plots" in said) is told
    assert (SECRET in said) is told
    assert ("for the role admin" in said) is not told


# What they show ----------------------------------------------------------------------------------


def test_an_admin_sees_each_release_with_interval_and_verdict(ui: Page, desk: Services) -> None:
    updates = ui.quality.open(None, "en", asking(desk, "ada"))
    cards = updates[ui.quality.overview]
    assert "50.0 %" in cards
    assert "between 40.0 % and 60.0 %, n = 40" in cards
    assert "may ship" in cards
    assert cards.count("Not measured yet") == 2
    assert EVIL not in cards
    assert ("Chat", "support") in updates[ui.quality.source]["choices"]
    assert updates[ui.quality.report]["choices"][0][0] == "support · quote · demo:support#test"


def test_a_report_is_shown_in_a_frame_where_no_script_runs(ui: Page, desk: Services) -> None:
    paper = ui.quality.open(None, "en", asking(desk, "ada"))[ui.quality.paper]
    assert 'sandbox="allow-same-origin"' in paper
    assert "&lt;h1&gt;the plots" in paper
    assert "<h1>" not in paper
    assert "<img" not in paper


def test_without_a_page_the_numbers_are_shown(ui: Page, desk: Services) -> None:
    request = asking(desk, "ada")
    updates = ui.quality.choose("runs", "en", request)
    names = dict(updates[ui.quality.report]["choices"])
    bare = ui.quality.read(names["try-1 · support · quote · demo:support#test"], "en", request)
    assert "0.400 – 0.600" in bare[ui.quality.paper]
    assert "evaluate again" in bare[ui.quality.paper]
    verdict = ui.quality.read(names["try-1/sst2 · The gate: blocked"], "zh", request)
    assert "<p>No.</p>" in verdict[ui.quality.paper]


def test_everything_follows_the_language(ui: Page, desk: Services) -> None:
    request = asking(desk, "ada")
    shown = ui.quality._reports.list()[1].id
    updates = ui.quality.again(shown, "zh", request)
    assert "可以发布" in updates[ui.quality.overview]
    assert updates[ui.quality.report]["value"] == shown
    assert ui.quality.again(None, "zh", request) == {}


def test_an_id_that_is_gone_is_told(ui: Page, desk: Services, toasts: list[str]) -> None:
    assert ui.quality.read("../../etc/passwd", "en", asking(desk, "ada")) == {}
    assert toasts == ["There is no such report any more"]


def test_titles_are_escaped_where_they_are_markup(folder: Path) -> None:
    [compared] = [e for e in listed(folder).list() if e.kind == "compare"]
    frame = evidence.framed(PAGE, evidence.titled(compared, "en"))
    assert re.findall(r"<(\w+)", frame) == ["iframe"]
