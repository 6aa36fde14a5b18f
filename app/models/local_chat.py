"""What the chat engines that run here share: prompts as tokens, tokens as text, waiting and stops.

An engine brings its `Rows`; the batcher runs them for everybody at once, in a thread of its own, so
that a slow reader keeps the model from nobody, and a model that hangs keeps no reader.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty
from typing import Any

from jinja2 import TemplateError

from app.core.errors import InputError, TooLarge
from app.core.messages import Message
from app.models.base import GREEDY, Delta, Finish, ModelFailed, Options
from app.models.batcher import Batcher, Rows, Ticket

log = logging.getLogger(__name__)
STALL_S = 30.0
"""Seconds without a step after which the model counts as hanging."""
_POLL_S, _PATIENCE_S = 0.05, 0.3
"""A reader looks up so often, and waits so long for a stop to be confirmed."""


class LocalChat:
    """A chat model whose tokens are made on this machine."""

    def __init__(
        self, name: str, tokenizer: Any, rows: Rows, ends: frozenset[int], room: int | None
    ) -> None:
        if not tokenizer.chat_template:
            raise InputError(f"{name} has no chat template: it is not a chat model")
        self.name, self.tokenizer = name, tokenizer
        self._batcher, self._ends, self._room = Batcher(rows), ends, room

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the rendered conversation, up to where the answer begins.

        Control tokens that stand in a message are spelled out as text, so that no user can open a
        system turn.
        """
        return self._rendered(messages, answer=True)

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,
        cancel: threading.Event | None = None,
    ) -> Iterator[Delta]:
        """The answer, token by token.

        Raises TooLarge where it might not fit into the context, ModelFailed where the model breaks
        off or hangs.
        """
        closed = threading.Event()
        stopped = _stopper(options, lambda: closed.is_set() or bool(cancel and cancel.is_set()))
        ticket = self._ticket(messages, options, stopped)
        self._batcher.submit(ticket)
        try:
            yield from self._told(ticket)
        finally:
            closed.set()

    def generate_batch(
        self,
        conversations: Sequence[Sequence[Message]],
        options: Options = GREEDY,
        batch_size: int = 16,
    ) -> list[Delta]:
        """Greedy answers, in order, several at a time, each in one Delta: for evaluation.

        In fp32 the same texts and endings as `stream`. Prompts of about the same length go
        together, `batch_size` at most; a deadline holds for a batch. Raises InputError for a
        temperature above 0.
        """
        if options.temperature > 0:
            raise InputError("generate_batch is greedy: expected temperature 0")
        tickets = [self._ticket(m, options, lambda: None) for m in conversations]
        order = sorted(range(len(tickets)), key=lambda i: len(tickets[i].prompt))
        answers = [Delta("")] * len(tickets)
        given_up = threading.Event()
        try:
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                stopped = _stopper(options, given_up.is_set)
                for row in rows:
                    tickets[row].stopped = stopped
                self._batcher.submit(*(tickets[row] for row in rows))
                for row in rows:
                    said = list(self._told(tickets[row]))
                    text = "".join(delta.text for delta in said)
                    answers[row] = Delta(text, True, said[-1].finish, said[-1].tokens)
        finally:
            given_up.set()
        return answers

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """Tokens of the answer to a prompt of tokens, `count` at most, without its end."""
        return list(self.written(prompt, count, self._ends))

    def answers(self, prompts: Sequence[Sequence[int]], count: int) -> list[list[int]]:
        """`greedy` of all prompts, asked at once."""
        options = Options(max_new_tokens=count)
        tickets = [
            Ticket(p, options, _stopper(options, lambda: False), self._ends) for p in prompts
        ]
        self._batcher.submit(*tickets)
        return [list(self._tokens(ticket)) for ticket in tickets]

    def written(
        self, prompt: Sequence[int], count: int, ends: frozenset[int] = frozenset()
    ) -> Iterator[int]:
        """`count` tokens after `prompt` as they come, fewer where one of `ends` comes first."""
        closed = threading.Event()
        options = Options(max_new_tokens=count)
        ticket = Ticket(prompt, options, _stopper(options, closed.is_set), ends)
        self._batcher.submit(ticket)
        try:
            yield from self._tokens(ticket)
        finally:
            closed.set()

    def _tokens(self, ticket: Ticket) -> Iterator[int]:
        while isinstance(item := self._next(ticket), int):
            yield item

    def _ticket(
        self,
        messages: Sequence[Message],
        options: Options,
        stopped: Callable[[], Finish | None],
    ) -> Ticket:
        prompt = self.prompt_ids(messages)
        if self._room is not None and len(prompt) + options.max_new_tokens > self._room:
            raise TooLarge(
                f"the conversation has {len(prompt)} tokens and the answer may have "
                f"{options.max_new_tokens}; {self.name} reads {self._room} in all"
            )
        roles = [message.role for message in messages]
        shared = self._common(prompt, messages[: int(roles[:1] == ["system"])])
        first = roles.index("assistant") if "assistant" in roles else 0
        opening = self._common(prompt, messages[:first]) or None
        return Ticket(prompt, options, stopped, self._ends, shared, opening)

    def _common(self, prompt: Sequence[int], messages: Sequence[Message]) -> int:
        """How many tokens of `prompt` its first `messages` take; 0 for none."""
        if not messages:
            return 0
        try:
            begun = self._rendered(messages, answer=False)
        except TemplateError:  # some templates want a user's turn
            return 0
        return common(prompt, begun)

    def _rendered(self, messages: Sequence[Message], *, answer: bool) -> list[int]:
        rendered = self.tokenizer.apply_chat_template(
            [m.model_dump() for m in messages],
            add_generation_prompt=answer,
            return_dict=True,
            sanitize_control_tokens=True,
        )
        ids: list[int] = rendered["input_ids"]
        return ids

    def _told(self, ticket: Ticket) -> Iterator[Delta]:
        """Deltas of an answer. Text is held back while it ends within a character."""
        ids: list[int] = []
        text = ""
        while isinstance(item := self._next(ticket), int):
            ids.append(item)
            whole = self._decode(ids)
            if not whole.endswith("\ufffd"):
                yield Delta(whole[len(text) :], tokens=len(ids))
                text = whole
        yield Delta(self._decode(ids)[len(text) :], done=True, finish=item, tokens=len(ids))

    def _next(self, ticket: Ticket) -> int | Finish:
        """What comes next for `ticket`, if need be without the model, which may hang."""
        asked: float | None = None
        while True:
            try:
                item = ticket.out.get(timeout=_POLL_S)
            except Empty:
                now = time.monotonic()
                if finish := ticket.stopped():
                    asked = asked or now
                    if now - asked > _PATIENCE_S and (finish == "cancelled" or ticket.written):
                        return finish
                if now - self._batcher.stepped > STALL_S:
                    log.error("%s hangs: no step for %g s", self.name, STALL_S)
                    raise ModelFailed("the model does not answer any more: try later") from None
                continue
            if isinstance(item, BaseException):
                log.error("%s broke off", self.name, exc_info=item)
                raise ModelFailed("the model broke off before its answer was whole") from item
            return item

    def _decode(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common start."""
    shorter = min(len(one), len(other))
    return next((i for i in range(shorter) if one[i] != other[i]), shorter)


def _stopper(options: Options, left: Callable[[], bool]) -> Callable[[], Finish | None]:
    """Why an answer that begins now is to end: its reader has left, or its time is up."""
    began = time.monotonic()

    def stopped() -> Finish | None:
        if left():
            return "cancelled"
        late = options.deadline_s is not None and time.monotonic() - began >= options.deadline_s
        return "length" if late else None

    return stopped
