"""The store of articles, on both databases: replaced as a whole, known by revisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import update

from app.__main__ import main
from app.core.errors import InputError
from app.store.articles import Source
from app.store.db import Store, open_store
from app.store.models import Article, utc_now


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def values(id_: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "sha256": "s" * 64, "title": f"Title of {id_}", "text": "运费 €9.50",
        "language": "en", "visibility": "public", "url": "", "questions": ["问题?"], **more,
    }  # fmt: skip


def ids(store: Store) -> list[str]:
    return [doc["id"] for doc in store.articles.docs()]


def test_articles_come_back_as_the_search_takes_them(store: Store) -> None:
    store.articles.replace({"help/a.md": [values("a")]})
    assert store.articles.docs() == [
        {"id": "a", "title": "Title of a", "text": "运费 €9.50", "lang": "en",
         "visibility": "public", "url": "", "questions": ["问题?"]}
    ]  # fmt: skip


def test_a_source_is_replaced_as_a_whole(store: Store) -> None:
    store.articles.replace(
        {"f/x.csv": [values(f"x{n}") for n in range(1201)], "f/y": [values("y")]}
    )
    store.articles.replace({"f/x.csv": [values("x1"), values("x9999")]})
    assert ids(store) == ["x1", "x9999", "y"]
    store.articles.replace({}, ["f/x.csv", "f/none"])
    assert ids(store) == ["y"]


def test_sources_are_told_by_the_folder_they_are_of(store: Store) -> None:
    for source in ("a%b/x", "a%b/y", "axb/z", "A%B/u"):
        visibility = "agents" if source.endswith("y") else "public"
        store.articles.replace({source: [values(source, visibility=visibility)]})
    found = store.articles.sources("a%b/")
    assert {"a%b/x": Source("s" * 64, 1, 0), "a%b/y": Source("s" * 64, 1, 1)} == found


def test_data_articles_lists_what_was_ingested_by_file(
    store: Store,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store.articles.replace({"help/a.md": [values("a")], "help/b.csv": [values("b"), values("c")]})
    monkeypatch.setenv("DATABASE_URL", database)
    with pytest.raises(SystemExit):
        main(["data", "articles"])
    assert capsys.readouterr().out.split("\n") == [
        "    1  help/a.md", "    2  help/b.csv", "    3  ingested articles", "",
    ]  # fmt: skip


def test_articles_can_be_hidden_where_they_are(store: Store) -> None:
    store.articles.replace({"f/a": [values("a")], "f/b": [values("b")]})
    store.articles.replace({}, (), ["f/a"])
    assert [doc["visibility"] for doc in store.articles.docs()] == ["agents", "public"]


def test_a_revision_moves_with_every_change_even_if_the_clock_goes_back(store: Store) -> None:
    seen = [store.articles.revision()]
    store.articles.replace({"f/a": [values("a")]})
    with store.write() as session:  # written by a machine whose clock is ahead
        session.execute(update(Article).values(updated=utc_now().replace(year=2100)))
    seen.append(store.articles.revision())
    for change in ({"f/a": [values("a", title="New")]}, {"f/b": [values("b")]}, {"f/a": []}):
        store.articles.replace(change)
        seen.append(store.articles.revision())
    store.articles.replace({"f/b": []})
    assert store.articles.revision() == seen[0] == ""
    assert len(set(seen)) == len(seen)


def test_an_id_of_another_source_is_refused_and_nothing_changes(store: Store) -> None:
    store.articles.replace({"f/a": [values("a")]})
    with pytest.raises(InputError, match="nothing was changed"):
        store.articles.replace({"g/b": [values("b"), values("a")]}, ["f/none"])
    assert ids(store) == ["a"]


def test_an_unknown_visibility_cannot_be_stored(store: Store) -> None:
    with pytest.raises(InputError, match="nothing was changed"):
        store.articles.replace({"f/a": [values("a", visibility="secret")]})
