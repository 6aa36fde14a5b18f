"""Tickets: conversations handed to a person, and which agent has them (an app.core.desk.Desk).

Agents see every owner's tickets: who calls here has checked the role. A ticket goes open -> taken
-> closed; handed back, it is open again and the bot answers meanwhile. So it is when its agent is
removed (`freed`), and with `force`, an admin's, nobody's absence keeps a ticket from others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from app.core.desk import Packet, Reason
from app.core.errors import AppError, NotFound
from app.core.memory import CLOSED
from app.store.models import Conversation, Ticket, new_id, utc_now

if TYPE_CHECKING:
    from app.store.db import Store

PRIORITY: Mapping[Reason, int] = {
    "failure": 3, "mood": 3, "complaint": 2, "asked": 2, "low_confidence": 1,
}  # fmt: skip
"""Higher comes first: whom the bot failed or angered, then who asked for a person."""
ANGRY = -0.5
"""A last mood below it raises the priority by one."""
_UNDER_WAY = ("open", "taken")


class Held(AppError):
    """Another agent has the ticket, or it is closed; the message says which."""

    code, status = "held", 409


class TicketView(NamedTuple):
    """A ticket as agents see it."""

    id: str
    conversation_id: str | None
    owner: str
    """Of the conversation."""
    status: str
    """open, taken or closed."""
    priority: int
    packet: Packet
    agent: str | None
    created: datetime
    updated: datetime


class Tickets:
    """One ticket under way a conversation; every call is committed when it returns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def hand_over(self, owner: str, conversation_id: str, packet: Packet) -> str:
        """See app.core.desk.Desk. Raises NotFound where the conversation is not the owner's."""
        with self._store.write() as session:
            # Locked where the database has row locks: two hand-offs at once make one ticket.
            talk = session.get(Conversation, conversation_id, with_for_update=True)
            if talk is None or talk.owner != owner:
                raise NotFound("no such conversation of yours to hand over")
            ticket = session.scalar(_under_way(conversation_id)) or Ticket(
                id=new_id(), conversation_id=conversation_id, owner=owner, status="open"
            )
            ticket.reason, ticket.packet = packet.reason, packet.model_dump()
            # Never less urgent than it was.
            ticket.priority = max(ticket.priority or 0, priority(packet))
            ticket.updated = utc_now()
            session.add(ticket)
            return ticket.id

    def queue(self, limit: int = 100) -> list[TicketView]:
        """Those under way: the highest priority first, of equals the one that waits longest."""
        query = (
            select(Ticket)
            .where(Ticket.status.in_(_UNDER_WAY))
            .order_by(Ticket.priority.desc(), Ticket.created, Ticket.id)
            .limit(limit)
        )
        with self._store.read() as session:
            return [_view(ticket) for ticket in session.scalars(query)]

    def get(self, ticket_id: str) -> TicketView:
        """One ticket. Raises NotFound."""
        with self._store.read() as session:
            return _view(_found(session, ticket_id))

    def of(self, conversation_id: str) -> TicketView | None:
        """The ticket under way of a conversation."""
        with self._store.read() as session:
            ticket = session.scalar(_under_way(conversation_id))
            return _view(ticket) if ticket else None

    def take(self, ticket_id: str, agent: str, *, force: bool = False) -> TicketView:
        """`agent` answers from now on, the bot is silent; again changes nothing.

        force: also where somebody else has it. Raises NotFound, or Held: somebody else has it (who
        is named), or it is closed.
        """
        with self._store.write() as session:
            ticket = _within_reach(session, ticket_id, agent, force)
            ticket.status, ticket.agent, ticket.updated = "taken", agent, utc_now()
            _handled(session, ticket, agent)
            return _view(ticket)

    def release(self, ticket_id: str, agent: str, *, force: bool = False) -> TicketView:
        """Back into the queue; the bot answers meanwhile. Raises as `take`, and for an open one."""
        with self._store.write() as session:
            ticket = _within_reach(session, ticket_id, agent, force)
            if ticket.status != "taken":
                raise _held(ticket)
            ticket.status, ticket.agent, ticket.updated = "open", None, utc_now()
            _handled(session, ticket, None)
            return _view(ticket)

    def close(self, ticket_id: str, agent: str, *, force: bool = False) -> TicketView:
        """Done; the bot answers what comes next. Raises as `take`; an open one may be closed."""
        with self._store.write() as session:
            ticket = _within_reach(session, ticket_id, agent, force)
            ticket.status, ticket.agent, ticket.updated = "closed", agent, utc_now()
            talk = _handled(session, ticket, None)
            if talk is not None and talk.memory:
                talk.memory = {**talk.memory, **CLOSED}
            return _view(ticket)

    def counts(self) -> dict[str, int]:
        """How many there are by status, all three named."""
        query = select(Ticket.status, func.count()).group_by(Ticket.status)
        with self._store.read() as session:
            found = session.execute(query).all()
        return {"open": 0, "taken": 0, "closed": 0} | dict(found)


def freed(session: Session, agent: str) -> None:
    """What `agent` has goes back into the queue, and the bot answers meanwhile."""
    now = utc_now()
    session.execute(
        update(Conversation).where(Conversation.handled_by == agent).values(handled_by=None)
    )
    session.execute(
        update(Ticket)
        .where(Ticket.agent == agent, Ticket.status == "taken")
        .values(status="open", agent=None, updated=now)
    )


def priority(packet: Packet) -> int:
    """How urgent: by its reason, one more where the customer is angry now."""
    angry = bool(packet.moods) and packet.moods[-1] < ANGRY
    return PRIORITY[packet.reason] + angry


def _under_way(conversation_id: str) -> Select[Ticket]:
    return select(Ticket).where(
        Ticket.conversation_id == conversation_id, Ticket.status.in_(_UNDER_WAY)
    )


def _found(session: Session, ticket_id: str, *, lock: bool = False) -> Ticket:
    ticket = session.get(Ticket, ticket_id, with_for_update=lock or None)
    if ticket is None:
        raise NotFound(
            "there is no such ticket any more: its conversation was deleted",
            zh="这张工单已经不存在，对话已被删除。",
        )
    return ticket


def _within_reach(session: Session, ticket_id: str, agent: str, force: bool) -> Ticket:
    # The conversation is locked first, as by a hand-off: in another order two could wait for each
    # other, and what a turn wrote of it meanwhile would be overwritten.
    talk = session.scalar(select(Ticket.conversation_id).where(Ticket.id == ticket_id))
    if talk is not None:
        session.get(Conversation, talk, with_for_update=True)
    ticket = _found(session, ticket_id, lock=True)
    if ticket.status == "closed" or (ticket.agent not in (None, agent) and not force):
        raise _held(ticket)
    return ticket


def _held(ticket: Ticket) -> Held:
    if ticket.status == "closed":
        return Held("this ticket is closed", zh="这张工单已经关闭。")
    if ticket.agent is None:
        return Held("take this ticket over first", zh="请先接手这张工单。")
    return Held(f"{ticket.agent} has this ticket", zh=f"{ticket.agent} 正在处理这张工单。")


def _handled(session: Session, ticket: Ticket, agent: str | None) -> Conversation | None:
    talk: Any = session.get(Conversation, ticket.conversation_id)
    if talk is not None:
        talk.handled_by = agent
    return talk  # type: ignore[no-any-return]


def _view(ticket: Ticket) -> TicketView:
    return TicketView(
        ticket.id, ticket.conversation_id, ticket.owner, ticket.status, ticket.priority,
        Packet.model_validate(ticket.packet), ticket.agent, ticket.created, ticket.updated,
    )  # fmt: skip
