"""Login over HTTP: cookies, throttling, other sites, and that nobody learns which names exist."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.core import passwords
from app.serving import accounts
from app.serving.accounts import COOKIE, Account, Accounts, NotAllowed
from app.store import users as user_store
from app.store.models import utc_now
from app.ui import signin
from tests.helpers_server import Site, site

PASSWORD = "correct horse battery"
CHEAP = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))
HASH = CHEAP.hash(PASSWORD)
EVIL = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hashes in a thousandth of the time; tests/test_users.py checks the real ones."""
    monkeypatch.setattr(passwords, "_hasher", lambda: CHEAP)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("login"), allowed_origins=["https://shop.example"]) as made:
        yield made


@pytest.fixture
def desk(shared: Site) -> Site:
    """The site with ada (admin), alex (agent) and cas (customer), and no try counted yet."""
    users = shared.services.store.users
    for user in users.list():
        users.remove(user.name)
    for name, role in (("ada", "admin"), ("alex", "agent"), ("cas", "customer")):
        users.add(name, role, HASH)
    shared.services.accounts._limiter.storage.reset()
    return shared


def login(client: TestClient, name: str = "ada", password: str = PASSWORD, **more: str) -> Any:
    form = {"name": name, "password": password}
    return client.post("/login", data=form, headers=more, follow_redirects=False)


def who(desk: Site, client: TestClient) -> Account:
    return desk.services.accounts.who(client.cookies)


