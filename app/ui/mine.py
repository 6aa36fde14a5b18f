"""What is kept of the visitor: taken out as a file, or deleted once confirmed. Under the list."""

from __future__ import annotations

import gradio as gr

from app.services import Services
from app.ui.i18n import text
from app.ui.page import PRIVATE, Labels, Updates, note
from app.ui.talks import focus


class Mine:
    """Two quiet words and the panel that asks; made inside the Chat tab."""

    def __init__(self, services: Services, labels: Labels) -> None:
        self._services = services
        with gr.Row(elem_id="mine"):
            labels.make(gr.HTML, {"value": download}, elem_id="mine-out")
            self.delete = labels.make(
                gr.Button, {"value": "mine.delete"}, size="sm", elem_id="erase"
            )
        with gr.Column(visible=False, elem_id="erasing", elem_classes="sheet") as self.sheet:
            labels.make(
                gr.HTML, {"value": lambda lang: f'<p role="alert">{text(lang, "mine.sure")}</p>'}
            )
            with gr.Row(elem_classes="actions"):
                self.gone = labels.make(
                    gr.Button, {"value": "mine.gone"}, variant="stop", size="sm", elem_id="erased"
                )
                self.keep = labels.make(
                    gr.Button, {"value": "mine.keep"}, size="sm", elem_id="erase-not"
                )

    def listen(self) -> None:
        """Wire the panel; what follows a deletion is up to the tab (`gone`, `erase`)."""
        self.delete.click(self.ask_sure, None, [self.sheet], **PRIVATE).then(**focus("#erase-not"))
        self.keep.click(self.closed, None, [self.sheet], **PRIVATE).then(**focus("#erase"))

    def ask_sure(self) -> Updates:
        """The panel that asks whether all may be deleted for good."""
        return {self.sheet: gr.update(visible=True)}

    def closed(self) -> Updates:
        """The panel put away."""
        return {self.sheet: gr.update(visible=False)}

    def erase(self, owner: str, language: str) -> None:
        """Delete all of the owner's for good, and say so."""
        self._services.delete_mine(owner)
        note(language, "mine.deleted")


def download(language: str) -> str:
    """The link to app.web.me, which knows the visitor by the same cookie as the page."""
    words = text(language, "mine.download")
    return f'<a href="v1/me/export" download="my-data.json">{words}</a>'
