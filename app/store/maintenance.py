"""What is deleted by age, and how large the database is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete

from app.store.models import Conversation, Message, utc_now

if TYPE_CHECKING:
    from app.store.db import Store


class Swept(NamedTuple):
    """How many were deleted."""

    conversations: int
    samples: int


class Maintenance:
    """Work that no owner asks for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def retention(self, days: int) -> Swept:
        """Delete conversations without a turn for `days` days, and kept texts older than that.

        Their messages and feedback go with them (foreign keys cascade).
        """
        cutoff = utc_now() - timedelta(days=days)
        with self._store.write() as session:
            # In the order of every other deletion: none waits for one that waits for it.
            conversations = session.execute(
                delete(Conversation).where(Conversation.updated < cutoff)
            )
            samples = session.execute(
                delete(Message).where(Message.conversation_id.is_(None), Message.created < cutoff)
            )
        return Swept(conversations.rowcount, samples.rowcount)  # type: ignore[attr-defined]
