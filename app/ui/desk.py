"""The Desk tab, for agents and admins: who waits, what was said, taking over and answering.

Hidden from others, which guards nothing: every handler asks for the role itself, and so does every
call of app.serving.deskwork. Which ticket is open is kept on the server.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.core.errors import AppError
from app.services import Services
from app.serving.accounts import Account, NotAllowed
from app.store.models import utc_now
from app.store.tickets import TicketView
from app.store.users import Role
from app.ui import desk_tickets
from app.ui.desk_answers import AnswersPanel
from app.ui.i18n import text
from app.ui.page import PRIVATE, Labels, Toasted, Updates, note

ROLE: Role = "agent"
LOOK_S = 3.0
"""Seconds between two looks at the queue."""
_PICK = "(_, language) => [window.frontdeskDesk.picked, language]"
_FOCUS = {"fn": None, "js": "() => window.frontdeskDesk.focusReply()"}


class DeskTab:
    """Components and handlers of the tab; made inside a gr.Tab that is hidden."""

    def __init__(self, services: Services, labels: Labels, language: gr.State, tab: gr.Tab) -> None:
        self._services, self._desk = services, services.desk
        self.tab = tab
        self.ticket = gr.State(None)
        self.seen = gr.State(None)
        self.timer = gr.Timer(LOOK_S, active=False)
        self._picked = gr.JSON(visible=False)
        self._pick = gr.Button(visible="hidden", elem_id="desk-pick")
        with gr.Tabs(elem_id="desk"):
            with labels.make(gr.Tab, {"label": "desk.tickets"}, id="tickets"):
                self._make_tickets(labels)
            with labels.make(gr.Tab, {"label": "desk.answers"}, id="answers") as answers:
                self.answers = AnswersPanel(services, labels, language, answers)
        self._listen(language)

    def _make_tickets(self, labels: Labels) -> None:
        labels.make(gr.HTML, {"value": desk_tickets.intro})
        with gr.Row(elem_id="desk-room", equal_height=False):
            with gr.Column(scale=2, min_width=300, elem_id="desk-side"):
                self.queue = gr.HTML("", elem_id="desk-queue")
            with gr.Column(scale=3, min_width=320, elem_id="desk-main"):
                self.detail = gr.HTML("", elem_id="desk-detail")
                with gr.Row(elem_id="desk-acts", elem_classes="actions"):
                    self.take = labels.make(
                        gr.Button, {"value": "desk.take"}, variant="primary", visible=False,
                        elem_id="desk-take",
                    )  # fmt: skip
                    self.release = labels.make(
                        gr.Button, {"value": "desk.release"}, visible=False, elem_id="desk-release"
                    )
                    self.close = labels.make(
                        gr.Button, {"value": "desk.close"}, visible=False, elem_id="desk-close"
                    )
                self.talk = gr.HTML("", elem_id="desk-said")
                self._make_reply(labels)

    def _make_reply(self, labels: Labels) -> None:
        with gr.Row(elem_id="desk-answering", equal_height=True, visible=False) as self.answering:
            self.box = labels.make(
                gr.Textbox, {"label": "desk.reply", "placeholder": "desk.reply_placeholder"},
                lines=1, max_lines=8, show_label=False, container=False, elem_id="desk-reply",
                scale=6,
            )  # fmt: skip
            self.send = labels.make(
                gr.Button, {"value": "desk.send"}, variant="primary", elem_id="desk-send",
                min_width=96,
            )  # fmt: skip

    def _listen(self, language: gr.State) -> None:
        self._shown: list[Any] = [
            self.ticket, self.seen, self.queue, self.detail, self.talk, self.take, self.release,
            self.close, self.answering, self.tab, self.timer,
        ]  # fmt: skip
        here = [self.ticket, language]
        self.tab.select(self.open, here, self._shown, **PRIVATE)
        self._pick.click(self.pick, [self._picked, language], self._shown, js=_PICK, **PRIVATE)
        self.take.click(self.take_over, here, self._shown, **PRIVATE).then(**_FOCUS, **PRIVATE)
        self.release.click(self.hand_back, here, self._shown, **PRIVATE)
        self.close.click(self.finish, here, self._shown, **PRIVATE)
        said = [*self._shown, self.box]
        for event in (self.box.submit, self.send.click):
            event(self.say, [self.box, *here], said, **PRIVATE).then(**_FOCUS, **PRIVATE)
        self.timer.tick(
            self.look, [self.ticket, self.seen, language], self._shown, queue=False, **PRIVATE
        )

    def follow(self, event: Any, language: gr.State) -> None:
        """After `event`, a change of the language, what is shown follows it."""
        event.then(self.again, [self.ticket, language], self._shown, **PRIVATE)
        self.answers.follow(event, language)

    # Handlers -----------------------------------------------------------------------------------

    def open(self, shown: str | None, language: str, request: gr.Request) -> Updates:
        """The queue, and the ticket that was open."""
        with Toasted(language):
            return self._all(self._account(request), shown, language)
        return {}

    def again(self, shown: str | None, language: str, request: gr.Request) -> Updates:
        """`open` in another language, for those who see the tab; else nothing."""
        try:
            self._account(request)
        except NotAllowed:
            return {}
        return self.open(shown, language, request)

    def look(self, shown: str | None, seen: Any, language: str, request: gr.Request) -> Updates:
        """What changed since the last look; who may no longer look is not asked again."""
        try:
            account = self._account(request)
            if self._mark(account, shown) == seen:
                return {self.seen: gr.skip()}
            return self._all(account, shown, language)
        except NotAllowed:
            return {self.tab: gr.update(visible=False), self.timer: gr.Timer(active=False)}
        except AppError:  # the ticket that was open is gone
            return self._all(account, None, language)

    def pick(self, picked: Any, language: str, request: gr.Request) -> Updates:
        """Open the ticket that was picked in the queue."""
        with Toasted(language):
            return self._all(self._account(request), str(picked), language)
        return {}

    def take_over(self, shown: str | None, language: str, request: gr.Request) -> Updates:
        """Answer this customer from now on; who has it already is told."""
        return self._done(self._desk.take, shown, language, request)

    def hand_back(self, shown: str | None, language: str, request: gr.Request) -> Updates:
        """Let the bot answer again, and others take it."""
        return self._done(self._desk.release, shown, language, request, "desk.was_released")

    def finish(self, shown: str | None, language: str, request: gr.Request) -> Updates:
        """Close the ticket."""
        return self._done(self._desk.close, shown, language, request, "desk.was_closed")

    def say(self, said: Any, shown: str | None, language: str, request: gr.Request) -> Updates:
        """Send an answer; what cannot be sent stays in the box."""
        with Toasted(language):
            account = self._account(request)
            self._desk.say(account, str(shown), str(said or ""))
            return self._all(account, shown, language) | {self.box: ""}
        return {}

    def localised(self, account: Account) -> Updates:
        """Whether this visitor sees the tab at all; for who does, it follows the queue."""
        may = account.role in ("agent", "admin")
        return {self.tab: gr.update(visible=may), self.timer: gr.Timer(LOOK_S, active=may)}

    # Parts --------------------------------------------------------------------------------------

    def _account(self, request: gr.Request) -> Account:
        return self._services.accounts.require(ROLE, request.cookies)

    def _done(
        self, act: Any, shown: str | None, language: str, request: gr.Request, told: str = ""
    ) -> Updates:
        with Toasted(language):
            account = self._account(request)
            act(account, str(shown))
            if told:
                note(language, told)
            return self._all(account, shown, language)
        return {}

    def _all(self, account: Account, shown: str | None, language: str) -> Updates:
        tickets = self._desk.queue(account)
        me, now = str(account.name), utc_now()
        updates: Updates = {
            self.ticket: shown,
            self.queue: desk_tickets.queue(tickets, shown, me, now, language),
            self.tab: gr.update(label=_label(tickets, language)),
        }
        if shown is None:
            updates |= self._nothing(language)
        else:
            opened = self._desk.open(account, shown, language)
            updates |= {
                self.detail: desk_tickets.detail(opened, me, now, language),
                self.talk: desk_tickets.talk(opened.turns, me, language),
                **self._acts(opened.ticket, account),
            }
        return updates | {self.seen: self._mark(account, shown)}

    def _nothing(self, language: str) -> Updates:
        away = gr.update(visible=False)
        return {
            self.detail: desk_tickets.chosen(language), self.talk: "", self.take: away,
            self.release: away, self.close: away, self.answering: away,
        }  # fmt: skip

    def _acts(self, ticket: TicketView, account: Account) -> Updates:
        taken, free = ticket.status == "taken", ticket.status == "open"
        mine = taken and ticket.agent == account.name
        # An admin also frees what an agent took and left.
        others = taken and not mine and account.role == "admin"
        return {
            self.take: gr.update(visible=free or others),
            self.release: gr.update(visible=mine or others),
            self.close: gr.update(visible=mine or free or others),
            self.answering: gr.update(visible=mine),
        }

    def _mark(self, account: Account, shown: str | None) -> list[Any]:
        """Another value after each change that an agent would see."""
        now = utc_now()
        rows = [
            [
                t.id,
                t.status,
                t.agent,
                t.updated.isoformat(),
                int((now - t.created).total_seconds() // 60),
            ]
            for t in self._desk.queue(account)
        ]
        last = self._desk.open(account, shown).turns[-1:] if shown else []
        return [shown, rows, [turn.id for turn in last]]


def _label(tickets: list[TicketView], language: str) -> str:
    waiting = sum(ticket.status == "open" for ticket in tickets)
    return text(language, "desk.tab", n=waiting) if waiting else text(language, "tab.desk")
