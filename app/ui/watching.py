"""What the Chat tab shows of a hand-off: who has the conversation, and what people write in it.

A timer looks every few seconds; the thread is only drawn anew where a person wrote something.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from app.core.errors import NotFound
from app.services import Services
from app.store.rows import Turn
from app.ui import bubbles
from app.ui.i18n import text
from app.ui.page import PRIVATE, Updates, asker

LOOK_S = 3.0
"""Seconds between two looks."""


class Watching:
    """A line over the question box, and the timer; made inside the Chat tab."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.line = gr.HTML("", elem_id="attended")
        self._seen = gr.State(None)
        self._timer = gr.Timer(LOOK_S)

    def listen(
        self,
        conversation: gr.State,
        language: gr.State,
        thread: gr.Chatbot,
        said: gr.HTML,
        busy: Callable[[str, str], bool],
    ) -> None:
        """busy(owner, session): whether an answer is being written there; then nothing is drawn."""
        self._thread, self._said, self._busy = thread, said, busy
        self._timer.tick(
            self.look, [conversation, self._seen, language],
            [self._seen, self.line, thread, said], queue=False, **PRIVATE,
        )  # fmt: skip

    def look(
        self, conversation: str | None, seen: Any, language: str, request: gr.Request
    ) -> Updates:
        """What a person wrote since the last look, and who has the conversation."""
        owner = asker(self._services, request).owner
        if self._busy(owner, request.session_hash or ""):
            return {self._seen: gr.skip()}
        turns, status, agent = self._state(owner, conversation)
        by_people = [turn.id for turn in turns if turn.author]
        now = [conversation, language, status, agent, by_people]
        if now == seen:
            return {self._seen: gr.skip()}
        updates: Updates = {self._seen: now, self.line: attended(status, agent, language)}
        if by_people and (not seen or by_people != seen[-1]):
            updates[self._thread] = bubbles.thread(turns, language)
            # Read out where it is new, not where a conversation was opened.
            if seen and seen[0] == conversation:
                updates[self._said] = bubbles.spoken(turns[-1].content)
        return updates

    def _state(self, owner: str, conversation: str | None) -> tuple[list[Turn], str, str | None]:
        store = self._services.store
        if not conversation:
            return [], "", None
        try:
            turns = store.conversations.history(owner, conversation)
        except NotFound:  # deleted meanwhile
            return [], "", None
        ticket = store.tickets.of(conversation)
        return turns, ticket.status if ticket else "", ticket.agent if ticket else None


def attended(status: str, agent: str | None, language: str) -> str:
    """That a person was told, or is there; nothing where the bot answers."""
    if status == "taken":
        words = text(language, "desk.taken_line", agent=agent)
    elif status == "open":
        words = text(language, "desk.waiting_line")
    else:
        return ""
    return f'<p class="attended {status}" role="status">{escape(words)}</p>'
