"""Users: what the store keeps of them, how passwords are checked, and `python -m app user`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text

from app.__main__ import main
from app.core import passwords
from app.core.errors import InputError, NotFound
from app.store.db import Store, open_store
from app.store.models import utc_now

PASSWORD = "correct horse battery"
HASH = "a hash"
CHEAP = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hashes in a thousandth of the time."""
    monkeypatch.setattr(passwords, "_hasher", lambda: CHEAP)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def begun(store: Store, name: str, token: str, hours: float = 1) -> None:
    store.users.begin(name, token, utc_now() + timedelta(hours=hours))


def test_a_user_is_kept_with_role_and_found_in_any_spelling(store: Store) -> None:
    store.users.add(" Ada ", "admin", HASH)
    assert [(u.name, u.role) for u in store.users.list()] == [("ada", "admin")]
    assert store.users.get("ADA").password_hash == HASH


def test_a_name_is_taken_once(store: Store) -> None:
    store.users.add("ada", "admin", HASH)
    with pytest.raises(InputError, match=r"already a user 'ada'.*user password ada"):
        store.users.add("Ada", "agent", "another")
    assert store.users.get("ada").role == "admin"


@pytest.mark.parametrize("name", ["", "a b", "<b>", "../x", "ä", "-x", "x" * 65, "a\nb"])
def test_a_name_that_could_mislead_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="expected up to 64 letters"):
        store.users.add(name, "agent", HASH)


def test_an_unknown_role_is_refused_with_the_nearest(store: Store) -> None:
    with pytest.raises(InputError, match=r"'admn'. Did you mean 'admin'\? There is: customer"):
        store.users.add("ada", "admn", HASH)


def test_the_database_itself_refuses_an_unknown_role(store: Store) -> None:
    insert = "insert into users values ('eve', 'root', 'x', '2026-01-01')"
    with pytest.raises(Exception, match="ck_users_role"), store.write() as session:
        session.execute(text(insert))


def test_an_unknown_user_is_named_with_the_nearest(store: Store) -> None:
    store.users.add("ada", "admin", HASH)
    for ask in (store.users.get, store.users.remove):
        with pytest.raises(NotFound, match=r"no user 'adda'. Did you mean 'ada'"):
            ask("adda")


@pytest.mark.parametrize("name", ["", "\0", "ada\0", "x" * 1000])
def test_what_can_be_no_name_is_nobodys(store: Store, name: str) -> None:
    store.users.add("ada", "admin", HASH)
    assert store.users.find(name) is None
    assert store.users.find(" Ada ") is not None


def test_a_session_is_its_users_until_it_is_over(store: Store) -> None:
    store.users.add("ada", "admin", HASH)
    begun(store, "ada", "t1")
    begun(store, "ada", "old", hours=-1)
    user = store.users.of_session("t1")
    assert user is not None
    assert user.name == "ada"
    assert store.users.of_session("old") is None
    assert store.users.of_session("t2") is None
    store.users.end("t1")
    assert store.users.of_session("t1") is None


def test_sessions_that_are_over_are_deleted_by_the_next_login(store: Store) -> None:
    store.users.add("ada", "admin", HASH)
    begun(store, "ada", "old", hours=-1)
    begun(store, "ada", "new")
    with store.read() as session:
        assert session.scalars(text("select token_sha256 from logins")).all() == ["new"]


@pytest.mark.parametrize("how", ["password", "removal"])
def test_a_new_password_and_a_removal_end_the_sessions_of_that_user_alone(
    store: Store, how: str
) -> None:
    for name in ("ada", "bob"):
        store.users.add(name, "admin", HASH)
        begun(store, name, f"of {name}")
    store.users.set_password("ada", "new") if how == "password" else store.users.remove("ada")
    assert store.users.of_session("of ada") is None
    assert store.users.of_session("of bob") is not None


def test_a_user_made_again_does_not_get_the_old_sessions(store: Store) -> None:
    store.users.add("ada", "admin", HASH)
    begun(store, "ada", "t1")
    store.users.remove("ada")
    store.users.add("ada", "admin", HASH)
    assert store.users.of_session("t1") is None


# Passwords ---------------------------------------------------------------------------------------


def test_a_hash_is_argon2id_salted_and_holds_no_password() -> None:
    one, two = passwords.hashed(PASSWORD), passwords.hashed(PASSWORD)
    assert one.startswith("$argon2id$v=19$m=65536,t=3,")
    assert one != two
    assert PASSWORD not in one
    assert passwords.matches(PASSWORD, one)
    assert passwords.matches(PASSWORD, two)
    assert not passwords.matches(PASSWORD + " ", one)


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257])
def test_a_short_or_endless_password_is_refused(password: str) -> None:
    with pytest.raises(InputError, match=rf"has {len(password)} characters: expected 12 to 256"):
        passwords.hashed(password)


@pytest.mark.usefixtures("cheap")
def test_a_longer_password_than_may_be_is_not_the_one_it_begins_with() -> None:
    kept = passwords.hashed("x" * 256)
    assert passwords.matches("x" * 256, kept)
    assert not passwords.matches("x" * 300, kept)


# The command -------------------------------------------------------------------------------------


def typed(monkeypatch: pytest.MonkeyPatch, stdin: str, *arguments: str) -> int:
    """The exit status of `python -m app user ...` with a pipe behind it."""
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    with pytest.raises(SystemExit) as ended:
        main(["user", *arguments])
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("cheap")
def test_a_user_is_added_listed_changed_and_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_var: Path
) -> None:
    assert typed(monkeypatch, PASSWORD + "\n", "add", "Ada", "--role", "admin") == 0
    assert "added ada as admin" in capsys.readouterr().out
    assert typed(monkeypatch, "", "list") == 0
    assert "ada  admin  since" in capsys.readouterr().out
    assert typed(monkeypatch, "another horse battery\n", "password", "ada") == 0
    store = open_store(f"sqlite:///{own_var / 'frontdesk.db'}")
    kept = store.users.get("ada").password_hash
    store.close()
    assert passwords.matches("another horse battery", kept)
    assert typed(monkeypatch, "", "remove", "ada") == 0
    assert typed(monkeypatch, "", "list") == 0
    assert "nobody yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stdin", "arguments", "told"),
    [
        ("short\n", ("add", "bob", "--role", "agent"), "has 5 characters"),
        ("", ("add", "bob", "--role", "agent"), "has 0 characters"),
        (PASSWORD, ("add", "ada", "--role", "agent"), "already a user 'ada'"),
        (PASSWORD, ("add", "bob", "--role", "boss"), "no role 'boss'"),
        (PASSWORD, ("password", "nobody"), "no user 'nobody'"),
        ("", ("remove", "nobody"), "no user 'nobody'"),
    ],
)
@pytest.mark.usefixtures("cheap")
def test_bad_input_is_a_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    stdin: str, arguments: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    assert typed(monkeypatch, PASSWORD, "add", "ada", "--role", "admin") == 0
    assert typed(monkeypatch, stdin, *arguments) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("cheap")
def test_at_a_terminal_the_password_is_typed_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([PASSWORD, PASSWORD + "x", PASSWORD, PASSWORD])
    monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for status in (2, 0):
        with pytest.raises(SystemExit) as ended:
            main(["user", "add", "ada", "--role", "admin"])
        assert int(ended.value.code or 0) == status
    assert "the two passwords differ" in capsys.readouterr().err


def test_a_password_is_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["user", "add", "--help"])
    assert "--password" not in capsys.readouterr().out
