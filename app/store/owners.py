"""All that is kept of one owner: given out, and deleted.

The shop's own records (customers, orders) are not the chat's: they have other owners and laws.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.core.files import sha256_text
from app.core.redact import redact
from app.store.models import Base, Conversation, Feedback, Message, Ticket

if TYPE_CHECKING:
    from app.store.db import Store

_CONVERSATION = ("id", "title", "language", "created", "updated", "handled_by", "memory")
_MESSAGE = ("id", "role", "author", "content", "citations", "intent", "finish", "release",
            "confidence", "created")  # fmt: skip
_SAMPLE = ("id", "content", "predicted", "confidence", "release", "created")
_FEEDBACK = ("message_id", "rating", "reason", "correction", "consent", "created")
_TICKET = ("id", "conversation_id", "status", "reason", "packet", "agent", "created", "updated")


class Erased(NamedTuple):
    """How many rows of an owner there were."""

    conversations: int
    messages: int
    """Those of conversations, and classified texts that were kept."""
    feedback: int
    tickets: int


class Owners:
    """Every call names the owner."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def export(self, owner: str, *, redacted: bool = False) -> dict[str, Any]:
        """{"owner", "conversations": [{..., "messages"}], "samples", "feedback", "tickets"}.

        As typed, for the owner; all lists are empty for one who is not known. redacted: for
        anybody else: every text without the personal data that app.core.redact finds, and a hash
        for the owner's id. Times are ISO 8601 in UTC; oldest first.
        """
        with self._store.read() as session:
            found: dict[str, Any] = {
                "owner": owner,
                "conversations": [
                    _fields(c, _CONVERSATION) | {"messages": _messages(session, c)}
                    for c in _rows(session, Conversation, owner)
                ],
                "samples": [
                    _fields(m, _SAMPLE)
                    for m in _rows(session, Message, owner)
                    if m.conversation_id is None
                ],
                "feedback": [_fields(f, _FEEDBACK) for f in _rows(session, Feedback, owner)],
                "tickets": [_fields(t, _TICKET) for t in _rows(session, Ticket, owner)],
            }
        if redacted:
            found["owner"] = sha256_text(owner)[:16]
            return {key: _redacted(value) for key, value in found.items()}
        return found

    def known(self, owner: str) -> None:
        """Raises NotFound where nothing is kept of `owner`."""
        with self._store.read() as session:
            if not any(_count(session, owner)):
                raise NotFound(
                    f"nothing is kept of the owner {owner[:80]!r}: expected one such as "
                    "visitor:..., which stands in the log and in a ticket"
                )

    def erase(self, owner: str) -> Erased:
        """Delete all of it for good, in one transaction; what there was. Zeros where none was."""
        with self._store.write() as session:
            counts = _count(session, owner)
            # Messages and tickets of a conversation go with it, feedback with its message. The
            # conversations first: a hand-off locks them first, too.
            for table in (Conversation, Ticket, Feedback, Message):
                session.execute(delete(table).where(table.owner == owner))
        return counts


def _count(session: Session, owner: str) -> Erased:
    in_own = Message.conversation_id.in_(select(Conversation.id).where(Conversation.owner == owner))
    counted = (
        (Conversation, Conversation.owner == owner),
        (Message, or_(Message.owner == owner, in_own)),
        (Feedback, Feedback.owner == owner),
        (Ticket, Ticket.owner == owner),
    )
    return Erased(
        *(session.scalar(select(func.count()).select_from(t).where(w)) or 0 for t, w in counted)
    )


def _rows(session: Session, table: Any, owner: str) -> Iterable[Any]:
    return session.scalars(
        select(table).where(table.owner == owner).order_by(table.created, table.id)
    )


def _messages(session: Session, conversation: Conversation) -> list[dict[str, Any]]:
    query = (
        select(Message).where(Message.conversation_id == conversation.id).order_by(Message.position)
    )
    return [_fields(message, _MESSAGE) for message in session.scalars(query)]


def _fields(row: Base, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in names}
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}


_VERBATIM = frozenset({"id", "message_id", "conversation_id", "created", "updated", "release"})


def _redacted(value: Any) -> Any:
    """`value` with every text in it redacted, keys of maps too (memory holds e-mails by order)."""
    if isinstance(value, str):
        return redact(value).text
    if isinstance(value, dict):
        return {
            redact(k).text: v if k in _VERBATIM and isinstance(v, str) else _redacted(v)
            for k, v in value.items()
        }
    return [_redacted(item) for item in value] if isinstance(value, list) else value
