"""Bounds over HTTP: quotas, body size, origins, cookies; errors in one shape and two languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.visitor import COOKIE
from tests.helpers_server import Site, site

CHAT, MOOD = "/v1/chat/completions", "/v1/sentiment"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def module_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(
        tmp_path_factory.mktemp("site"),
        messages_per_minute=3,
        allowed_origins=["https://shop.example"],
    ) as made:
        yield made


@pytest.fixture
def shop(module_site: Site) -> Site:
    return module_site.fresh()


def test_the_fourth_message_of_a_minute_is_429_with_retry_after(shop: Site) -> None:
    client = shop.client()
    assert [client.post(CHAT, json=HELLO).status_code for _ in range(3)] == [200] * 3
    refused = client.post(CHAT, json=HELLO)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["code"] == "too_many"


def test_throwing_the_cookie_away_does_not_renew_the_quota(shop: Site) -> None:
    statuses = [shop.client("203.0.113.7").post(CHAT, json=HELLO).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert shop.client("203.0.113.8").post(CHAT, json=HELLO).status_code == 200


def fresh_cookies(shop: Site, address: str, path: str, body: object, times: int) -> list[int]:
    """The statuses of a call after each of as many first visits."""
    statuses = []
    for _ in range(times):
        browser = shop.client(address)
        browser.get("/")
        statuses.append(browser.post(path, json=body).status_code)
    return statuses


def test_a_fresh_cookie_from_the_page_does_not_renew_the_quota_of_its_address(shop: Site) -> None:
    statuses = fresh_cookies(shop, "203.0.113.7", CHAT, HELLO, 17)
    assert statuses == [200] * 15 + [429] * 2
    refused = shop.client("203.0.113.7")
    refused.get("/")
    answer = refused.post(CHAT, json=HELLO, headers={"accept-language": "zh"})
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert "您的网络一分钟内请求超过 15 次" in answer.json()["error"]["message"]
    assert fresh_cookies(shop, "203.0.113.8", CHAT, HELLO, 1) == [200]
    mood = {"texts": ["good"]}  # which is counted apart
    assert fresh_cookies(shop, "203.0.113.7", MOOD, mood, 1) == [200]


def test_who_is_refused_alone_uses_up_nothing_of_the_others(shop: Site) -> None:
    greedy = shop.client("203.0.113.7")
    greedy.get("/")
    assert [greedy.post(CHAT, json=HELLO).status_code for _ in range(20)].count(200) == 3
    assert fresh_cookies(shop, "203.0.113.7", CHAT, HELLO, 12) == [200] * 12


def test_this_machine_itself_has_no_quota_of_its_address(shop: Site) -> None:
    assert fresh_cookies(shop, "127.0.0.1", CHAT, HELLO, 17) == [200] * 17


def test_other_features_have_a_larger_quota_of_their_own(shop: Site) -> None:
    client = shop.client()
    for _ in range(4):
        client.post(CHAT, json=HELLO)
    statuses = [client.post(MOOD, json={"texts": ["good"]}).status_code for _ in range(10)]
    assert statuses == [200] * 9 + [429]


def test_a_body_of_a_megabyte_is_413_announced_or_not(shop: Site) -> None:
    client = shop.client()
    body = b'{"texts": ["' + b"x" * 1_000_000 + b'"]}'
    chunks = (body[i : i + 10_000] for i in range(0, len(body), 10_000))
    for content in (body, chunks):
        response = client.post(MOOD, content=content, headers={"content-type": "application/json"})
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"
        assert "body is too large" in response.json()["error"]["message"]


def test_a_text_above_its_bound_is_413(shop: Site) -> None:
    response = shop.client().post(MOOD, json={"texts": ["x" * 5001]})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "http://[testserver"},
        {"origin": "http://testserver.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_cannot_post(shop: Site, headers: dict[str, str]) -> None:
    response = shop.client().post(CHAT, json=HELLO, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in response.headers
    assert shop.fakes.support.heard == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://testserver", "sec-fetch-site": "same-origin"},
        {"origin": "https://shop.example", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_programs_our_own_page_and_allowed_sites_can_post(
    shop: Site, headers: dict[str, str]
) -> None:
    assert shop.client().post(CHAT, json=HELLO, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", CHAT, "/gradio_api/info", "/readyz"])
@pytest.mark.parametrize("host", ["testserver", "localhost", "desk.example"])
def test_no_answer_lets_an_unknown_origin_read_it(shop: Site, path: str, host: str) -> None:
    for method in ("GET", "OPTIONS"):
        asks = {"origin": EVIL, "host": host, "access-control-request-method": "POST"}
        response = shop.client().request(method, path, headers=asks)
        assert "access-control-allow-origin" not in response.headers


def test_an_allowed_origin_may_ask_and_read(shop: Site) -> None:
    asks = {"origin": "https://shop.example", "access-control-request-method": "POST",
            "access-control-request-headers": "content-type"}  # fmt: skip
    preflight = shop.client().options(CHAT, headers=asks)
    assert preflight.status_code == 200
    answer = shop.client().post(CHAT, json=HELLO, headers={"origin": "https://shop.example"})
    for response in (preflight, answer):
        assert response.headers["access-control-allow-origin"] == "https://shop.example"


def test_the_page_gives_each_browser_one_cookie_that_scripts_cannot_read(shop: Site) -> None:
    client = shop.client()
    first = client.get("/")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert first.headers["cache-control"] == "no-store"
    assert "set-cookie" not in client.get("/").headers
    assert shop.client().get("/").headers["set-cookie"] != cookie


def test_behind_https_the_cookie_is_secure(tmp_path: Path) -> None:
    with site(tmp_path, secure_cookies=True) as made:
        assert "; Secure" in made.client().get("/").headers["set-cookie"]


def test_a_forged_cookie_is_nobodys(shop: Site) -> None:
    browser = shop.client("203.0.113.1")
    browser.get("/")
    mine = browser.post(CHAT, json=HELLO).json()["frontdesk"]["conversation_id"]
    name, _, signature = browser.cookies[COOKIE].partition(".")
    follow = {**HELLO, "frontdesk": {"conversation_id": mine}}
    assert browser.post(CHAT, json=follow).status_code == 200
    forgeries = (name, f"{name}x.{signature}", f"{name}.{signature[:-2]}AA", "é" * 5)
    for number, forged in enumerate(forgeries):
        stranger = shop.client(f"203.0.113.{number + 2}")
        headers = {"cookie": f"{COOKIE}={forged}".encode("latin-1")}
        assert stranger.post(CHAT, json=follow, headers=headers).status_code == 404


def test_a_program_on_this_machine_needs_no_cookie_and_gets_none(shop: Site) -> None:
    first = shop.client("127.0.0.1").post(CHAT, json=HELLO)
    assert "set-cookie" not in first.headers
    follow = {
        **HELLO,
        "frontdesk": {"conversation_id": first.json()["frontdesk"]["conversation_id"]},
    }
    assert shop.client("127.0.0.1").post(CHAT, json=follow).status_code == 200
    assert shop.client("::1").post(CHAT, json=follow).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/nothing", {}, 404),
        (MOOD, {"texts": []}, 400),
        (MOOD, {"text": "x"}, 400),
        (MOOD, {"texts": ["x"], "explain": True}, 400),
        (MOOD, {"texts": [""]}, 400),
        ("/v1/recommendations", {"k": 0}, 400),
        ("/v1/recommendations", {"k": "many"}, 400),
        ("/v1/recommendations", {"filters": {"colour": "red"}}, 400),
        ("/v1/recommendations", {"liked": ["no such thing"]}, 404),
        ("/v1/feedback", {"message_id": "x", "rating": 1}, 404),
        ("/v1/feedback", {"message_id": "x", "rating": 0}, 400),
        ("/v1/feedback", {"message_id": "x", "rating": 1, "consent": "perhaps"}, 400),
    ],
)
def test_every_error_has_code_message_and_id(
    shop: Site, path: str, body: dict[str, object], status: int
) -> None:
    response = shop.client().post(path, json=body)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert response.json()["error"].keys() == {"code", "message", "id"}
    assert all(response.json()["error"].values())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"texts": ["\\ud800"]}'])
def test_bytes_that_are_not_the_json_we_expect_are_400(shop: Site, content: bytes) -> None:
    response = shop.client().post(
        MOOD, content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "bad_input"


def test_another_method_says_which_one_to_use(shop: Site) -> None:
    response = shop.client().get(MOOD)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["message"] == "use POST here"


@pytest.mark.parametrize("path", ["/nonsense", "/v1/nonsense", "/healthz/more"])
def test_an_unknown_page_is_404_in_our_shape(shop: Site, path: str) -> None:
    response = shop.client().get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_errors_are_chinese_for_who_reads_chinese(shop: Site) -> None:
    client = shop.client()
    chinese = {"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}
    empty = client.post(MOOD, json={"texts": [" "]}, headers=chinese)
    assert empty.json()["error"]["message"] == "请先输入一些文字。"
    large = client.post(MOOD, content=b"x" * 300_000, headers=chinese)
    assert large.json()["error"]["message"] == "内容太长了，请缩短后再试。"
    english = client.post(MOOD, json={"texts": [" "]}, headers={"accept-language": "en, zh;q=0.5"})
    assert "the text is empty" in english.json()["error"]["message"]
