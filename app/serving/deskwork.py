"""What agents do at the desk, each call for agents and admins alone, and how hand-offs get there.

`hand_over` is app.core.desk.Desk for flows and turns: it returns when the ticket is committed and
read back, or raises NotDelivered; both are counted. Nothing may promise a person before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from app.core.desk import Packet, Said
from app.core.errors import AppError, NotFound
from app.core.language import detect
from app.serving.accounts import Account, NotAllowed
from app.serving.metrics import Metrics
from app.serving.typed import typed
from app.store.curated import Written
from app.store.db import Store
from app.store.rows import Turn
from app.store.tickets import Held, TicketView
from app.store.users import ROLES
from app.support.flows import return_item

if TYPE_CHECKING:
    from app.models.encoder import TextEncoder
    from app.recommend.shop import Shop
    from app.support.chat import SupportChat
    from app.support.declined import Group
    from app.support.replacements import Replacement

log = structlog.get_logger(__name__)
MAX_CHARS = 4000
"""Of an agent's message or answer."""


class NotDelivered(AppError):
    """The desk could not be reached: no person may be promised."""

    code, status = "not_delivered", 503
    zh_default = "暂时联系不上人工同事，请稍后再试。"


class Opened(NamedTuple):
    """A ticket with the conversation as it stands now."""

    ticket: TicketView
    turns: list[Turn]
    replacements: list[Replacement]


class Deskwork:
    """Made by app.services. `account` is who asks, as app.serving.accounts proved it."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        shop: Callable[[], Shop],
        support: Callable[[], SupportChat],
    ) -> None:
        self._store, self._metrics = store, metrics
        self._shop, self._support = shop, support

    # Delivery -----------------------------------------------------------------------------------

    def hand_over(self, owner: str, conversation_id: str, packet: Packet) -> str:
        """Deliver a hand-off; see app.core.desk.Desk. Raises NotDelivered."""
        try:
            known = self._store.tickets.of(conversation_id)
            ticket = self._store.tickets.hand_over(owner, conversation_id, packet)
            if self._store.tickets.get(ticket).status == "closed":
                raise NotFound("the ticket was closed while it was delivered")
        except Exception as error:
            self._metrics.handoffs_failed.labels(packet.reason).inc()
            raise NotDelivered("no person could be reached just now: please try again") from error
        if known is None:
            self._metrics.handoffs.labels(packet.reason).inc()
            log.info("handoff", conversation=conversation_id, ticket=ticket, reason=packet.reason)
        return ticket

    # Tickets ------------------------------------------------------------------------------------

    def queue(self, account: Account) -> list[TicketView]:
        """Tickets under way, the most urgent first."""
        _agent(account)
        return self._store.tickets.queue()

    def open(self, account: Account, ticket_id: str, language: str = "en") -> Opened:
        """A ticket, all that was said until now, and what to offer for a product that comes back.

        Raises NotFound where its conversation was deleted.
        """
        _agent(account)
        ticket = self._store.tickets.get(ticket_id)
        turns = self._store.conversations.history(ticket.owner, str(ticket.conversation_id))
        return Opened(ticket, turns, self._replacements(ticket.packet, language))

    def take(self, account: Account, ticket_id: str) -> TicketView:
        """The agent answers from now on. Raises Held, naming who has it, or NotFound.

        An admin may take, release and close what another agent has.
        """
        return self._store.tickets.take(ticket_id, _agent(account), force=_admin(account))

    def release(self, account: Account, ticket_id: str) -> TicketView:
        """The bot answers again, the ticket goes back into the queue. Raises Held, NotFound."""
        return self._store.tickets.release(ticket_id, _agent(account), force=_admin(account))

    def close(self, account: Account, ticket_id: str) -> TicketView:
        """Done. Raises Held, NotFound."""
        return self._store.tickets.close(ticket_id, _agent(account), force=_admin(account))

    def say(self, account: Account, ticket_id: str, text: str) -> str:
        """An agent's message in the customer's conversation; returns its id.

        Raises InputError or TooLarge for the text, Held unless the agent has the ticket, NotFound.
        """
        name, said = _agent(account), typed(text, MAX_CHARS)
        ticket = self._store.tickets.get(ticket_id)
        if ticket.status != "taken" or ticket.agent != name:
            who = ticket.agent if ticket.status == "taken" else None
            raise Held(
                f"{who} has this ticket" if who else "take this ticket over first",
                zh=f"{who} 正在处理这张工单。" if who else "请先接手这张工单。",
            )
        return self._store.conversations.append(
            ticket.owner, str(ticket.conversation_id), "assistant", said,
            finish="stop", author=name,
        )  # fmt: skip

    # Answers ------------------------------------------------------------------------------------

    def declined(self, account: Account, days: int) -> list[Group]:
        """Questions of the last days that nothing answers yet, by frequency; redacted."""
        from app.support.curated import Curated
        from app.support.declined import grouped

        _agent(account)
        encoder = self._encoder()
        written = Curated(self._store.curated, encoder)
        found = self._store.curated.declined(days)
        return grouped(found, encoder, lambda text: written.find(text) is not None)

    def answers(self, account: Account) -> list[Written]:
        """What agents wrote, the latest first."""
        _agent(account)
        return self._store.curated.all()

    def write(
        self, account: Account, question: str, answer: str, id_: str | None = None
    ) -> Written:
        """Keep an answer, live from the next turn on; with `id_`, in place of that one.

        The language is that of the question. Raises InputError, TooLarge, NotFound.
        """
        name, asked, said = _agent(account), typed(question, MAX_CHARS), typed(answer, MAX_CHARS)
        book, language = self._store.curated, detect(asked)
        if id_:
            return book.edit(id_, asked, said, language, name)
        return book.add(asked, said, language, name)

    def delete(self, account: Account, id_: str) -> None:
        """Answer no longer so. Raises NotFound."""
        _agent(account)
        self._store.curated.delete(id_)

    # Parts --------------------------------------------------------------------------------------

    def _encoder(self) -> TextEncoder | None:
        """The chat's; without one, questions are compared by their letters."""
        try:
            return self._support().encoder
        except AppError:
            return None

    def _replacements(self, packet: Packet, language: str) -> list[Replacement]:
        from app.support.replacements import propose

        product = packet.slots.get("item")
        if packet.intent != return_item.FLOW.name or not product:
            return []
        try:
            return propose(self._shop(), product, language)
        except AppError:  # still loading, or failed: the ticket is worth more than its extras
            return []


def transcript(turns: Sequence[Turn]) -> list[Said]:
    """Stored turns as a packet has them."""
    return [Said(role="agent" if t.author else t.role, content=t.content) for t in turns]


def _agent(account: Account) -> str:
    """The name of an agent or admin. Raises NotAllowed."""
    if account.name is None or ROLES.index(account.role) < ROLES.index("agent"):
        raise NotAllowed("this is for the role agent: log in with such an account first")
    return account.name


def _admin(account: Account) -> bool:
    return account.role == "admin"
