"""The Chat tab: streams answers with their articles, can be stopped, keeps conversations.

What is shown is rebuilt from the database by owner and conversation; the thread on the page is
never read back, so a forged one changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import cast

import gradio as gr

from app.services import ChatPart, Services
from app.store.rows import Turn
from app.ui import bubbles
from app.ui.correction import Correction
from app.ui.i18n import text
from app.ui.page import PRIVATE, Asker, Labels, Toasted, Updates, asker, awaited, state, toast

# Something moves at once, and what is over the bound is not sent, but for one character to tell.
_ASKED = (
    "(asked, ...rest) =>"
    " (window.frontdesk.sending(true), [(asked || '').slice(0, {0} + 1), ...rest])"
)
_PICKED = "(...inputs) => (window.frontdesk.sending(true), inputs)"


class ChatTab:
    """Components and handlers of the tab; made inside a gr.Tab."""

    def __init__(self, services: Services, labels: Labels, language: gr.State) -> None:
        self._services = services
        self._running: dict[tuple[str, str], threading.Event] = {}
        self.conversation = gr.State(None)
        with gr.Row(elem_id="chat", equal_height=False):
            with gr.Column(scale=1, min_width=230, elem_id="aside"):
                self._make_list(labels)
            with gr.Column(scale=4, min_width=320, elem_id="talk"):
                self._make_thread(labels)
                self.correction = Correction(services, labels, self.thread)
                self._make_question(labels)
        self.correction.listen(self.conversation, language)
        self._listen(language)

    # Components ---------------------------------------------------------------------------------

    def _make_list(self, labels: Labels) -> None:
        days = self._services.brief.retention_days
        self.new = labels.make(gr.Button, {"value": "chat.new"}, elem_id="new")
        self.list = labels.make(
            gr.Radio, {"label": "chat.list"}, choices=[], interactive=True, elem_id="conversations"
        )
        labels.make(
            gr.HTML,
            {"value": lambda lang: bubbles.small(text(lang, "chat.kept", days=days))},
            elem_classes="kept",
        )

    def _make_thread(self, labels: Labels) -> None:
        self.thread = labels.make(
            gr.Chatbot,
            {"label": "chat.log", "placeholder": bubbles.welcome, "examples": bubbles.examples},
            elem_id="thread", show_label=False, buttons=[], sanitize_html=True, allow_tags=False,
            render_markdown=False, latex_delimiters=[], height=None, layout="bubble",
        )  # fmt: skip
        self.spoken = gr.HTML(bubbles.spoken(""), elem_id="spoken")

    def _make_question(self, labels: Labels) -> None:
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

    def _listen(self, language: gr.State) -> None:
        closed = [self.correction.panel, self.correction.message]
        shown = [self.thread, self.conversation, self.list, *closed]
        turned = [*shown, self.box, self.send, self.stop, self.spoken]
        bounded = _ASKED.format(self._services.settings.max_message_chars)
        focus = {"fn": None, "js": "() => window.frontdesk.focusQuestion()", **PRIVATE}
        asks = {"concurrency_id": "chat", **PRIVATE}
        for event in (self.box.submit, self.send.click):
            typed = [self.box, self.conversation, language]
            event(self.ask, typed, turned, js=bounded, **asks).then(**focus)
        self.thread.example_select(
            self.ask_example, [self.conversation, language], turned, js=_PICKED, **asks
        ).then(**focus)
        self.stop.click(self.halt, None, None, queue=False, **PRIVATE)
        self.new.click(self.begin, None, shown, **PRIVATE).then(**focus)
        self.list.select(self.open, [language], shown, **PRIVATE)

    # Handlers -----------------------------------------------------------------------------------

    def ask(
        self, asked: str, conversation: str | None, language: str, request: gr.Request
    ) -> Iterator[Updates]:
        """One turn, streamed; whatever goes wrong becomes a toast and loses no text."""
        who = asker(self._services, request)
        key, cancel = (who.owner, request.session_hash or ""), threading.Event()
        self._running[key] = cancel
        begun = conversation
        try:
            for update in self._turn(who, asked or "", conversation, language, cancel):
                begun = update.get(self.conversation, begun)
                yield update
        except Exception as error:  # the page never shows a traceback
            toast(error, language)
        finally:
            if self._running.get(key) is cancel:
                del self._running[key]
        yield self._after(who.owner, begun, language)

    def ask_example(
        self, conversation: str | None, language: str, picked: gr.SelectData, request: gr.Request
    ) -> Iterator[Updates]:
        """A quick start is asked as if it were typed."""
        yield from self.ask(str(picked.value["text"]), conversation, language, request)

    def halt(self, request: gr.Request) -> None:
        """Stop the turn that this page is waiting for; what was said stays."""
        who = asker(self._services, request)
        running = self._running.get((who.owner, request.session_hash or ""))
        if running:
            running.set()

    def begin(self) -> Updates:
        """An empty thread; the conversation itself begins with its first question."""
        return {
            self.thread: gr.update(value=[], feedback_value=None),
            self.conversation: None,
            self.list: gr.update(value=None),
            **self._closed(),
        }

    def open(self, language: str, picked: gr.SelectData, request: gr.Request) -> Updates:
        """Show the conversation that was picked in the list."""
        who, wanted = asker(self._services, request), str(picked.value)
        with Toasted(language):
            self._services.store.conversations.get(who.owner, wanted)
            return self.restored(who.owner, wanted, language) | self._closed()
        return self.restored(who.owner, None, language)

    def restored(self, owner: str, conversation: str | None, language: str) -> Updates:
        """The thread and list as the database has them; what is not the owner's is not shown."""
        kept = self._services.store.conversations.list(owner)
        shown = conversation if conversation in {c.id for c in kept} else None
        return {
            self.thread: bubbles.thread(self._turns(owner, shown), language),
            self.conversation: shown,
            self.list: gr.update(choices=[(c.title, c.id) for c in kept], value=shown),
        }

    def latest(self, owner: str) -> str | None:
        """The conversation that a reload goes on with."""
        return next((c.id for c in self._services.store.conversations.list(owner, limit=1)), None)

    # Parts --------------------------------------------------------------------------------------

    def _turn(
        self, who: Asker, asked: str, conversation: str | None, language: str,
        cancel: threading.Event,
    ) -> Iterator[Updates]:  # fmt: skip
        before = bubbles.messages(self._turns(who.owner, conversation), language)
        before.append(bubbles.said("user", bubbles.bubble(asked)))

        def showing(answer: str) -> Updates:
            return {self.thread: [*before, bubbles.said("assistant", answer)]}

        yield showing(bubbles.typing(language)) | self._busy()
        if state(self._services, "support") == "loading":
            yield showing(bubbles.typing(language, waking=True))
            awaited(self._services, "support", cancel)
        parts = self._services.chat(
            who.owner, asked, conversation_id=conversation, language=language, cancel=cancel,
            quota=who.quota,
        )  # fmt: skip
        said = ""
        with closing(cast("Generator[ChatPart]", parts)):
            # The first part says that the question is stored: refused, it is still in the box.
            yield {self.conversation: next(parts).conversation_id, self.box: ""}
            for part in parts:
                said += part.text
                if part.text:
                    yield showing(bubbles.bubble(said))

    def _busy(self) -> Updates:
        return {
            self.send: gr.update(visible=False),
            self.stop: gr.update(visible=True),
            self.spoken: bubbles.spoken(""),
            **self._closed(),
        }

    def _after(self, owner: str, conversation: str | None, language: str) -> Updates:
        shown = self.restored(owner, conversation, language)
        turns = self._turns(owner, shown[self.conversation])
        whole = turns[-1].content if turns and turns[-1].role == "assistant" else ""
        idle = {self.send: gr.update(visible=True), self.stop: gr.update(visible=False)}
        return shown | idle | {self.spoken: bubbles.spoken(whole)}

    def _closed(self) -> Updates:
        return {self.correction.panel: gr.update(visible=False), self.correction.message: None}

    def _turns(self, owner: str, conversation: str | None) -> list[Turn]:
        store = self._services.store.conversations
        return store.history(owner, conversation) if conversation else []
