"""The running chat rests on what was ingested, from the very next turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import NotReady, StoreDown
from app.core.settings import Settings
from app.knowledge.ingest.run import ingest
from app.services import Services
from app.serving import loading
from app.serving.features import articles
from app.serving.loading import Loaded, Renewal, Slot
from app.store.db import Store, open_store
from app.support.chat import SupportChat

ME = "visitor:me"
ASKED = "How long is a Zanzibar voucher valid?"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'articles.db'}")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "help"
    made.mkdir()
    (made / "voucher.md").write_text("# Vouchers\n\nA Zanzibar voucher is valid for 3 years.")
    (made / "other.md").write_text("# Tea\n\nGreen tea is brewed at 80 degrees.")
    return made


@pytest.fixture
def services(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The scripted product, its chat alone loaded."""
    settings = Settings(model="scripted", secret="of the tests")  # type: ignore[arg-type]
    made = Services(settings, store=store)
    monkeypatch.setattr(made, "_slots", {"support": made._slots["support"]})
    made.load()
    yield made
    made.stop()


def ask(services: Services, question: str = ASKED) -> Any:
    *_, last = services.chat(ME, question)
    assert last.answer is not None
    return last.answer


def cited(answer: Any) -> list[str]:
    return [citation.passage for citation in answer.citations]


def test_the_demo_shop_speaks_until_something_is_ingested(store: Store, folder: Path) -> None:
    demo = articles(Settings(), store)
    assert any(doc["id"] == "shipping-cost" for doc in demo)
    ingest(folder, store.articles)
    assert {doc["id"] for doc in articles(Settings(), store)} == {
        "help/voucher.md", "help/other.md",
    }  # fmt: skip
    assert len(articles(Settings(keep_demo_articles=True), store)) == len(demo) + 2
    assert articles(Settings(), None) == demo


def test_the_next_turn_knows_what_was_added_changed_and_removed(
    services: Services, store: Store, folder: Path
) -> None:
    assert not any("Zanzibar" in text for text in cited(ask(services)))
    ingest(folder, store.articles)
    assert cited(ask(services))[0] == "A Zanzibar voucher is valid for 3 years."
    (folder / "voucher.md").write_text("# Vouchers\n\nA Zanzibar voucher is valid for 5 years.")
    ingest(folder, store.articles)
    assert cited(ask(services))[0] == "A Zanzibar voucher is valid for 5 years."
    (folder / "voucher.md").unlink()
    ingest(folder, store.articles)
    gone = ask(services)
    assert "Zanzibar" not in "".join([gone.text.replace(ASKED, ""), *cited(gone)])


def test_agents_articles_never_reach_a_customer(
    services: Services, store: Store, folder: Path
) -> None:
    ingest(folder, store.articles)
    (folder / "voucher.md").write_text(
        "---\nvisibility: agents\n---\nA Zanzibar voucher is valid for 7 years."
    )
    ingest(folder, store.articles)
    assert not any("Zanzibar" in text for text in cited(ask(services)))
    found = services.support.knowledge.search(ASKED, audience="agents")
    assert found[0].text == "A Zanzibar voucher is valid for 7 years."


def test_a_turn_ends_on_the_articles_that_it_began_with(
    services: Services, store: Store, folder: Path
) -> None:
    ingest(folder, store.articles)
    turn = services.chat(ME, ASKED)
    next(turn)
    (folder / "voucher.md").unlink()
    ingest(folder, store.articles)
    services.support  # somebody else's turn swaps  # noqa: B018
    *_, last = turn
    assert last.answer is not None
    assert cited(last.answer)[0] == "A Zanzibar voucher is valid for 3 years."


