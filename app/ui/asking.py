"""One turn on the page: streamed, stopped, asked again or edited; whatever fails loses no text.

What is shown is rebuilt from the database by owner and conversation; the thread on the page is
never read back, so a forged one changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from typing import Any, NamedTuple, cast

import gradio as gr

from app.core.errors import NotFound
from app.services import ChatPart, Services
from app.store import branches
from app.store.rows import Turn
from app.ui import bubbles
from app.ui.i18n import text
from app.ui.page import Asker, Toasted, Updates, asker, awaited, state, toast


class Question(NamedTuple):
    """What is asked, and how."""

    text: str
    replaces: str | None = None
    """Id of the question whose place it takes."""
    typed: bool = True
    """Whether it came from the box, which is emptied once the question is stored."""


class Run:
    """A turn under way."""

    def __init__(self, who: Asker, conversation: str | None, language: str) -> None:
        self.who, self.conversation, self.language = who, conversation, language
        self.cancel = threading.Event()
        self.told = False
        """Whether the reader was told that something went wrong."""


class Asking:
    """The handlers of a turn; app.ui.chat.ChatTab has the components that they update."""

    thread: gr.Chatbot
    conversation: gr.State
    box: gr.Textbox
    send: gr.Button
    stop: gr.Button
    spoken: gr.HTML
    _services: Services
    _running: dict[tuple[str, str], threading.Event]

    # Handlers -----------------------------------------------------------------------------------

    def ask(
        self, asked: Any, conversation: str | None, language: str, request: gr.Request,
        replaces: Any = None,
    ) -> Iterator[Updates]:  # fmt: skip
        """A typed question; `replaces` is the id of the last one where that was edited."""
        question = Question(_string(asked) or "", _string(replaces) or None)
        yield from self._asked(question, conversation, language, request)

    def ask_example(
        self, conversation: str | None, language: str, picked: gr.SelectData, request: gr.Request
    ) -> Iterator[Updates]:
        """A quick start is asked as if it were typed."""
        question = Question(str(picked.value["text"]), typed=False)
        yield from self._asked(question, conversation, language, request)

    def ask_reply(
        self, conversation: str | None, language: str, picked: gr.SelectData, request: gr.Request
    ) -> Iterator[Updates]:
        """A quick reply is said as if it were typed."""
        question = Question(str(picked.value), typed=False)
        yield from self._asked(question, conversation, language, request)

    def ask_human(
        self, conversation: str | None, language: str, request: gr.Request
    ) -> Iterator[Updates]:
        """The wish for a person, in words: the flow of that name answers it."""
        question = Question(text(language, "chat.human_ask"), typed=False)
        yield from self._asked(question, conversation, language, request)

    def again(
        self, conversation: str | None, language: str, request: gr.Request, question: Any = None
    ) -> Iterator[Updates]:
        """The last question once more, in its own words, which only the database is asked for."""
        who = asker(self._services, request)
        repeated = None
        with Toasted(language):
            last = branches.replaceable(self._turns(who.owner, conversation))
            if last is None or last.id != question:
                raise NotFound(text("en", "chat.not_last"), zh=text("zh", "chat.not_last"))
            repeated = Question(last.content, last.id, typed=False)
        if repeated:
            yield from self._asked(repeated, conversation, language, request)

    def halt(self, request: gr.Request) -> None:
        """Stop the turn that this page is waiting for; what was said stays."""
        who = asker(self._services, request)
        running = self._running.get((who.owner, request.session_hash or ""))
        if running:
            running.set()

    # Parts --------------------------------------------------------------------------------------

    def _asked(
        self, question: Question, conversation: str | None, language: str, request: gr.Request
    ) -> Iterator[Updates]:
        who = asker(self._services, request)
        key = (who.owner, request.session_hash or "")
        run = Run(who, conversation, language)
        self._running[key] = run.cancel
        try:
            yield from self._turn(run, question)
        except Exception as error:  # the page never shows a traceback
            toast(error, language)
            run.told = True
        finally:
            if self._running.get(key) is run.cancel:
                del self._running[key]
        yield self._after(run)

    def _turn(self, run: Run, question: Question) -> Iterator[Updates]:
        before = bubbles.messages(self._before(run, question), run.language, plain=True)
        before.append(bubbles.said("user", bubbles.bubble(question.text)))

        def showing(answer: str) -> Updates:
            return {self.thread: [*before, bubbles.said("assistant", answer)]}

        yield showing(bubbles.typing(run.language)) | self._busy()
        if state(self._services, "support") == "loading":
            yield showing(bubbles.typing(run.language, waking=True))
            awaited(self._services, "support", run.cancel)
        parts = self._services.chat(
            run.who.owner, question.text, conversation_id=run.conversation, language=run.language,
            cancel=run.cancel, quota=run.who.quota, replaces=question.replaces,
        )  # fmt: skip
        said = ""
        with closing(cast("Generator[ChatPart]", parts)):
            # The first part says that the question is stored: refused, it is still in the box.
            run.conversation = next(parts).conversation_id
            yield {self.conversation: run.conversation} | ({self.box: ""} if question.typed else {})
            for part in parts:
                said += part.text
                if part.text:
                    yield showing(bubbles.bubble(said))

    def _before(self, run: Run, question: Question) -> list[Turn]:
        """The turns that the question follows: without the one that it replaces."""
        turns = self._turns(run.who.owner, run.conversation)
        ids = [turn.id for turn in turns]
        return turns[: ids.index(question.replaces)] if question.replaces in ids else turns

    def _busy(self) -> Updates:
        return {
            self.send: gr.update(visible=False),
            self.stop: gr.update(visible=True),
            self.spoken: bubbles.spoken(""),
            **self._closed(),
        }

    def _after(self, run: Run) -> Updates:
        """The conversation as it is stored; what is shown stays where the database is lost."""
        idle = {self.send: gr.update(visible=True), self.stop: gr.update(visible=False)}
        with suppress(Exception) if run.told else Toasted(run.language):
            shown = self.restored(run.who.owner, run.conversation, run.language)
            turns = self._turns(run.who.owner, shown[self.conversation])
            whole = turns[-1].content if turns and turns[-1].role == "assistant" else ""
            return shown | idle | {self.spoken: bubbles.spoken(whole)}
        return idle

    def restored(self, owner: str, conversation: str | None, language: str) -> Updates:
        """The thread and list as the database has them; what is not the owner's is not shown."""
        raise NotImplementedError

    def _closed(self) -> Updates:
        """Every panel put away."""
        raise NotImplementedError

    def _turns(self, owner: str, conversation: str | None) -> list[Turn]:
        store = self._services.store.conversations
        return store.history(owner, conversation) if conversation else []


def _string(sent: Any) -> str | None:
    """A text from the browser, which may send anything."""
    return sent if isinstance(sent, str) else None
