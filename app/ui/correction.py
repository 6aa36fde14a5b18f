"""Thumbs under an answer, and what it should have said, with the consent to train on it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.core.errors import NotFound
from app.services import Services
from app.ui import bubbles
from app.ui.i18n import text
from app.ui.page import PRIVATE, Labels, Toasted, Updates, asker, note

REASONS = ("wrong", "beside", "incomplete", "unclear", "tone")
"""What may be wrong with an answer; stored under these names in every language."""


class Correction:
    """The panel under the thread; made inside the Chat tab, closed until a thumb goes down."""

    def __init__(self, services: Services, labels: Labels, thread: gr.Chatbot) -> None:
        self._services = services
        self._thread = thread
        self.message = gr.State(None)
        days = services.brief.retention_days
        with gr.Column(visible=False, elem_id="correction", elem_classes="sheet") as self.panel:
            labels.make(gr.HTML, {"value": lambda lang: f"<h2>{text(lang, 'feedback.title')}</h2>"})
            self.reasons = labels.make(
                gr.CheckboxGroup,
                {"label": "feedback.reasons", "choices": _reasons}, value=[], elem_id="reasons",
            )  # fmt: skip
            self.why = labels.make(
                gr.Textbox, {"label": "feedback.why"}, lines=1, max_lines=3, elem_id="why"
            )
            self.better = labels.make(
                gr.Textbox,
                {"label": "feedback.answer", "placeholder": "feedback.answer_hint"},
                lines=2, max_lines=6, elem_id="better",
            )  # fmt: skip
            self.consent = labels.make(
                gr.Checkbox,
                {
                    "label": "feedback.consent",
                    "info": lambda lang: text(lang, "feedback.consent_info", days=days),
                },
                value=False, elem_id="consent",
            )  # fmt: skip
            with gr.Row(elem_classes="actions"):
                self._send = labels.make(
                    gr.Button, {"value": "feedback.send"}, variant="primary", elem_id="correct"
                )
                self._close = labels.make(gr.Button, {"value": "feedback.cancel"}, elem_id="close")

    def listen(self, conversation: gr.State, language: gr.State) -> None:
        """Wire the thumbs of the thread and the panel."""
        filled = [self.reasons, self.why, self.better, self.consent]
        changed = [self._thread, self.panel, self.message, *filled]
        self._thread.like(self.rate, [conversation, language], changed, **PRIVATE).then(
            None, js="() => window.frontdesk.focusCorrection()", **PRIVATE
        )
        sent = [self.message, *filled, language]
        self._send.click(self.send, sent, changed, **PRIVATE)
        self._close.click(self.closed, None, changed, **PRIVATE)

    def rate(
        self, conversation: str | None, language: str, thumb: gr.LikeData, request: gr.Request
    ) -> Updates:
        """Store a thumb; one down opens the panel. A thumb taken back changes nothing."""
        who = asker(self._services, request)
        with Toasted(language):
            message = self._rateable(who.owner, conversation, thumb.index)
            if thumb.liked is True:
                self._services.feedback(who.owner, message, 1, quota=who.quota)
                note(language, "feedback.liked")
                return self.closed()
            if thumb.liked is False:
                self._services.feedback(who.owner, message, -1, quota=who.quota)
                return self.closed() | {self.panel: gr.update(visible=True), self.message: message}
            turns = self._services.store.conversations.history(who.owner, str(conversation))
            return {self._thread: bubbles.thread(turns, language)}
        return {}

    def send(
        self, message: str | None, reasons: Any, why: Any, better: str, consent: bool,
        language: str, request: gr.Request,
    ) -> Updates:  # fmt: skip
        """Store what was wrong, what it should have said, and whether it may be trained on."""
        who = asker(self._services, request)
        with Toasted(language):
            self._services.feedback(
                who.owner, message or "", -1, reason=reason(reasons, why), correction=better,
                consent=consent is True,
                quota=who.quota,
            )  # fmt: skip
            note(language, "feedback.thanks")
            return self.closed()
        return {}

    def closed(self) -> Updates:
        """The panel put away, empty, its box unticked."""
        return {
            self.panel: gr.update(visible=False),
            self.reasons: [],
            self.why: "",
            self.better: "",
            self.consent: False,
            self.message: None,
        }

    def _rateable(self, owner: str, conversation: str | None, index: Any) -> str:
        """The message id under the thumb; the page only says which bubble it was."""
        store = self._services.store.conversations
        turns = store.history(owner, conversation) if conversation else []
        if isinstance(index, int) and 0 <= index < len(turns) and turns[index].role == "assistant":
            return turns[index].id
        raise NotFound(text("en", "feedback.missing"), zh=text("zh", "feedback.missing"))


def reason(picked: Any, why: Any) -> str | None:
    """As it is stored: the picked reasons, then the words, such as "wrong, unclear: Which PDF?"."""
    known = [name for name in REASONS if isinstance(picked, list) and name in picked]
    parts = [", ".join(known), why.strip() if isinstance(why, str) else ""]
    return ": ".join(part for part in parts if part) or None


def _reasons(language: str) -> list[tuple[str, str]]:
    return [(text(language, f"reason.{name}"), name) for name in REASONS]
