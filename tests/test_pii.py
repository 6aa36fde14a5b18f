"""What people typed is in the database alone: not in the log, and redacted in what leaves it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.core.desk import Packet, Said
from app.core.visitor import COOKIE
from app.server import create_app
from app.services import Services
from tests.helpers_server import Fakes, make_services

FORM = (
    "cormac.garvey@example.org", "+44 20 7946 0958", "13812345678", "4111 1111 1111 1111",
    "GB82 WEST 1234 5698 7654 32", "11010519491231002X", "192.0.2.77",
)  # fmt: skip
"""Personal data that has a form."""
WORDS = ("Cormac Garvey", "49 Teapot Lane", "FK-10994", "张伟", "世纪大道100号")
"""Names, addresses and order numbers: never logged, but not found by app.core.redact."""
TYPED = (
    "I am Cormac Garvey, 49 Teapot Lane, order FK-10994: cormac.garvey@example.org, "
    "+44 20 7946 0958, card 4111 1111 1111 1111, GB82 WEST 1234 5698 7654 32, from 192.0.2.77",
    "我叫张伟，住在世纪大道100号，订单 FK-10994，手机 13812345678，身份证 11010519491231002X",
)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = make_services(Fakes(), database_url=f"sqlite:///{tmp_path / 'a.db'}", secret="s")
    yield made
    made.store.close()


def session(client: TestClient, services: Services) -> str:
    """All that a visitor can do, also wrongly; gives the owner."""
    owner, value = services.visitors.issue()
    headers = {"Cookie": f"{COOKIE}={value}"}
    for words in TYPED:
        chat = {"messages": [{"role": "user", "content": words}]}
        answer = client.post("/v1/chat/completions", json=chat, headers=headers).json()["frontdesk"]
        given = {"message_id": answer["message_id"], "rating": -1, "correction": words,
                 "reason": words, "consent": True}  # fmt: skip
        client.post("/v1/feedback", json=given, headers=headers)
        client.post("/v1/feedback", json=given | {"rating": words}, headers=headers)
        asked = {"texts": [words], "keep": True}
        felt = client.post("/v1/sentiment", json=asked, headers=headers).json()["results"][0]
        wrong = given | {"message_id": felt["message_id"], "correction": "positive"}
        client.post("/v1/feedback", json=wrong, headers=headers)
        client.post("/v1/recommendations", json={"query": words}, headers=headers)
        bad = {"messages": [{"role": "user", "content": f"explode {words}"}]}
        with pytest.raises(RuntimeError):
            list(services.chat(owner, bad["messages"][0]["content"]))
        client.post("/v1/chat/completions", json=chat | {"model": [words]}, headers=headers)
        client.get(f"/v1/{words}", headers=headers)
        packet = Packet(reason="asked", summary=words, language="en", slots={"email": words},
                        transcript=[Said(role="user", content=words)])  # fmt: skip
        services.store.tickets.hand_over(owner, answer["conversation_id"], packet)
    return owner


def test_no_word_that_was_typed_reaches_the_log_and_exports_are_redacted(
    services: Services, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    app = create_app(services.settings, services)
    with TestClient(app, raise_server_exceptions=False) as client:
        owner = session(client, services)
    captured = capfd.readouterr()
    logged = captured.out + captured.err
    assert logged.count("turn") >= 4  # there was something to log
    for secret in (*FORM, *WORDS):
        assert secret not in logged, secret
    as_typed = json.dumps(services.export_mine(owner), ensure_ascii=False)
    left = json.dumps(services.store.owners.export(owner, redacted=True), ensure_ascii=False)
    for secret in FORM:
        assert secret in as_typed, secret
        assert secret not in left, secret
    # The database is the one file with these words.
    for path in (p for p in tmp_path.rglob("*") if p.is_file() and not p.name.startswith("a.db")):
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in (*FORM, *WORDS)), path


def test_what_is_gathered_for_training_is_redacted(services: Services) -> None:
    from finetune import corrections, feedback

    app = create_app(services.settings, services)
    with TestClient(app, raise_server_exceptions=False) as client:
        session(client, services)
    samples = services.store.feedback.consented("sentiment")
    built = feedback.build([corrections._of_store(s) for s in samples], "sentiment")
    assert len(built.rows) == len(TYPED)
    text = json.dumps(built._asdict(), ensure_ascii=False, default=str)
    assert text.count("<PHONE>") == 2
    assert not [secret for secret in FORM if secret in text]