def test_the_right_password_opens_a_session_and_leads_to_the_page(desk: Site) -> None:
    client = desk.client()
    answer = login(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    assert who(desk, client) == Account("admin", "ada")
    assert answer.headers["cache-control"] == "no-store"


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(desk: Site) -> None:
    cookie = login(desk.client()).headers["set-cookie"]
    assert re.search(r"HttpOnly.*Max-Age=43200.*Path=/.*SameSite=lax", cookie)
    assert "Secure" not in cookie


def test_over_https_the_cookie_is_secure(tmp_path: Path) -> None:
    with site(tmp_path, secure_cookies=True) as secure:
        secure.services.store.users.add("ada", "admin", HASH)
        assert "Secure" in login(secure.client()).headers["set-cookie"]


def test_the_database_holds_neither_password_nor_token(desk: Site) -> None:
    client = desk.client()
    login(client)
    token = client.cookies[COOKIE].split(".")[0]
    folder = Path(str(desk.services.store.engine.url.database)).parent
    kept = b"".join(file.read_bytes() for file in folder.iterdir()).decode("latin-1")
    assert token not in kept
    assert PASSWORD not in kept


def test_an_unknown_name_and_a_wrong_password_are_answered_alike(desk: Site) -> None:
    wrong = [login(desk.client(), name, "wrong password!") for name in ("ada", "nobody")]
    assert {answer.status_code for answer in wrong} == {401}
    texts = [
        answer.text.replace('value="ada"', "").replace('value="nobody"', "") for answer in wrong
    ]
    assert texts[0] == texts[1]
    assert "Wrong name or password" in texts[0]
    assert "set-cookie" not in wrong[0].headers


def test_an_unknown_name_costs_a_hash_too(desk: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    def matches(_: str, kept: str) -> bool:
        checked.append(kept[:9])
        return False

    monkeypatch.setattr(accounts, "matches", matches)
    for name in ("ada", "nobody", "x" * 1000):
        login(desk.client(), name)
    assert checked == ["$argon2id"] * 3


def test_a_name_is_tried_five_times_whoever_asks_and_existing_or_not(desk: Site) -> None:
    for name in ("ada", "nobody"):
        tries = [login(desk.client(f"203.0.113.{i}"), name, "wrong password!") for i in range(6)]
        assert [answer.status_code for answer in tries] == [401] * 5 + [429]
        assert 0 < int(tries[-1].headers["retry-after"]) <= 900
        assert "Too many tries: please wait 15 min" in tries[-1].text
    assert login(desk.client(), "ada").status_code == 429  # also with the right password
    assert login(desk.client(), "alex").status_code == 303


def test_an_address_is_tried_twenty_times_whatever_the_names(desk: Site) -> None:
    tries = [login(desk.client("203.0.113.9"), f"n{i}", "wrong password!") for i in range(21)]
    assert [answer.status_code for answer in tries] == [401] * 20 + [429]
    assert login(desk.client("203.0.113.10")).status_code == 303


def test_a_success_forgets_the_failed_tries_of_that_name(desk: Site) -> None:
    for _ in range(2):
        for i in range(4):
            assert (
                login(desk.client(f"203.0.113.{i}"), password="wrong password!").status_code == 401
            )
        assert login(desk.client()).status_code == 303


def test_capitals_do_not_give_more_tries(desk: Site) -> None:
    names = ("ada", "Ada", "ADA", " ada", "ada ", "aDa")
    tries = [
        login(desk.client(f"203.0.113.{i}"), n, "wrong password!") for i, n in enumerate(names)
    ]
    assert tries[-1].status_code == 429


def test_logout_ends_the_session_also_for_a_copy_of_its_cookie(desk: Site) -> None:
    client = desk.client()
    login(client)
    copy = dict(client.cookies)
    answer = client.post("/logout", follow_redirects=False)
    assert answer.status_code == 303
    assert COOKIE not in client.cookies
    assert desk.services.accounts.who(copy) == Account("customer")


def test_a_new_login_ends_the_session_before_it(desk: Site) -> None:
    client = desk.client()
    login(client)
    before = dict(client.cookies)
    login(client)
    assert client.cookies[COOKIE] != before[COOKIE]
    assert desk.services.accounts.who(before) == Account("customer")
    assert who(desk, client).name == "ada"


def test_a_session_ends_with_the_password_the_user_and_its_time(
    desk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, client = desk.services.store.users, desk.client()
    login(client)
    users.set_password("ada", HASH)
    assert who(desk, client) == Account("customer")
    login(client)
    later = utc_now() + timedelta(hours=accounts.SESSION_HOURS, seconds=1)
    monkeypatch.setattr(user_store, "utc_now", lambda: later)
    assert who(desk, client) == Account("customer")
    monkeypatch.undo()
    assert who(desk, client).name == "ada"
    users.remove("ada")
    assert who(desk, client) == Account("customer")


def test_a_forged_cookie_is_nobody_and_asks_the_database_nothing(
    desk: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = desk.client()
    login(client)
    token, real = client.cookies[COOKIE].split(".")
    asked: list[str] = []
    monkeypatch.setattr(desk.services.store.users, "of_session", asked.append)
    other = Accounts(desk.services.store, "another secret")
    signed = other._signer.sign(token).decode()
    for value in (token, f"{token}.", f"{token}x.{real}", "", "\ud800", signed):
        assert desk.services.accounts.who({COOKIE: value}) == Account("customer")
    visitor = client.cookies.get("frontdesk_visitor") or desk.services.visitors.issue()[1]
    assert desk.services.accounts.who({COOKIE: visitor}) == Account("customer")
    assert asked == []


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://["},
     {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
     {"origin": "https://shop.example"}],
)  # fmt: skip
def test_another_site_can_log_nobody_in_or_out(
    desk: Site, path: str, headers: dict[str, str]
) -> None:
    client = desk.client()
    login(client)
    form = {"name": "alex", "password": PASSWORD}
    assert client.post(path, data=form, headers=headers).status_code == 403
    assert who(desk, client) == Account("admin", "ada")


def test_our_own_page_may(desk: Site) -> None:
    answer = login(desk.client(), origin="http://testserver", **{"sec-fetch-site": "same-origin"})
    assert answer.status_code == 303


def test_a_link_cannot_log_out(desk: Site) -> None:
    client = desk.client()
    login(client)
    client.get("/logout")
    assert who(desk, client).name == "ada"


@pytest.mark.parametrize(
    ("query", "header", "words"),
    [("", "zh-CN", "员工登录"), ("?lang=zh", "en", "员工登录"), ("?lang=en", "zh", "Staff login"),
     ("?lang=%3Cb%3E", "en", "Staff login")],
)  # fmt: skip
def test_the_form_speaks_the_readers_language(
    desk: Site, query: str, header: str, words: str
) -> None:
    answer = desk.client().get(f"/login{query}", headers={"accept-language": header})
    assert f"<h1>{words}</h1>" in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_a_refusal_speaks_it_too_and_keeps_what_was_typed_as_text(desk: Site) -> None:
    form = {"name": EVIL, "password": "wrong password!"}
    answer = desk.client().post("/login?lang=zh", data=form)
    assert "用户名或密码不正确" in answer.text
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert" in answer.text
    assert "wrong password!" not in answer.text


def test_the_form_needs_nothing_from_elsewhere() -> None:
    assert not re.search(r"://|@import|url\(|src=", signin.page("A shop", "en", "wrong", "x"))


@pytest.mark.parametrize("form", [{}, {"name": "ada"}, {"name": "ada", "password": "x" * 2000}])
def test_half_a_form_is_bad_input(desk: Site, form: dict[str, str]) -> None:
    assert desk.client().post("/login", data=form).status_code == 400


def test_every_role_may_what_those_below_it_may(desk: Site) -> None:
    roles = ("customer", "agent", "admin")
    for name, may in (("cas", 1), ("alex", 2), ("ada", 3), (None, 1)):
        client = desk.client()
        if name:
            login(client, name)
        for i, role in enumerate(roles):
            if i < may:
                assert desk.services.accounts.require(role, client.cookies).name == name  # type: ignore[arg-type]
            else:
                with pytest.raises(NotAllowed, match=f"for the role {role}"):
                    desk.services.accounts.require(role, client.cookies)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "status"), [(None, 403), ("cas", 403), ("alex", 200), ("ada", 200)]
)
@pytest.mark.parametrize("user", ["c0006", "nobody", ""])
def test_what_a_customer_bought_is_shown_to_staff_alone(
    desk: Site, monkeypatch: pytest.MonkeyPatch, name: str | None, status: int, user: str
) -> None:
    client, asked = desk.client(), []
    monkeypatch.setattr(desk.fakes.shop, "suggest", lambda **rest: asked.append(rest["user"]) or [])
    if name:
        login(client, name)
    answer = client.post("/v1/recommendations", json={"user": user})
    assert answer.status_code == status
    assert asked == ([user] if status == 200 else [])
    if status == 403:
        assert answer.json()["error"]["code"] == "not_allowed"
        assert "POST /login" in answer.json()["error"]["message"]
        chinese = {"accept-language": "zh"}
        told = client.post("/v1/recommendations", json={"user": user}, headers=chinese).json()
        assert "只给客服和管理员看" in told["error"]["message"]


def test_hashes_are_computed_two_at_once(desk: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock = [0], [0], threading.Lock()
    gate = threading.Barrier(2)

    def matches(*_: str) -> bool:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(10)  # two must be inside together for either to go on
        with lock:
            running[0] -= 1
        return False

    monkeypatch.setattr(accounts, "matches", matches)
    tries = [
        threading.Thread(target=login, args=(desk.client(f"203.0.113.{i}"), f"n{i}"))
        for i in range(6)
    ]
    for one in tries:
        one.start()
    for one in tries:
        one.join(30)
    assert most[0] == 2


def test_what_was_typed_is_not_logged(desk: Site, capsys: pytest.CaptureFixture[str]) -> None:
    login(desk.client(), "typed-the-password-here", "wrong password!")
    login(desk.client())
    logged = capsys.readouterr().err
    assert "typed-the-password-here" not in logged
    assert PASSWORD not in logged
