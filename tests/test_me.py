"""A visitor takes out, or deletes, what is kept of them over HTTP; nobody else can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.core.visitor import COOKIE
from app.server import create_app
from app.services import Services
from tests.helpers_server import Fakes, make_services


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = make_services(Fakes(), database_url=f"sqlite:///{tmp_path / 'a.db'}", secret="s")
    yield made
    made.store.close()


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services.settings, services)) as opened:
        yield opened


def cookie(services: Services) -> tuple[str, dict[str, str]]:
    owner, value = services.visitors.issue()
    return owner, {"Cookie": f"{COOKIE}={value}"}


def test_my_data_comes_out_and_goes_and_others_stay(services: Services, client: TestClient) -> None:
    mine, headers = cookie(services)
    theirs, others = cookie(services)
    for owner, words in ((mine, "my words"), (theirs, "their words")):
        list(services.chat(owner, words))
    out = client.get("/v1/me/export", headers=headers)
    assert out.status_code == 200
    assert out.headers["cache-control"] == "no-store"
    said = [m["content"] for c in out.json()["conversations"] for m in c["messages"]]
    assert said[0] == "my words"
    assert "their" not in out.text
    gone = client.delete("/v1/me", headers=headers)
    assert gone.json()["deleted"]["conversations"] == 1
    assert gone.json()["deleted"]["messages"] == 2
    assert client.get("/v1/me/export", headers=headers).json()["conversations"] == []
    assert client.delete("/v1/me", headers=headers).json()["deleted"]["messages"] == 0
    assert len(client.get("/v1/me/export", headers=others).json()["conversations"]) == 1


def test_a_page_of_another_site_cannot_delete_for_me(
    services: Services, client: TestClient
) -> None:
    mine, headers = cookie(services)
    list(services.chat(mine, "my words"))
    evil = headers | {"Origin": "https://evil.example"}
    assert client.delete("/v1/me", headers=evil).status_code == 403
    assert len(services.export_mine(mine)["conversations"]) == 1


def test_a_forged_cookie_is_nobody(services: Services, client: TestClient) -> None:
    mine, _ = cookie(services)
    list(services.chat(mine, "my words"))
    forged = {"Cookie": f"{COOKIE}={mine.removeprefix('visitor:')}.forged"}
    assert "my words" not in client.get("/v1/me/export", headers=forged).text
    client.delete("/v1/me", headers=forged)
    assert len(services.export_mine(mine)["conversations"]) == 1