def test_the_chat_is_not_loaded_again_for_an_article(
    services: Services, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = services.support

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(SupportChat, "load", fail)
    ingest(folder, store.articles)
    assert services.support is not before
    assert services.support.model is before.model


def renewing(revision: list[str], made: list[str]) -> Slot:
    def renew(value: str) -> str:
        if revision[0] == "bad":
            raise ValueError("broken")
        made.append(revision[0])
        return f"{value.partition('/')[0]}/{revision[0]}"

    def now() -> str:
        if revision[0] == "lost":
            raise ConnectionError("the database is lost")
        return revision[0]

    slot = Slot("support", lambda: Loaded("r1", "r1"), None, Renewal(now, renew))
    slot.refresh()
    return slot


def test_a_revision_is_renewed_once_by_however_many_turns() -> None:
    revision, made = ["a"], list[str]()
    slot = renewing(revision, made)
    revision[0] = "b"
    threads = [threading.Thread(target=slot.current) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (made, slot.current()) == (["b"], "r1/b")


def test_a_renewal_that_fails_serves_nothing_old_and_shows() -> None:
    revision = ["a"]
    slot = renewing(revision, [])
    revision[0] = "bad"
    for _ in range(2):
        with pytest.raises(NotReady, match="being renewed"):
            slot.current()
    assert "error" in slot.state()
    revision[0] = "lost"  # and it is known that the old one is old
    with pytest.raises(NotReady, match="being renewed"):
        slot.current()
    revision[0] = "c"
    assert slot.current() == "r1/c"
    assert "error" not in slot.state()


def test_a_renewal_that_takes_too_long_asks_for_patience_and_serves_nothing_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "RENEWAL_S", 0.05)
    revision, gate = ["a"], threading.Event()

    def renew(value: str) -> str:
        gate.wait(10)
        return f"{value}/b"

    slot = Slot("support", lambda: Loaded("r1", "r1"), None, Renewal(lambda: revision[0], renew))
    slot.refresh()
    revision[0] = "b"
    for _ in range(2):
        with pytest.raises(NotReady, match="being renewed"):
            slot.current()
    gate.set()
    monkeypatch.setattr(loading, "RENEWAL_S", 10)
    assert slot.current() == "r1/b"


def test_what_was_deleted_is_not_served_where_one_read_failed(
    services: Services, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services._slots["support"]._renewals, "_wait_s", 0)
    ingest(folder, store.articles)
    assert "3 years" in cited(ask(services))[0]
    (folder / "voucher.md").unlink()
    ingest(folder, store.articles)
    read = store.articles.docs

    def lost() -> Any:
        monkeypatch.setattr(store.articles, "docs", read)
        raise StoreDown("our database cannot be reached at the moment")

    monkeypatch.setattr(store.articles, "docs", lost)
    with pytest.raises(NotReady, match="being renewed"):
        ask(services)
    assert services.ready().state["support"].keys() == {"state", "release", "error"}
    gone = ask(services)
    assert "Zanzibar" not in "".join([gone.text.replace(ASKED, ""), *cited(gone)])
    assert "error" not in services.ready().state["support"]


def test_articles_are_followed_also_beside_a_release_that_does_not_load() -> None:
    revision, made = ["a"], list[str]()
    slot = renewing(revision, made)
    folder = Path(__file__).parent / "none"
    slot._stamp, slot._folder = "before a promote", folder

    def broken() -> Loaded:
        raise ValueError("broken")

    slot._load = broken
    revision[0] = "b"
    assert slot.current() == "r1/b"
    assert "error" in slot.state()  # of the release


def test_a_first_load_that_failed_is_tried_again_after_a_wait() -> None:
    failures = [StoreDown("our database cannot be reached at the moment")]

    def load() -> Loaded:
        if failures:
            raise failures.pop()
        return Loaded("r1", "r1")

    slot = Slot("support", load, None)
    assert slot.refresh()
    assert not slot.refresh()
    with pytest.raises(StoreDown):
        slot.current()
    slot._loads._next = 0.0  # the wait is over
    assert slot.refresh()
    assert slot.current() == "r1"


def test_a_lost_database_leaves_the_chat_as_it_is() -> None:
    revision = ["a"]
    slot = renewing(revision, [])
    revision[0] = "lost"
    assert slot.current() == "r1"
    assert not slot.refresh()
