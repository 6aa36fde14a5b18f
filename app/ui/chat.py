"""The Chat tab: streams answers with their articles, can be stopped, takes thumbs and corrections.

What is shown is rebuilt from the database by owner and conversation; the thread on the page is
never read back, so a forged one changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from html import escape
from typing import Any

import gradio as gr

from app.core.errors import NotFound
from app.services import Services
from app.store.rows import Turn
from app.ui.i18n import text
from app.ui.page import PRIVATE, Asker, Labels, Updates, asker, awaited, loading, note, toast, toasted

EXAMPLES = ("chat.example1", "chat.example2", "chat.example3", "chat.example4")
_THUMBS = {1: "Like", -1: "Dislike", None: None}
_CUT = ("cancelled", "length", "error")
_TYPING = '<span class="typing" role="img" aria-label="{0}"><i></i><i></i><i></i></span>{1}'
# Something moves at once, and what is over the bound is not sent, but for one character to tell.
_ASKED = "(asked, ...rest) => (window.frontdesk.sending(true), [(asked || '').slice(0, {0} + 1), ...rest])"
_PICKED = "(...inputs) => (window.frontdesk.sending(true), inputs)"


class ChatTab:
    """Components and handlers of the tab; made inside a gr.Tab."""

    def __init__(self, services: Services, labels: Labels, language: gr.State) -> None:
        self._services = services
        self._running: dict[tuple[str, str], threading.Event] = {}
        days = services.brief.retention_days
        self.conversation = gr.State(None)
        self.rated = gr.State(None)
        with gr.Row(elem_id="chat", equal_height=False):
            with gr.Column(scale=1, min_width=230, elem_id="aside"):
                self.new = labels.make(gr.Button, {"value": "chat.new"}, elem_id="new")
                self.list = labels.make(
                    gr.Radio, {"label": "chat.list"}, choices=[], interactive=True,
                    elem_id="conversations",
                )  # fmt: skip
                labels.make(
                    gr.HTML,
                    {"value": lambda lang: small(text(lang, "chat.kept", days=days))},
                    elem_classes="kept",
                )
            with gr.Column(scale=4, min_width=320, elem_id="talk"):
                self._make_thread(labels)
                self._make_panel(labels, days)
                self._make_question(labels)
        self._listen(language)

    # Components ---------------------------------------------------------------------------------

    def _make_thread(self, labels: Labels) -> None:
        self.thread = labels.make(
            gr.Chatbot,
            {"label": "chat.log", "placeholder": welcome, "examples": examples},
            elem_id="thread", show_label=False, buttons=[], sanitize_html=True, allow_tags=False,
            render_markdown=False, latex_delimiters=[], height=None, layout="bubble",
        )  # fmt: skip
        self.spoken = gr.HTML(spoken(""), elem_id="spoken")

    def _make_panel(self, labels: Labels, days: int) -> None:
        with gr.Column(visible=False, elem_id="correction", elem_classes="sheet") as self.panel:
            labels.make(gr.HTML, {"value": lambda lang: heading(text(lang, "feedback.title"))})
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
                self.correct = labels.make(
                    gr.Button, {"value": "feedback.send"}, variant="primary", elem_id="correct"
                )
                self.close = labels.make(gr.Button, {"value": "feedback.cancel"}, elem_id="close")

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
        labels.make(gr.HTML, {"value": lambda lang: small(text(lang, "chat.hint"))})

    def _listen(self, language: gr.State) -> None:
        asked = [self.box, self.conversation, language]
        turned = [self.thread, self.box, self.send, self.stop, self.conversation, self.list,
                  self.panel, self.spoken]  # fmt: skip
        bounded = _ASKED.format(self._services.settings.max_message_chars)
        focus = {"fn": None, "js": "() => window.frontdesk.focusQuestion()", **PRIVATE}
        for event in (self.box.submit, self.send.click):
            event(self.ask, asked, turned, js=bounded, concurrency_id="chat", **PRIVATE).then(**focus)
        self.thread.example_select(
            self.ask_example, [self.conversation, language], turned, js=_PICKED,
            concurrency_id="chat", **PRIVATE,
        ).then(**focus)  # fmt: skip
        self.stop.click(self.halt, None, None, queue=False, **PRIVATE)
        self.new.click(self.begin, None, [*turned, self.rated], **PRIVATE).then(**focus)
        self.list.select(self.open, [language], [*turned, self.rated], **PRIVATE)
        rated = [self.thread, self.panel, self.better, self.consent, self.rated]
        self.thread.like(self.rate, [self.conversation, language], rated, **PRIVATE).then(
            None, js="() => window.frontdesk.focusCorrection()", **PRIVATE
        )
        self.correct.click(
            self.send_correction, [self.rated, self.better, self.consent, language], rated, **PRIVATE
        )
        self.close.click(self._closed, None, rated, **PRIVATE)

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
            for begun, update in self._turn(who, asked or "", conversation, language, cancel):
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
            self.panel: gr.update(visible=False),
            self.rated: None,
        }

    def open(self, language: str, picked: gr.SelectData, request: gr.Request) -> Updates:
        """Show the conversation that was picked in the list."""
        who, wanted = asker(self._services, request), str(picked.value)
        with toasted(language):
            self._services.store.conversations.get(who.owner, wanted)
            closed = {self.panel: gr.update(visible=False), self.rated: None}
            return self.restored(who.owner, wanted, language) | closed
        return self.restored(who.owner, None, language)

    def rate(
        self, conversation: str | None, language: str, thumb: gr.LikeData, request: gr.Request
    ) -> Updates:
        """Store a thumb; one down opens the correction. A thumb taken back changes nothing."""
        who = asker(self._services, request)
        with toasted(language):
            message = self._rateable(who.owner, conversation, thumb.index)
            if thumb.liked is True:
                self._services.feedback(who.owner, message, 1, quota=who.quota)
                note(language, "feedback.liked")
                return self._closed()
            if thumb.liked is False:
                self._services.feedback(who.owner, message, -1, quota=who.quota)
                return self._closed() | {self.panel: gr.update(visible=True), self.rated: message}
        return {self.thread: self._thread(who.owner, conversation, language)}

    def send_correction(
        self, message: str | None, better: str, consent: bool, language: str, request: gr.Request
    ) -> Updates:
        """Store what it should have said, and whether it may be trained on."""
        who = asker(self._services, request)
        with toasted(language):
            self._services.feedback(
                who.owner, message or "", -1, correction=better, consent=consent is True,
                quota=who.quota,
            )  # fmt: skip
            note(language, "feedback.thanks")
            return self._closed()
        return {}

    def restored(self, owner: str, conversation: str | None, language: str) -> Updates:
        """The thread and list as the database has them; what is not the owner's is not shown."""
        kept = self._services.store.conversations.list(owner)
        shown = conversation if conversation in {c.id for c in kept} else None
        return {
            self.thread: self._thread(owner, shown, language),
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
    ) -> Iterator[tuple[str | None, Updates]]:  # fmt: skip
        """(conversation, update) while the answer grows."""
        before = self._said(who.owner, conversation, language)
        before.append(said("user", bubble(asked)))
        busy = {self.send: gr.update(visible=False), self.stop: gr.update(visible=True),
                self.panel: gr.update(visible=False), self.spoken: spoken("")}  # fmt: skip
        yield conversation, {self.thread: [*before, said("assistant", typing(language))], **busy}
        if loading(self._services, "support"):
            waiting = said("assistant", typing(language, waking=True))
            yield conversation, {self.thread: [*before, waiting]}
            awaited(self._services, "support", cancel)
        parts = self._services.chat(
            who.owner, asked, conversation_id=conversation, language=language, cancel=cancel,
            quota=who.quota,
        )  # fmt: skip
        with closing(parts):  # type: ignore[type-var]
            answer = ""
            for part in parts:
                answer += part.text
                grown = bubble(answer) if answer else typing(language)
                update = {self.thread: [*before, said("assistant", grown)]}
                # Only now is the question stored: refused, it would still be in the box.
                yield part.conversation_id, update if part.text else update | {self.box: ""}

    def _after(self, owner: str, conversation: str | None, language: str) -> Updates:
        shown = self.restored(owner, conversation, language)
        turns = self._turns(owner, shown[self.conversation])
        whole = turns[-1].content if turns and turns[-1].role == "assistant" else ""
        idle = {self.send: gr.update(visible=True), self.stop: gr.update(visible=False)}
        return shown | idle | {self.spoken: spoken(whole)}

    def _closed(self) -> Updates:
        return {
            self.panel: gr.update(visible=False),
            self.better: "",
            self.consent: False,
            self.rated: None,
        }

    def _turns(self, owner: str, conversation: str | None) -> list[Turn]:
        return self._services.store.conversations.history(owner, conversation) if conversation else []

    def _said(self, owner: str, conversation: str | None, language: str) -> list[dict[str, str]]:
        return [
            said(t.role, answered(t, language) if t.role == "assistant" else bubble(t.content))
            for t in self._turns(owner, conversation)
        ]

    def _thread(self, owner: str, conversation: str | None, language: str) -> Any:
        turns = self._turns(owner, conversation)
        thumbs = [_THUMBS[turn.rating] for turn in turns if turn.role == "assistant"]
        return gr.update(value=self._said(owner, conversation, language), feedback_value=thumbs)

    def _rateable(self, owner: str, conversation: str | None, index: Any) -> str:
        """The message id under the thumb; the page only says which bubble it was."""
        turns = self._turns(owner, conversation)
        if isinstance(index, int) and 0 <= index < len(turns) and turns[index].role == "assistant":
            return turns[index].id
        raise NotFound(text("en", "feedback.missing"), zh=text("zh", "feedback.missing"))


