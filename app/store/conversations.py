"""Conversations and their messages, each reachable by its owner alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from app.core.errors import NotFound
from app.core.memory import CLOSED, Memory
from app.store import branches
from app.store.models import Conversation, Feedback, Message, Ticket, new_id, utc_now
from app.store.rows import Rateable, State, Summary, Turn

if TYPE_CHECKING:
    from app.store.db import Store

TITLE_CHARS = 60


class Conversations:
    """Every call names the owner; what belongs to somebody else is not found."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, owner: str, language: str) -> str:
        """Begin a conversation; returns its id."""
        with self._store.write() as session:
            conversation = Conversation(id=new_id(), owner=owner, language=language)
            session.add(conversation)
            return conversation.id

    def get(self, owner: str, conversation_id: str) -> Summary:
        """One conversation. Raises NotFound where there is none of this owner."""
        with self._store.read() as session:
            found = _own(session, owner, conversation_id)
            title = found.title or _title(session, found.id)
            return Summary(found.id, title, found.language, found.updated)

    def append(
        self,
        owner: str,
        conversation_id: str,
        role: str,
        content: str,
        *,
        message_id: str | None = None,
        citations: Sequence[dict[str, Any]] = (),
        release: str | None = None,
        prompt_version: str | None = None,
        finish: str | None = None,
        confidence: float | None = None,
        replaces: str | None = None,
        author: str | None = None,
        intent: str | None = None,
        memory: Memory | None = None,
    ) -> str:
        """Add a message at the end, committed when this returns; gives its id back.

        replaces: id of the last question, which this one takes the place of (app.store.branches).
        author: name of the agent who wrote it. intent: what an answer's turn was taken for.
        memory: what the conversation knows from now on, in the same transaction; None: as before.
        A ticket in it that was closed meanwhile is forgotten.
        Raises NotFound where the conversation is not the owner's.
        """
        with self._store.write() as session:
            # Locked where the database has row locks: two that append at once take turns.
            _own(session, owner, conversation_id, lock=True)
            if replaces is not None:
                branches.replace(session, conversation_id, replaces)
            message = Message(
                id=message_id or new_id(), kind="chat", owner=owner,
                conversation_id=conversation_id, position=_next(session, conversation_id),
                role=role, content=content, citations=list(citations), release=release,
                prompt_version=prompt_version, finish=finish, confidence=confidence, author=author,
                intent=intent,
            )  # fmt: skip
            session.add(message)
            known = {} if memory is None else {"memory": _current(session, memory)}
            session.execute(
                update(Conversation)
                .where(Conversation.id == conversation_id)
                .values(updated=utc_now(), **known)
            )
            return message.id

    def history(self, owner: str, conversation_id: str, *, replaced: bool = False) -> list[Turn]:
        """All turns in order, with the owner's thumbs. Raises NotFound.

        replaced: with the questions that were asked anew, and their answers.
        """
        query = (
            select(Message, Feedback.rating)
            .outerjoin(Feedback, (Feedback.message_id == Message.id) & (Feedback.owner == owner))
            .where(Message.conversation_id == conversation_id)
            .order_by(Message.position)
        )
        with self._store.read() as session:
            _own(session, owner, conversation_id)
            turns = [_turn(message, rating) for message, rating in session.execute(query)]
        return turns if replaced else branches.live(turns)

    def state(self, owner: str, conversation_id: str) -> State:
        """What the conversation knows and who handles it. Raises NotFound.

        Memory that this version cannot read (it was downgraded, say) counts as none.
        """
        with self._store.read() as session:
            found = _own(session, owner, conversation_id)
        try:
            memory = Memory.model_validate(found.memory or {})
        except ValidationError:
            memory = Memory()
        return State(memory, found.handled_by, found.language)

    def rename(self, owner: str, conversation_id: str, title: str) -> None:
        """Give it a title of its own; an empty one goes back to its first question.

        White space is joined, and what is over TITLE_CHARS cut. Raises NotFound.
        """
        with self._store.write() as session:
            _own(session, owner, conversation_id).title = _short(title) or None

    def delete(self, owner: str, conversation_id: str) -> None:
        """Delete it for good, with its messages, feedback and tickets. Raises NotFound."""
        with self._store.write() as session:
            session.delete(_own(session, owner, conversation_id))

    def keep_sample(
        self,
        owner: str,
        text: str,
        label: str,
        score: float,
        release: str,
        prompt_version: str | None,
    ) -> str:
        """Keep a classified text, so that feedback can be given on it; returns its id."""
        with self._store.write() as session:
            message = Message(
                id=new_id(), kind="sentiment", owner=owner, role="user", content=text,
                predicted=label, confidence=score, release=release, prompt_version=prompt_version,
            )  # fmt: skip
            session.add(message)
            return message.id

    def rateable(self, owner: str, message_id: str) -> Rateable:
        """An answer or a kept prediction of this owner. Raises NotFound."""
        query = select(Message).where(
            Message.id == message_id,
            Message.owner == owner,
            (Message.kind == "sentiment") | (Message.role == "assistant"),
        )
        with self._store.read() as session:
            message = session.scalar(query)
        if message is None:
            raise NotFound(
                "no such answer of yours: feedback goes to the message_id that came with it",
                zh="没有找到这条回答，请对自己收到的回答评价。",
            )
        return Rateable(message.id, message.kind, message.predicted)

    def list(self, owner: str, limit: int = 50) -> list[Summary]:
        """The owner's conversations that hold a question, the latest first."""
        first = _first(Conversation.id)
        query = (
            select(Conversation, first.scalar_subquery().label("first"))
            .where(Conversation.owner == owner)
            .order_by(Conversation.updated.desc(), Conversation.id)
            .limit(limit)
        )
        with self._store.read() as session:
            return [
                Summary(c.id, c.title or _short(first), c.language, c.updated)
                for c, first in session.execute(query)
                if first is not None
            ]


def _own(session: Session, owner: str, conversation_id: str, *, lock: bool = False) -> Conversation:
    found = session.get(Conversation, conversation_id, with_for_update=lock or None)
    if found is None or found.owner != owner:
        raise NotFound(
            "no such conversation of yours: leave conversation_id out to begin one",
            zh="没有找到这个对话，请开始新的对话。",
        )
    return found


def _current(session: Session, memory: Memory) -> dict[str, Any]:
    """`memory` as it is stored: an agent may have closed its ticket while the bot was speaking."""
    ticket = session.get(Ticket, memory.ticket) if memory.ticket else None
    known = memory.model_dump(mode="json")
    return known | CLOSED if ticket is not None and ticket.status == "closed" else known


def _next(session: Session, conversation_id: str) -> int:
    last = session.scalar(
        select(func.max(Message.position)).where(Message.conversation_id == conversation_id)
    )
    return 0 if last is None else last + 1


def _title(session: Session, conversation_id: str) -> str:
    return _short(session.scalar(_first(conversation_id)) or "")


def _first(conversation_id: Any) -> Select[str]:
    """The first question of a conversation, as it was asked last."""
    return (
        select(Message.content)
        .where(
            Message.conversation_id == conversation_id, Message.role == "user",
            func.coalesce(Message.finish, "") != branches.REPLACED,
        )
        .order_by(Message.position)
        .limit(1)
    )  # fmt: skip


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"


def _turn(message: Message, rating: int | None) -> Turn:
    return Turn(
        message.id, message.role, message.content, message.citations, message.release,
        message.finish, message.confidence, rating, message.created, message.author, message.intent,
    )  # fmt: skip
