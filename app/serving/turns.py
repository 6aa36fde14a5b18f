"""A chat turn with its memory: the question is stored, answered, and the answer stored.

The question is committed before anything is generated, so a kill loses at most the answer under
way. A stopped or failed answer keeps what was said until then. What the conversation remembers is
stored with the answer in one transaction: a turn that is lost is as if it had not been, but for a
change of an order, which its key keeps from being made twice.

A conversation that an agent has taken over (`handled_by`) is not answered: the message is stored,
and a notice the first time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import structlog

from app.core.errors import InputError, TooLarge
from app.core.language import normalise, shows_nothing
from app.core.memory import Memory
from app.core.messages import Message
from app.core.settings import Settings
from app.serving.metrics import Metrics
from app.serving.quota import Quota
from app.store.db import Store
from app.store.models import new_id
from app.store.rows import Turn
from app.support.answer import Answer, left_to
from app.support.flows import heard
from app.support.session import Helpers, Session

if TYPE_CHECKING:
    from app.support.chat import SupportChat

log = structlog.get_logger(__name__)
HISTORY_MESSAGES = 20
"""Messages of the conversation that a turn is given: ten exchanges."""
HANDLED = "handled"
"""Intent of a turn that was left to the agent."""
_HANDLED = {
    "en": "A person at the shop has taken this conversation over and reads what you write. They "
    "answer "
    "right here.",
    "zh": "这个对话已经由店里的人工同事接手，您写的内容他们都能看到，会直接在这里回复您。",
}


class ChatPart(NamedTuple):
    """A piece of a turn."""

    conversation_id: str
    message_id: str
    """Of the answer; under it the answer is stored and feedback is given."""
    text: str
    """New text, to be appended; empty in the first part."""
    done: bool = False
    answer: Answer | None = None
    """Set where done: the whole answer with its citations."""
    release: str = ""
    """The release that answers."""


class _Ticket(NamedTuple):
    """What a turn needs to be stored."""

    owner: str
    conversation_id: str
    message_id: str
    prompt_version: str
    release: str
    session: Session

    def part(self, text: str, done: bool = False, answer: Answer | None = None) -> ChatPart:
        """A piece of this turn."""
        return ChatPart(self.conversation_id, self.message_id, text, done, answer, self.release)


class Turns:
    """Runs turns; knows those under way, so that they can be stopped together."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        quota: Quota,
        metrics: Metrics,
        helpers: Callable[[], Helpers] | None = None,
    ) -> None:
        """helpers: what a turn may use beside the articles, asked for at each turn."""
        self._store, self._settings = store, settings
        self._helpers = helpers or Helpers
        self._quota, self._metrics = quota, metrics
        self._running: set[threading.Event] = set()

    def cancel_all(self) -> None:
        """Stop every turn under way, soon; each stores what it has."""
        for cancel in list(self._running):
            cancel.set()

    def run(
        self,
        support: Callable[[], SupportChat],
        owner: str,
        text: str,
        conversation_id: str | None,
        language: str,
        cancel: threading.Event,
        quota: str,
        replaces: str | None = None,
    ) -> Iterator[ChatPart]:
        """See Services.chat."""
        question = self._checked(text)
        chat = support()
        with self._quota.one_at_a_time(quota):
            self._quota.spend("chat", quota)
            conversations = self._store.conversations
            conversation = conversation_id or conversations.create(owner, language)
            conversations.append(owner, conversation, "user", question, replaces=replaces)
            history = _messages(conversations.history(owner, conversation)[:-1])
            state = conversations.state(owner, conversation)
            message = new_id()
            memory = _unasked(state.memory) if replaces else state.memory
            session = Session(owner, conversation, message, memory, language, self._helpers())
            ticket = _Ticket(
                owner, conversation, message, chat.prompt_version, chat.release_id, session
            )
            if state.handled_by:
                yield from self._handled(ticket, state.handled_by, question)
                return
            self._running.add(cancel)
            try:
                yield ticket.part("")
                yield from self._answer(chat, question, history, cancel, ticket)
            finally:
                self._running.discard(cancel)

    def _answer(
        self,
        chat: SupportChat,
        question: str,
        history: Sequence[Message],
        cancel: threading.Event,
        ticket: _Ticket,
    ) -> Iterator[ChatPart]:
        """The parts of the answer; however this ends, what was said is stored once."""
        said, finish, answer = "", "cancelled", None
        began = time.monotonic()
        try:
            with closing(chat.turn(question, history, cancel, ticket.session)) as parts:  # type: ignore[type-var]
                for part in parts:
                    if not said and part.text:
                        self._metrics.seconds.labels("first_text").observe(time.monotonic() - began)
                    said += part.text
                    if part.answer is not None:
                        answer, said, finish = part.answer, part.answer.text, part.answer.finish
                        self._keep(ticket, said, finish, answer)
                    yield ticket.part(part.text, part.done, part.answer)
        except GeneratorExit:
            cancel.set()
            raise
        except Exception:
            finish = "error"
            raise
        finally:
            if answer is None:
                self._keep(ticket, said, finish, None)
            self._metrics.turns.labels(finish).inc()
            self._metrics.seconds.labels("turn").observe(time.monotonic() - began)
            log.info("turn", conversation=ticket.conversation_id, message=ticket.message_id,
                     finish=finish, characters=len(said), release=ticket.release,
                     seconds=round(time.monotonic() - began, 3))  # fmt: skip

    def _handled(self, ticket: _Ticket, agent: str, question: str) -> Iterator[ChatPart]:
        """A person answers here: say so once, then leave the word to them."""
        memory = ticket.session.memory
        answer = left_to(agent, question, ticket.release)
        yield ticket.part("")
        if memory.intent != HANDLED:
            answer = answer._replace(
                text=_HANDLED[heard.language(question, ticket.session.language)], intent=HANDLED,
                memory=memory.model_copy(update={"intent": HANDLED, "running": None, "paused": []}),
            )  # fmt: skip
            self._keep(ticket, answer.text, "stop", answer)
            yield ticket.part(answer.text)
        log.info("turn_for_agent", conversation=ticket.conversation_id)
        yield ticket.part("", True, answer._replace(intent=HANDLED))

    def _keep(self, ticket: _Ticket, text: str, finish: str, answer: Answer | None) -> None:
        citations = [c._asdict() for c in answer.citations] if answer else []
        self._store.conversations.append(
            ticket.owner, ticket.conversation_id, "assistant", text,
            message_id=ticket.message_id, citations=citations,
            release=ticket.release, prompt_version=ticket.prompt_version,
            finish=finish, confidence=answer.confidence if answer else None,
            intent=answer.intent if answer else None, memory=answer.memory if answer else None,
        )  # fmt: skip

    def _checked(self, text: str) -> str:
        bound = self._settings.max_message_chars
        if len(text) > bound:
            raise TooLarge(
                f"your message has {len(text):,} characters; at most {bound:,} are read",
                zh=f"您的消息有 {len(text):,} 个字符，最多 {bound:,} 个，请缩短。",
            )
        clean = normalise(text)
        if shows_nothing(clean):
            raise InputError(
                "your message is empty: type a question", zh="消息是空的，请输入问题。"
            )
        return clean


def _unasked(memory: Memory) -> Memory:
    """`memory` as if the turn that is replaced had not been: asking it anew is no second time."""
    return memory.model_copy(
        update={"declined": max(0, memory.declined - 1), "moods": memory.moods[:-1]}
    )


def _messages(turns: Sequence[Turn]) -> list[Message]:
    """The latest exchanges as the model is given them.

    A question whose answer never came (the process was killed) is left out, with what is empty.
    """
    messages: list[Message] = []
    for asked, answered in pairwise(turns):
        if asked.role == "user" and answered.role == "assistant" and answered.content:
            messages.append(Message(role="user", content=asked.content))
            messages.append(Message(role="assistant", content=answered.content))
    return messages[-HISTORY_MESSAGES:]
