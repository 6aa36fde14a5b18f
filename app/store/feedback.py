"""Thumbs, corrections and the consent to train on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.store import branches
from app.store.models import Feedback, Message, utc_now
from app.store.rows import Sample

if TYPE_CHECKING:
    from app.store.db import Store

Trainable = Literal["support", "sentiment"]
_KINDS = {"support": "chat", "sentiment": "sentiment"}


class FeedbackBook:
    """One row for each owner and message."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(
        self,
        owner: str,
        message_id: str,
        rating: int,
        *,
        reason: str | None = None,
        correction: str | None = None,
        consent: bool = False,
    ) -> None:
        """Store feedback; a second one on the same message replaces the first, consent included.

        Whether the owner may rate that message is checked before (Conversations.rateable).
        """
        values = {
            "rating": rating, "reason": reason, "correction": correction, "consent": consent,
        }  # fmt: skip
        try:
            self._put(owner, message_id, values)
        except IntegrityError:  # another click's row came between our look and our commit
            self._put(owner, message_id, values)

    def _put(self, owner: str, message_id: str, values: dict[str, Any]) -> None:
        query = select(Feedback).where(Feedback.message_id == message_id, Feedback.owner == owner)
        with self._store.write() as session:
            row = session.scalar(query) or Feedback(message_id=message_id, owner=owner)
            for name, value in (values | {"created": utc_now()}).items():
                setattr(row, name, value)
            session.add(row)

    def consented(self, feature: Trainable) -> list[Sample]:
        """Feedback that may be trained on, oldest first. The text is as typed: redact it."""
        query = (
            select(Feedback, Message)
            .join(Message, Message.id == Feedback.message_id)
            .where(Feedback.consent, Message.kind == _KINDS[feature])
            .order_by(Feedback.created, Feedback.id)
        )
        with self._store.read() as session:
            return [
                _sample(session, feature, feedback, message)
                for feedback, message in session.execute(query)
            ]


def _sample(session: Session, feature: str, feedback: Feedback, message: Message) -> Sample:
    earlier = _before(session, message) if feature == "support" else []
    while earlier and earlier[-1].role != "user":  # "a person answers now" before their answer
        earlier.pop()
    question = earlier[-1].content if earlier else message.content
    return Sample(
        id=feedback.id,
        feature=feature,
        owner=feedback.owner,
        rating=feedback.rating,
        text=question,
        history=[{"role": m.role, "content": m.content} for m in earlier[:-1]],
        answer=message.predicted or message.content,
        correction=feedback.correction,
        citations=message.citations,
        release=message.release,
        created=feedback.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        synthetic=False,
    )


def _before(session: Session, answer: Message) -> list[Message]:
    query = (
        select(Message)
        .where(
            Message.conversation_id == answer.conversation_id, Message.position < answer.position
        )
        .order_by(Message.position)
    )
    messages = list(session.scalars(query))
    # Also where the answer was left behind itself: it was given to the turns that stood then.
    return [*branches.live(messages[:-1]), *messages[-1:]]
