"""The Chat tab: thread, question, conversations, and what leads to a person.

The handlers of a turn are in app.ui.asking, those of the list in app.ui.talks.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.core.memory import Memory
from app.services import Services
from app.store.rows import Turn
from app.ui import bubbles
from app.ui.asking import Asking
from app.ui.correction import Correction
from app.ui.i18n import text
from app.ui.mine import Mine
from app.ui.page import PRIVATE, Labels, Toasted, Updates, asker
from app.ui.talks import Talks
from app.ui.watching import Watching

# Something moves at once.
_ASKED = (
    "(asked, conversation, language, _) => {{ const text = asked || '';"
    " return [window.frontdesk.sending(text, {0}), conversation, language,"
    " window.frontdesk.editing()]; }}"
)
CUT = ("cancelled", "error")
"""How a turn ended that did not say all."""
_PICKED = "(...inputs) => (window.frontdesk.sending(), inputs)"
_AGAIN = (
    "(conversation, language, _) =>"
    " (window.frontdesk.sending(), [conversation, language, window.frontdesk.picked])"
)


class ChatTab(Asking):
    """Components and handlers of the tab; made inside a gr.Tab."""

    def __init__(self, services: Services, labels: Labels, language: gr.State) -> None:
        self._services = services
        self._running: dict[tuple[str, str], threading.Event] = {}
        self.conversation = gr.State(None)
        with gr.Row(elem_id="chat", equal_height=False):
            with gr.Column(scale=1, min_width=230, elem_id="aside"):
                self.talks = Talks(services, labels)
                self.mine = Mine(services, labels)
                self.list = self.talks.list
            with gr.Column(scale=4, min_width=320, elem_id="talk"):
                self._make_thread(labels)
                self.correction = Correction(services, labels, self.thread)
                self.watching = Watching(services)
                self._make_question(labels)
        self.watching.listen(
            self.conversation, language, self.thread, self.spoken,
            lambda owner, session: (owner, session) in self._running,
        )  # fmt: skip
        self.correction.listen(self.conversation, language)
        self.talks.listen(self.conversation, language)
        self.mine.listen(language)
        self._listen(language)

    # Components ---------------------------------------------------------------------------------

    def _make_thread(self, labels: Labels) -> None:
        with gr.Row(elem_id="first", equal_height=True):
            labels.make(gr.HTML, {"value": bubbles.notice}, elem_id="notice")
            self.human = labels.make(gr.Button, {"value": "chat.human"}, size="sm", elem_id="human")
        self.thread = labels.make(
            gr.Chatbot,
            {
                "label": "chat.log",
                "placeholder": lambda lang: bubbles.welcome(lang, self._services.demo),
                "examples": lambda lang: bubbles.examples(lang, self._services.demo),
            },
            elem_id="thread", show_label=False, buttons=[], sanitize_html=True, allow_tags=False,
            render_markdown=False, latex_delimiters=[], height=None, layout="bubble",
        )  # fmt: skip
        self.spoken = gr.HTML(bubbles.spoken(""), elem_id="spoken")

    def _make_question(self, labels: Labels) -> None:
        labels.make(gr.HTML, {"value": bubbles.editing}, elem_id="editing")
        with gr.Row(elem_id="ask", equal_height=True):
            self.box = labels.make(
                gr.Textbox,
                {"label": "chat.box", "placeholder": "chat.ask"},
                lines=1, max_lines=6, show_label=False, container=False, autofocus=True,
                elem_id="question", scale=6,
            )  # fmt: skip
            self.send = labels.make(
                gr.Button, {"value": "chat.send"}, variant="primary", elem_id="send", min_width=96
            )
            self.stop = labels.make(
                gr.Button, {"value": "chat.stop"}, visible=False, elem_id="stop", min_width=96
            )
        labels.make(gr.HTML, {"value": lambda lang: bubbles.small(text(lang, "chat.hint"))})
        # What page.js says of the last question: its id. Clicked by the button under the answer.
        self._picked = gr.JSON(visible=False)
        self._retry = gr.Button(visible="hidden", elem_id="retry")

    def _listen(self, language: gr.State) -> None:
        correction, talks, mine = self.correction, self.talks, self.mine
        closed = [correction.panel, correction.message, talks.naming, talks.deleting, mine.sheet]
        shown = [self.thread, self.conversation, self.list, talks.manage, *closed]
        turned = [*shown, self.box, self.send, self.stop, self.spoken]
        bounded = _ASKED.format(self._services.settings.max_message_chars)
        focus = {"fn": None, "js": "() => window.frontdesk.focusQuestion()", **PRIVATE}
        asks = {"concurrency_id": "chat", **PRIVATE}
        here = [self.conversation, language]
        for event in (self.box.submit, self.send.click):
            typed = [self.box, *here, self._picked]
            event(self.ask, typed, turned, js=bounded, **asks).then(**focus)
        for event, handler in (
            (self.thread.example_select, self.ask_example),
            (self.thread.option_select, self.ask_reply),
            (self.human.click, self.ask_human),
        ):
            event(handler, here, turned, js=_PICKED, **asks).then(**focus)
        again = [*here, self._picked]
        self._retry.click(self.again, again, turned, js=_AGAIN, **asks).then(**focus)
        self.stop.click(self.halt, None, None, queue=False, **PRIVATE)
        talks.new.click(self.begin, None, shown, **PRIVATE).then(**focus)
        self.list.select(self.open, [language], shown, **PRIVATE)
        talks.gone.click(self.forget, here, shown, **PRIVATE).then(**focus)
        mine.gone.click(self.forget_all, [language], shown, **PRIVATE).then(**focus)

    # Handlers -----------------------------------------------------------------------------------

    def begin(self) -> Updates:
        """An empty thread; the conversation itself begins with its first question."""
        return {
            self.thread: gr.update(value=[], feedback_value=None),
            self.conversation: None,
            self.list: gr.update(value=None),
            self.talks.manage: gr.update(visible=False),
            **self._closed(),
        }

    def open(self, language: str, picked: gr.SelectData, request: gr.Request) -> Updates:
        """Show the conversation that was picked in the list."""
        who, wanted = asker(self._services, request), str(picked.value)
        with Toasted(language):
            self._services.store.conversations.get(who.owner, wanted)
            return self.restored(who.owner, wanted, language) | self._closed()
        return self.restored(who.owner, None, language)

    def forget(self, conversation: str | None, language: str, request: gr.Request) -> Updates:
        """Delete the open conversation, which was asked about before; then begin anew."""
        who = asker(self._services, request)
        with Toasted(language):
            return self.begin() | self.talks.forget(who.owner, conversation, language)
        return {}

    def forget_all(self, language: str, request: gr.Request) -> Updates:
        """Delete all that is kept of the visitor, who was asked before; then begin anew."""
        who = asker(self._services, request)
        with Toasted(language):
            self.mine.erase(who.owner, language)
            return self.begin() | self.talks.listed(who.owner, None)
        return {}

    def restored(self, owner: str, conversation: str | None, language: str) -> Updates:
        """The thread and list as the database has them; what is not the owner's is not shown."""
        kept = {c.id for c in self.talks.kept(owner)}
        shown = conversation if conversation in kept else None
        turns = self._turns(owner, shown)
        return {
            self.thread: bubbles.thread(turns, language, self._offered(owner, shown, turns)),
            self.conversation: shown,
            **self.talks.listed(owner, shown),
        }

    def _offered(self, owner: str, shown: str | None, turns: Sequence[Turn]) -> Memory | None:
        """What has the replies under the last answer, where it is the bot's and whole."""
        last = turns[-1] if turns else None
        if not (shown and last and last.role == "assistant") or last.author or last.finish in CUT:
            return None
        return self._services.store.conversations.state(owner, shown).memory

    def latest(self, owner: str) -> str | None:
        """The conversation that a reload goes on with."""
        return next((c.id for c in self._services.store.conversations.list(owner, limit=1)), None)

    def _closed(self) -> Updates:
        hidden: dict[Any, Any] = {self.correction.panel: gr.update(visible=False)}
        hidden |= {self.correction.message: None}
        return hidden | self.talks.closed() | self.mine.closed()
