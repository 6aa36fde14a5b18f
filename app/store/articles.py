"""Help articles that were ingested, replaced file by file in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import case, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from app.core.errors import InputError
from app.store.models import Article, after_all

if TYPE_CHECKING:
    from app.store.db import Store

_BATCH = 500
"""Values in one statement; SQLite takes some thousands at most."""


class Source(NamedTuple):
    """A file as it was last ingested."""

    sha256: str
    articles: int
    agents_only: int
    """Of the articles, those that customers do not see."""


class Articles:
    """Articles by their source, the path of the file that they come from."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def revision(self) -> str:
        """Another text whenever the articles are others; "" where there are none."""
        with self._store.read() as session:
            count, latest = session.execute(
                select(func.count(Article.id), func.max(Article.updated))
            ).one()
        return f"{count}@{latest.isoformat()}" if count else ""

    def docs(self) -> list[dict[str, Any]]:
        """All articles as app.knowledge takes them, in the order of their ids."""
        with self._store.read() as session:
            rows = session.scalars(select(Article).order_by(Article.id)).all()
        return [
            {"id": row.id, "title": row.title, "text": row.text, "lang": row.language,
             "visibility": row.visibility, "url": row.url, "questions": row.questions}
            for row in rows
        ]  # fmt: skip

    def sources(self, prefix: str) -> dict[str, Source]:
        """The files below `prefix`, by their path."""
        query = (
            select(
                Article.source,
                func.max(Article.sha256),
                func.count(Article.id),
                func.sum(case((Article.visibility == "agents", 1), else_=0)),
            )
            # Not LIKE, to which SQLite's A and a are one.
            .where(func.substr(Article.source, 1, len(prefix)) == prefix)
            .group_by(Article.source)
        )
        with self._store.read() as session:
            return {source: Source(*found) for source, *found in session.execute(query)}

    def replace(
        self,
        changed: Mapping[str, Sequence[Mapping[str, Any]]],
        removed: Collection[str] = (),
        hidden: Collection[str] = (),
    ) -> None:
        """Take the articles of `changed` and `removed` sources out, put those of `changed` in.

        changed: source -> values {id, sha256, title, text, language, visibility, url, questions}.
        hidden: sources whose articles stay, for agents alone; without a hash from now on, so that
        their file is read again. All of it or nothing, in one transaction. Raises InputError where
        another ingest writes the same articles meanwhile.
        """
        try:
            with self._store.write() as session:
                now = after_all(session, Article.updated)
                for batch in _batches([*changed, *removed]):
                    session.execute(delete(Article).where(Article.source.in_(batch)))
                for source in hidden:
                    for row in session.scalars(select(Article).where(Article.source == source)):
                        row.visibility, row.sha256, row.updated = "agents", "", now
                rows = [
                    {**values, "source": source, "updated": now}
                    for source, articles in changed.items()
                    for values in articles
                ]
                for batch in _batches(rows):
                    session.execute(insert(Article), batch)
        except IntegrityError as error:
            raise InputError(
                "another ingest wrote the same articles meanwhile: nothing was changed, try again"
            ) from error


def _batches(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[at : at + _BATCH] for at in range(0, len(values), _BATCH)]