# Markup: every text is escaped here, and Gradio sanitises once more -----------------------------


def said(role: str, content: str) -> dict[str, str]:
    """A message as gr.Chatbot takes it."""
    return {"role": role, "content": content}


def bubble(content: str) -> str:
    """A text as it was written: no markup of it is interpreted."""
    return f'<span class="said">{escape(content)}</span>'


def answered(turn: Turn, language: str) -> str:
    """A stored answer: its text, why it ends where it does, and the articles it rests on."""
    parts = [bubble(turn.content)] if turn.content else []
    if turn.finish in _CUT:
        parts.append(f'<span class="cut">{text(language, f"chat.{turn.finish}")}</span>')
    return "".join(parts) + sources(turn.citations, language)


def sources(citations: Sequence[Mapping[str, Any]], language: str) -> str:
    """Numbered articles; each opens to the passage that was used."""
    if not citations:
        return ""
    rows = "".join(
        f'<details class="source"><summary><b>{number}</b> {escape(str(c["title"]))}</summary>'
        f'<span class="passage">{escape(str(c["passage"]))}</span></details>'
        for number, c in enumerate(citations, 1)
    )
    return f'<span class="sources"><span class="from">{text(language, "chat.sources")}</span>{rows}</span>'


def typing(language: str, *, waking: bool = False) -> str:
    """Three dots that move until the first word is there."""
    why = text(language, "chat.waking") if waking else ""
    return _TYPING.format(text(language, "chat.typing"), f'<span class="cut">{why}</span>' if why else "")


def spoken(answer: str) -> str:
    """What a screen reader says once when the answer is whole."""
    return f'<div role="status" aria-live="polite" class="unseen">{escape(answer)}</div>'


def welcome(language: str) -> str:
    """The empty thread."""
    return f"<h2>{text(language, 'chat.hello')}</h2><p>{text(language, 'chat.intro')}</p>"


def examples(language: str) -> list[dict[str, str]]:
    """Quick starts under the welcome."""
    return [{"text": text(language, key)} for key in EXAMPLES]


def heading(words: str) -> str:
    """A small heading."""
    return f"<h3>{escape(words)}</h3>"


def small(words: str) -> str:
    """A line in small print."""
    return f'<p class="small">{escape(words)}</p>'
