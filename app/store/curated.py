"""Answers that agents wrote, and the questions that were declined, from which they come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from app.core.errors import NotFound
from app.store.models import Curated, Message, after_all, new_id, utc_now

if TYPE_CHECKING:
    from app.store.db import Store

LATEST = 2000
"""Declined questions that are looked at, the latest first."""


class Written(NamedTuple):
    """An answer that an agent wrote."""

    id: str
    question: str
    answer: str
    language: str
    author: str
    updated: datetime


class Declined(NamedTuple):
    """A question that nothing answered; as typed, redact it where it is shown in a list."""

    text: str
    asked: datetime


class CuratedBook:
    """Every call is committed when it returns; who may write is checked by the caller."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, question: str, answer: str, language: str, author: str) -> Written:
        """Keep an answer; it is live at the next turn of every process."""
        with self._store.write() as session:
            row = Curated(
                id=new_id(), question=question, answer=answer, language=language, author=author,
                updated=after_all(session, Curated.updated),
            )  # fmt: skip
            session.add(row)
            session.flush()
            return _written(row)

    def edit(self, id_: str, question: str, answer: str, language: str, author: str) -> Written:
        """Other words under the same id. Raises NotFound."""
        with self._store.write() as session:
            row = session.get(Curated, id_)
            if row is None:
                raise _gone()
            row.question, row.answer, row.language = question, answer, language
            row.author, row.updated = author, after_all(session, Curated.updated)
            return _written(row)

    def delete(self, id_: str) -> None:
        """No longer answered so. Raises NotFound."""
        with self._store.write() as session:
            row = session.get(Curated, id_)
            if row is None:
                raise _gone()
            session.delete(row)

    def all(self) -> list[Written]:
        """All, the latest first."""
        query = select(Curated).order_by(Curated.updated.desc(), Curated.id)
        with self._store.read() as session:
            return [_written(row) for row in session.scalars(query)]

    def revision(self) -> str:
        """Another text after each change, of any process: what was read under it is current."""
        query = select(func.count(), func.max(Curated.updated))
        with self._store.read() as session:
            count, latest = session.execute(query).one()
            return f"{count} {latest}"

    def declined(self, days: int) -> list[Declined]:
        """Questions of the last `days` days that were declined, the latest first."""
        question, answer = aliased(Message), aliased(Message)
        query = (
            select(question.content, question.created)
            .join(
                answer,
                (answer.conversation_id == question.conversation_id)
                & (answer.position == question.position + 1),
            )
            .where(
                question.role == "user", answer.role == "assistant", answer.finish == "declined",
                question.created >= utc_now() - timedelta(days=days),
            )
            .order_by(question.created.desc(), question.id)
            .limit(LATEST)
        )  # fmt: skip
        with self._store.read() as session:
            return [Declined(text, asked) for text, asked in session.execute(query)]


def _gone() -> NotFound:
    return NotFound(
        "this answer was deleted meanwhile: write it anew", zh="这条答复已被删除，请重新填写。"
    )


def _written(row: Curated) -> Written:
    return Written(row.id, row.question, row.answer, row.language, row.author, row.updated)
