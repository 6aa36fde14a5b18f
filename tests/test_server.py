"""The server around the routes: headers, closed doors, probes, /docs offline, feedback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.core import logs
from app.core.files import ROOT
from app.core.visitor import Visitors, is_loopback
from app.store.db import _engine
from app.store.models import Feedback
from app.web.guards import closed
from tests.helpers_server import Fakes, Site, make_services, site, watching


@pytest.fixture(scope="module")
def module_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def shop(module_site: Site) -> Site:
    return module_site.fresh()


@pytest.fixture
def client(shop: Site) -> TestClient:
    return shop.client()


@pytest.mark.parametrize("path", ["/", "/healthz", "/nonsense", "/v1/nonsense", "/theme.css"])
def test_every_answer_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"] == "'self' https://huggingface.co https://*.hf.space"
    assert policy["default-src"] == policy["connect-src"] == "'self'"
    assert policy["object-src"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://127.0.0.1/x",
        "/gradio_api/file=HTTPS://127.0.0.1/x",
        "/gradio_api/file=%68ttp://127.0.0.1/x",
        "/gradio_api/file=%2568ttp%253A//127.0.0.1/x",
        "/gradio_api/file=//127.0.0.1/x",
        "/gradio_api/file=\\\\host\\share",
        "/gradio_api/file/http://127.0.0.1/x",
        "//gradio_api//file=ftp://127.0.0.1/x",
        "/gradio_api/proxy=http://127.0.0.1/x",
        "/gradio_api/monitoring/summary",
        "/gradio_api/monitoring",
        "/monitoring",
        "/gradio_api/upload",
        "/gradio_api/upload/",
        "//GRADIO_API//Upload",
        "/gradio_api/%75pload",
        "/gradio_api/upload_progress",
        "/gradio_api/process_recording",
        "/gradio_api/component_server",
        "/gradio_api/deep_link",
        "/gradio_api/run/greet",
        "/gradio_api/run/predict/greet",
        "/gradio_api/api/predict/",
        "/gradio_api/call/predict",
        "/gradio_api/call/v2/predict",
    ],
)
def test_what_gradio_would_fetch_or_show_is_closed(path: str) -> None:
    assert closed(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/gradio_api/file=/tmp/gradio/a.png",
        "/v1/monitoring",
        "/x",
        "/gradio_api/queue/join",
        "/gradio_api/run/predict",
        "/gradio_api/queue/data",
        "/gradio_api/heartbeat/x",
        "/gradio_api/info",
        "/upload",
    ],
)
def test_other_paths_are_not_closed(path: str) -> None:
    assert not closed(path)


def test_a_closed_door_is_404_through_the_server(client: TestClient) -> None:
    for path in ("/gradio_api/file=http://127.0.0.1:1/x", "/monitoring"):
        assert client.get(path).status_code == 404


def test_nobody_leaves_a_file_on_our_disk(client: TestClient) -> None:
    for door in ("upload", "upload?upload_id=x", "process_recording", "component_server"):
        answer = client.post(f"/gradio_api/{door}", files={"files": ("a.txt", b"hello")})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert client.get("/gradio_api/upload_progress?upload_id=x").status_code == 404


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "brief.yaml", "%2e%2e/pyproject.toml"]
)
def test_gradio_serves_no_file_of_ours(client: TestClient, path: str) -> None:
    assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_the_queue_cannot_be_bypassed_and_shows_no_api(client: TestClient) -> None:
    config = client.get("/config").json()
    for call in ({}, {"fn_index": 99}, {"fn_index": -1}, {"fn_index": 99, "session_hash": "x"}):
        for door in ("run/predict", "run/greet", "api/greet", "call/greet", "call/v2/greet"):
            answer = client.post(f"/gradio_api/{door}", json={"data": ["you"], **call})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    queued = client.post("/gradio_api/run/predict", json={"data": ["you"], "fn_index": 0})
    assert queued.status_code == 404
    assert config["footer_links"] == ["settings"]
    assert not config["run_history"]
    assert not config["show_error"]


def test_healthz_is_there_before_the_models_are(
    shop: Site, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slot in shop.services._slots.values():
        monkeypatch.setattr(slot, "_loaded", None)
    assert client.get("/healthz").json() == {"status": "ok"}
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["features"]["support"] == {"state": "loading"}
    refused = client.post("/v1/sentiment", json={"texts": ["x"]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")


def test_readyz_names_the_releases(client: TestClient) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "features": {
            "support": {"state": "ready", "release": "support-1"},
            "sentiment": {"state": "ready", "release": "sentiment-1"},
            "recommend": {"state": "ready", "release": "hybrid/hash"},
        },
        "database": {"state": "ready"},
    }


def test_readyz_is_503_without_the_database(
    shop: Site, client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone.db").mkdir()
    monkeypatch.setattr(shop.services.store, "engine", _engine(f"sqlite:///{tmp_path / 'gone.db'}"))
    response = client.get("/readyz")
    assert (response.status_code, response.json()["database"]) == (503, {"state": "failed"})


def test_metrics_count_requests_turns_and_readiness(client: TestClient) -> None:
    client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]})
    client.get("/some/where/else")
    text = client.get("/metrics").text
    assert 'frontdesk_ready{feature="support"} 1.0' in text
    counted = ('frontdesk_turns_total{finish="stop"}', 'route="/v1/chat/completions",status="200"}',
               'route="page",status="404"}')  # fmt: skip
    for counter in counted:
        assert re.search(re.escape(counter) + r" [1-9]", text)
    assert "some/where" not in text


def test_the_life_of_the_app_starts_and_stops_the_services(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        with made.client() as client:
            assert watching()
            assert client.get("/healthz").status_code == 200
        assert not watching()


def test_docs_need_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) == 4
    for link in links:
        assert "://" not in link
        assert client.get("/" + link).status_code == 200
    assert "<script>" not in page


def test_the_schema_is_openapi_3_0_and_names_our_routes(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert schema["openapi"] == "3.0.3"
    assert set(schema["paths"]) == {
        "/healthz", "/readyz", "/metrics", "/v1/chat/completions", "/v1/sentiment",
        "/v1/recommendations", "/v1/feedback", "/v1/me", "/v1/me/export",
    }  # fmt: skip
    text = json.dumps(schema)
    assert '"type": "null"' not in text
    assert '"const"' not in text
    extra = schema["components"]["schemas"]["ChatExtra"]["properties"]["conversation_id"]
    assert (extra["type"], extra["nullable"]) == ("string", True)


def test_a_kept_prediction_takes_a_correction(client: TestClient, shop: Site) -> None:
    wanted = {"texts": ["bad tea", "good tea"], "keep": True}
    results = client.post("/v1/sentiment", json=wanted).json()["results"]
    assert [r["label"] for r in results] == ["negative", "positive"]
    assert results[0]["probabilities"] == {"negative": 0.8765, "positive": 0.1235}
    assert results[0]["intensity"] == -3.012  # 4 * (0.1235 - 0.8765)
    given = {"message_id": results[0]["message_id"], "rating": -1, "correction": "positive",
             "consent": True}  # fmt: skip
    assert client.post("/v1/feedback", json=given).json() == {"stored": True}
    (sample,) = shop.services.store.feedback.consented("sentiment")
    assert (sample.text, sample.correction) == ("bad tea", "positive")


def test_without_keep_a_prediction_has_no_id(client: TestClient) -> None:
    (result,) = client.post("/v1/sentiment", json={"texts": ["good"]}).json()["results"]
    assert result["message_id"] is None


def test_feedback_on_anothers_answer_is_404(shop: Site) -> None:
    asked = {"messages": [{"role": "user", "content": "hi"}]}
    answer = shop.client("203.0.113.1").post("/v1/chat/completions", json=asked).json()
    given = {"message_id": answer["frontdesk"]["message_id"], "rating": 1}
    assert shop.client("203.0.113.2").post("/v1/feedback", json=given).status_code == 404


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def on_each(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A client of a site on each kind of database."""
    more = {}
    if request.param == "postgresql":
        from tests import helpers_postgres

        url = helpers_postgres.new_database(request.getfixturevalue("postgres"))
        more = {"database_url": url}
    with site(tmp_path_factory.mktemp("each"), **more) as made:
        yield made.client()


