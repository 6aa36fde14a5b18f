"""The memory index keeps the contract, and so does one in a database; a change costs the change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.messages import Passage
from app.knowledge.clues import Clues
from app.knowledge.passages import SEES, Audience, Doc, MemoryIndex, PassageIndex, fingerprint
from app.knowledge.retrieve import Knowledge
from app.knowledge.shelf import Scores
from app.knowledge.split import Section, split
from app.knowledge.terms import terms
from app.knowledge.words import Rows
from app.models.encoder import Array, HashEncoder
from tests.helpers_index import DOCS, PassageIndexContract


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


class TestMemory(PassageIndexContract):
    def make(self) -> PassageIndex:
        return MemoryIndex(HashEncoder())


# A database behind the seam -------------------------------------------------------------------


class Found:
    """The best passages that the database gave back."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.passages = [Passage.model_validate_json(row[0]) for row in rows]
        self.rows = {passage.id: n for n, passage in enumerate(self.passages)}
        self.articles = np.array([passage.article for passage in self.passages])
        self._words = [set(json.loads(row[1])) for row in rows]
        self._vectors = np.array([np.frombuffer(row[2], np.float32) for row in rows])

    def scores(self, question: str, title_weight: float) -> Scores:
        """Cosine, and the share of the question's words."""
        del title_weight
        asked = set(terms(question))
        words = [len(asked & own) / max(1, len(asked)) for own in self._words]
        dense = self._vectors @ HashEncoder().encode([question])[0] if self.passages else []
        return Scores(np.array(words, np.float32), np.asarray(dense, np.float32))

    def heard(self, question: str) -> None:
        """It keeps no ways to ask."""

    def known(self, question: str, articles: Iterable[str]) -> float:
        """By the passages that were given back."""
        own = [w for w, a in zip(self._words, self.articles, strict=True) if a in set(articles)]
        asked = set(terms(question))
        return len(asked & set().union(*own)) / len(asked) if asked else 1.0

    def clues(self, question: str, rows: Rows) -> Array:
        """Over the few that were given back."""
        encoder = HashEncoder()
        made = Clues([Section(passage) for passage in self.passages], encoder)
        return made(question, encoder.encode([question])[0], rows)


class SqliteIndex:
    """A file for each version; the database filters and picks 50 candidates by cosine."""

    def __init__(self, folder: Path, version: int = 0) -> None:
        self._folder, self._version = folder, version
        if not version:
            with closing(self._open()) as db, db:
                db.execute("create table articles (id primary key, fingerprint)")
                db.execute(
                    "create table passages (article, visibility, lang, passage, words, vector)"
                )

    def changed(self, put: Iterable[Doc] = (), remove: Collection[str] = ()) -> SqliteIndex:
        number = len(list(self._folder.iterdir()))
        after = SqliteIndex(self._folder, number)
        with closing(self._open()) as old, closing(after._open()) as db, db:
            old.backup(db)
            for id_ in remove:
                self._take_out(db, id_)
            for doc in put:
                self._take_out(db, str(doc["id"]))
                db.execute("insert into articles values (?, ?)", (doc["id"], fingerprint(doc)))
                db.executemany("insert into passages values (?, ?, ?, ?, ?, ?)", self._rows(doc))
        return after

    def held(self) -> Mapping[str, str]:
        with closing(self._open()) as db:
            return dict(db.execute("select id, fingerprint from articles").fetchall())

    def candidates(
        self, texts: Sequence[str], language: str, audience: Audience = "public"
    ) -> Found:
        asked = HashEncoder().encode(list(texts)).max(axis=0)
        with closing(self._open()) as db:
            db.create_function("cosine", 1, lambda v: float(np.frombuffer(v, np.float32) @ asked))
            marks = ",".join("?" * len(SEES[audience]))
            found = db.execute(
                f"select passage, words, vector, lang = ? as own from passages where visibility "
                f"in ({marks}) order by own desc, cosine(vector) desc limit 50",
                (language, *SEES[audience]),
            ).fetchall()
        own = [row for row in found if row[3]]
        return Found(own or found)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._folder / f"{self._version}.db")

    @staticmethod
    def _take_out(db: sqlite3.Connection, id_: str) -> None:
        db.execute("delete from articles where id = ?", (id_,))
        db.execute("delete from passages where article = ?", (id_,))

    @staticmethod
    def _rows(doc: Doc) -> list[tuple[Any, ...]]:
        return [
            (doc["id"], doc.get("visibility") or "public", section.passage.lang,
             section.passage.model_dump_json(), json.dumps(terms(section.searched)),
             HashEncoder().encode([section.searched])[0].tobytes())
            for section in split(doc)
        ]  # fmt: skip


class TestDatabase(PassageIndexContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self._folder = tmp_path / "index"
        self._folder.mkdir()

    def make(self) -> PassageIndex:
        folder = self._folder / str(len(list(self._folder.iterdir())))
        folder.mkdir()
        return SqliteIndex(folder)


# What a change costs --------------------------------------------------------------------------


class Counting(HashEncoder):
    """Knows the texts that it encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> Array:
        self.seen += texts
        return super().encode(texts)


def test_a_change_embeds_the_changed_article_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path))
    encoder = Counting()
    index = MemoryIndex(encoder).changed(DOCS)
    encoder.seen.clear()
    index.changed([{"id": "kettle", "title": "Heron kettle", "text": "A brand new sentence."}])
    new = [text for text in encoder.seen if not text.startswith("How warm")]  # the cache's probe
    assert new == ["Heron kettle. A brand new sentence."]


def test_the_shelf_of_a_language_in_which_nothing_changed_is_kept() -> None:
    index = MemoryIndex(HashEncoder()).changed(DOCS)
    after = index.changed([{"id": "new", "text": "Something new."}])
    assert after.candidates([], "zh") is index.candidates([], "zh")
    assert after.candidates([], "en") is not index.candidates([], "en")


def test_agents_share_the_shelves_in_which_they_have_nothing_of_their_own() -> None:
    index = MemoryIndex(HashEncoder()).changed(DOCS)
    assert index.candidates([], "zh", "agents") is index.candidates([], "zh")


pieces = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from("abcd"),
            "text": st.lists(st.sampled_from(["tea", "kettle", "运费", "cup"]), min_size=1).map(
                " ".join
            ),
            "visibility": st.sampled_from(["public", "agents", "odd"]),
        }
    ),
    max_size=5,
    unique_by=lambda doc: doc["id"],
)


@settings(deadline=None)
@given(first=pieces, second=pieces, question=st.sampled_from(["tea cup", "运费", "kettle"]))
def test_however_the_articles_came_to_be_the_search_is_the_same(
    first: list[dict[str, Any]], second: list[dict[str, Any]], question: str
) -> None:
    base = {"id": "base", "text": "tea 运费"}
    for audience in SEES:
        followed = Knowledge.build([base, *first], HashEncoder()).over([*second, base])
        fresh = Knowledge.build([*second, base], HashEncoder())
        found, expected = (
            {p.id: (p.text, round(p.score, 5)) for p in k.search(question, k=50, audience=audience)}
            for k in (followed, fresh)
        )
        assert found == expected
