"""What is kept of the visitor: taken out as a file, or deleted once confirmed. Under the list."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.services import Services
from app.ui.i18n import text
from app.ui.page import PRIVATE, Labels, Toasted, Updates, asker, note
from app.ui.talks import focus

# The page makes the file: only its own calls know the owner where a browser keeps our cookie back,
# as inside another site, and no copy of what was said lies in a folder of the server.
_SAVE: dict[str, Any] = {"fn": None, "js": "(data) => window.frontdesk.save(data)", **PRIVATE}


class Mine:
    """Two quiet words and the panel that asks; made inside the Chat tab."""

    def __init__(self, services: Services, labels: Labels) -> None:
        self._services = services
        with gr.Row(elem_id="mine"):
            self.out = labels.make(
                gr.Button, {"value": "mine.download"}, size="sm", elem_id="mine-out"
            )
            self.delete = labels.make(
                gr.Button, {"value": "mine.delete"}, size="sm", elem_id="erase"
            )
        self._data = gr.JSON(visible=False)
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

    def listen(self, language: gr.State) -> None:
        """Wire the panel; what follows a deletion is up to the tab (`gone`, `erase`)."""
        saved = self.out.click(self.taken_out, [language], [self._data], **PRIVATE)
        saved.then(inputs=[self._data], outputs=[self._data], **_SAVE)
        self.delete.click(self.ask_sure, None, [self.sheet], **PRIVATE).then(**focus("#erase-not"))
        self.keep.click(self.closed, None, [self.sheet], **PRIVATE).then(**focus("#erase"))

    def taken_out(self, language: str, request: gr.Request) -> Updates:
        """All that is kept of the visitor, for the file that the page saves."""
        with Toasted(language):
            who = asker(self._services, request)
            return {self._data: self._services.export_mine(who.owner)}
        return {}

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