def test_nul_in_an_id_or_a_name_is_the_askers_mistake(on_each: TestClient) -> None:
    asked = {"messages": [{"role": "user", "content": "a\0b"}]}
    wrong = {**asked, "frontdesk": {"conversation_id": "a\0"}}
    for path, body in (
        ("/v1/chat/completions", wrong),
        ("/v1/feedback", {"message_id": "a\0", "rating": 1}),
        ("/v1/feedback", {"message_id": "a", "rating": 1, "correction": "\0"}),
    ):
        refused = on_each.post(path, json=body)
        assert refused.status_code == 400
        assert "without nul" in refused.json()["error"]["message"]
    assert on_each.post("/login", data={"name": "a\0", "password": "\0"}).status_code == 401
    assert on_each.post("/v1/chat/completions", json=asked).status_code == 200
    kept = {"texts": ["good\0"], "keep": True}
    assert on_each.post("/v1/sentiment", json=kept).status_code == 200


def test_two_thumbs_at_once_are_both_taken_and_one_is_kept(
    on_each: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"messages": [{"role": "user", "content": "hi"}]}
    ids = on_each.post("/v1/chat/completions", json=asked).json()["frontdesk"]
    thumb = {"message_id": ids["message_id"], "rating": 1, "consent": True}
    assert on_each.post("/v1/feedback", json=thumb).status_code == 200
    scalar, looked = Session.scalar, list[Any]()

    def before_the_other(self: Session, query: Any, *rest: Any) -> Any:
        """The first look for a thumb comes before the other one's commit."""
        if query.column_descriptions[0]["entity"] is not Feedback:
            return scalar(self, query, *rest)
        looked.append(query)
        return scalar(self, query, *rest) if len(looked) > 1 else None

    monkeypatch.setattr(Session, "scalar", before_the_other)
    second = on_each.post("/v1/feedback", json={**thumb, "rating": -1})
    assert (second.status_code, len(looked)) == (200, 2)
    kept = on_each.get("/v1/me/export").json()["feedback"]
    assert [given["rating"] for given in kept] == [-1]


