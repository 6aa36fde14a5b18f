"""The visitor's conversations beside the thread: open, begin, rename, delete once confirmed."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.services import Services
from app.store.rows import Summary
from app.ui import bubbles
from app.ui.i18n import text
from app.ui.page import PRIVATE, Labels, Toasted, Updates, asker, note

TITLE_CHARS = 60


class Talks:
    """List and what can be done with its open conversation; made inside the Chat tab."""

    def __init__(self, services: Services, labels: Labels) -> None:
        self._services = services
        days = services.brief.retention_days
        self.new = labels.make(gr.Button, {"value": "chat.new"}, elem_id="new")
        self.list = labels.make(
            gr.Radio, {"label": "chat.list"}, choices=[], interactive=True, elem_id="conversations"
        )
        with gr.Row(visible=False, elem_id="manage") as self.manage:
            self.rename = labels.make(
                gr.Button, {"value": "talks.rename"}, size="sm", elem_id="rename"
            )
            self.delete = labels.make(
                gr.Button, {"value": "talks.delete"}, size="sm", elem_id="delete"
            )
        self._make_naming(labels)
        self._make_deleting(labels)
        labels.make(
            gr.HTML,
            {"value": lambda lang: bubbles.small(text(lang, "chat.kept", days=days))},
            elem_classes="kept",
        )

    def _make_naming(self, labels: Labels) -> None:
        with gr.Column(visible=False, elem_id="naming", elem_classes="sheet") as self.naming:
            self.title = labels.make(
                gr.Textbox, {"label": "talks.title"}, lines=1, max_lines=1, max_length=TITLE_CHARS,
                elem_id="title",
            )  # fmt: skip
            with gr.Row(elem_classes="actions"):
                self.save = labels.make(
                    gr.Button, {"value": "talks.save"}, variant="primary", size="sm", elem_id="save"
                )
                self.unnamed = labels.make(gr.Button, {"value": "feedback.cancel"}, size="sm")

    def _make_deleting(self, labels: Labels) -> None:
        with gr.Column(visible=False, elem_id="deleting", elem_classes="sheet") as self.deleting:
            labels.make(
                gr.HTML, {"value": lambda lang: f'<p role="alert">{text(lang, "talks.sure")}</p>'}
            )
            with gr.Row(elem_classes="actions"):
                self.gone = labels.make(
                    gr.Button, {"value": "talks.gone"}, variant="stop", size="sm", elem_id="gone"
                )
                self.keep = labels.make(
                    gr.Button, {"value": "talks.keep"}, size="sm", elem_id="keep"
                )

    def listen(self, conversation: gr.State, language: gr.State) -> None:
        """Wire the panels; what follows a deletion is up to the tab (`gone`, `forget`)."""
        panels = [self.naming, self.deleting, self.title]
        self.rename.click(self.ask_title, [conversation, language], panels, **PRIVATE).then(
            **focus("#title textarea, #title input")
        )
        self.delete.click(self.ask_sure, None, panels, **PRIVATE).then(**focus("#keep"))
        titled = [conversation, self.title, language]
        shown = [self.list, self.manage, *panels]
        for event in (self.save.click, self.title.submit):
            event(self.named, titled, shown, **PRIVATE).then(**focus("#rename"))
        for event in (self.unnamed.click, self.keep.click):
            event(self.closed, None, panels, **PRIVATE).then(**focus("#rename"))

    # Handlers -----------------------------------------------------------------------------------

    def ask_title(self, conversation: str | None, language: str, request: gr.Request) -> Updates:
        """The panel with the title as it is."""
        who = asker(self._services, request)
        with Toasted(language):
            kept = self._services.store.conversations.get(who.owner, conversation or "")
            return self.closed() | {self.naming: gr.update(visible=True), self.title: kept.title}
        return {}

    def ask_sure(self) -> Updates:
        """The panel that asks whether it may be deleted for good."""
        return self.closed() | {self.deleting: gr.update(visible=True)}

    def closed(self) -> Updates:
        """Both panels put away."""
        hidden = gr.update(visible=False)
        return {self.naming: hidden, self.deleting: hidden}

    def named(
        self, conversation: str | None, title: str, language: str, request: gr.Request
    ) -> Updates:
        """Rename; an empty title goes back to the first question."""
        who = asker(self._services, request)
        with Toasted(language):
            conversations = self._services.store.conversations
            conversations.rename(who.owner, conversation or "", (title or "")[:TITLE_CHARS])
            return self.closed() | self.listed(who.owner, conversation)
        return {}

    def forget(self, owner: str, conversation: str | None, language: str) -> Updates:
        """Delete for good, and say so. Raises NotFound where it is not the owner's."""
        self._services.store.conversations.delete(owner, conversation or "")
        note(language, "talks.deleted")
        return self.closed() | self.listed(owner, None)

    # Parts --------------------------------------------------------------------------------------

    def kept(self, owner: str) -> list[Summary]:
        """The owner's conversations, the latest first."""
        return self._services.store.conversations.list(owner)

    def listed(self, owner: str, shown: str | None) -> Updates:
        """The list with `shown` picked."""
        choices = [(c.title, c.id) for c in self.kept(owner)]
        return {
            self.list: gr.update(choices=choices, value=shown),
            self.manage: gr.update(visible=shown is not None),
        }


def focus(selector: str) -> dict[str, Any]:
    """What the keyboard goes on with after an event."""
    return {"fn": None, "js": f"() => window.frontdesk.focus('{selector}')", **PRIVATE}