def test_recommendations_follow_the_readers_language(client: TestClient) -> None:
    wanted: dict[str, Any] = {"liked": ["tea"], "filters": {"max_price": 10}, "k": 3}
    (item,) = client.post("/v1/recommendations", json=wanted).json()["items"]
    assert item == {"id": "tea", "title": "Tea", "price": 4.5, "score": 1.0,
                    "reason": "language en"}  # fmt: skip
    chinese = client.post(
        "/v1/recommendations", json=wanted, headers={"accept-language": "zh"}
    ).json()
    assert chinese["items"][0]["reason"] == "language zh"


def test_the_log_holds_no_text_that_anyone_typed(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "my name is Ludmila 4111-1111"
    asked = {"messages": [{"role": "user", "content": secret}]}
    client.post("/v1/chat/completions", json=asked)
    client.post("/v1/sentiment", json={"texts": [secret]})
    client.post("/v1/recommendations", json={"liked": [secret]})
    client.get(f"/{secret}")
    logged = capsys.readouterr()
    assert '"event": "turn"' in logged.err
    assert "Ludmila" not in logged.err + logged.out
    assert "4111" not in logged.err + logged.out


def test_a_log_event_keeps_identifiers_and_hides_text_and_messages() -> None:
    try:
        raise ValueError("card 4111")
    except ValueError as error:
        event = {"event": "x", "id": "ab-1", "n": 2, "text": "a b c", "exc_info": error}
    clean = logs.without_text(None, "info", event)
    assert (clean["id"], clean["n"], clean["text"]) == ("ab-1", 2, "<5 characters>")
    assert clean["error"] == "ValueError"
    assert "4111" not in str(clean)
    assert "test_server.py" in clean["trace"][0]


def test_visitors_with_one_secret_agree_and_with_another_do_not() -> None:
    owner, cookie = Visitors("one").issue()
    assert Visitors("one").owner_in({"frontdesk_visitor": cookie}) == owner
    assert Visitors("two").owner_in({"frontdesk_visitor": cookie}) is None


def test_without_a_cookie_a_page_is_its_session() -> None:
    visitors = Visitors("one")
    assert visitors.owner_of({}, "abc") == visitors.owner_of({}, "abc")
    assert visitors.owner_of({}, "abc") != visitors.owner_of({}, "abd")
    assert "abc" not in visitors.owner_of({}, "abc")


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
     ("10.0.0.1", False), ("testclient", False), ("", False)],
)  # fmt: skip
def test_loopback_addresses_are_told_from_others(address: str, here: bool) -> None:
    assert is_loopback(address) is here


def test_the_cookie_survives_a_restart_by_the_kept_secret() -> None:
    first = make_services(Fakes())
    owner, cookie = first.visitors.issue()
    first.store.close()
    second = make_services(Fakes())
    assert second.visitors.owner_in({"frontdesk_visitor": cookie}) == owner
    second.store.close()


def test_gradio_is_imported_without_rewriting_its_stub_files() -> None:
    code = (
        "from app.web.gradio_import import quicken; quicken()\n"
        "import gradio as gr, gradio.component_meta as meta\n"
        "assert meta.create_or_modify_pyi.__name__ == '<lambda>'\n"
        "with gr.Blocks() as page: gr.Chatbot().like(lambda: None)\n"
        "print(len(page.fns))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "1", done.stderr
