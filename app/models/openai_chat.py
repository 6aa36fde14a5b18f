"""ChatModel on an OpenAI-compatible server (vLLM, SGLang, llama.cpp, ...), streamed over HTTP.

Tokens are counted by chunks, and by the server's own count where it gives one at the end. Weights
behind a server have no sha256, so that nothing made with them is taken for the same system.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from app.core.config import Strict
from app.core.messages import Message
from app.core.prompt import defuse
from app.models.base import GREEDY, Delta, Finish, Options
from app.models.breaker import Breaker
from app.models.openai_server import QuestionRefused, Server, ServerUnavailable, known
from app.models.sse import Chunk, ServerFailed

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)
AT_ONCE = 4
"""Conversations of a batch that are asked at once."""
STALL_S, TAIL_S = 60.0, 1.0
"""Seconds for the next piece of text, and for what follows the end of the answer (the count)."""
_ENDS: dict[str, Finish] = {"stop": "stop", "length": "length"}
_POLL_S = 0.05


class Remote(Strict):
    """A model behind a server, as a report records it. Without sha256: nobody here saw it."""

    ref: str
    source: Literal["server"] = "server"
    name: str
    """What the server calls it."""
    reported: str | None = None
    """What the server says it is; none where it was not asked or keeps no list."""


class OpenAIChat:
    """The model `name` of the server at `url`. Making one contacts nobody.

    Answers raise ServerUnavailable where no question can be answered now, else ServerFailed;
    Resting, at once, while `breaker` is open.
    """

    def __init__(self, url: str, name: str) -> None:
        self.name, self.server, self.breaker = name, Server(url), Breaker()

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,
        cancel: threading.Event | None = None,
    ) -> Iterator[Delta]:
        """The answer, chunk by chunk. Where none begins before the deadline, ServerFailed."""
        closed = threading.Event()
        out: SimpleQueue[Delta | BaseException] = SimpleQueue()

        def left() -> bool:
            return closed.is_set() or (cancel is not None and cancel.is_set())

        if left():
            yield Delta("", done=True, finish="cancelled")
            return
        work = (messages, options, left, out)
        threading.Thread(target=self._work, args=work, daemon=True, name="answer").start()
        tokens = 0
        try:
            while True:
                item = out.get()
                if left():
                    yield Delta("", done=True, finish="cancelled", tokens=tokens)
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
                if item.done:
                    return
                tokens = item.tokens
        finally:
            closed.set()

    def generate_batch(
        self, conversations: Sequence[Sequence[Message]], options: Options = GREEDY
    ) -> list[Delta]:
        """One whole answer for each conversation, in order, AT_ONCE at a time.

        A deadline holds for each. Raises what the first one to fail raises, and gives up the rest.
        """
        return asyncio.run(self._batch(conversations, options))

    def reported(self) -> str | None:
        """What the server says the model is; None where it keeps no list of its models.

        Raises NotFound (another model, listing those there are), ServerUnavailable, ServerFailed.
        """

        async def listed() -> dict[str, str] | None:
            async with self.server.client() as client:
                return await self.server.models(client)

        return known(self.name, asyncio.run(listed()), self.server.url)

    def _work(
        self,
        messages: Sequence[Message],
        options: Options,
        left: Callable[[], bool],
        out: SimpleQueue[Delta | BaseException],
    ) -> None:
        """Fill `out` until the answer ends or the reader has left; its errors are the reader's."""

        async def watched() -> None:
            async with self.server.client() as client:
                answer = asyncio.ensure_future(self._answer(client, messages, options, out.put))
                while not (answer.done() or left()):
                    await asyncio.wait({answer}, timeout=_POLL_S)
                if answer.cancel():  # not done: wake the reader before the connection is closed
                    out.put(Delta("", done=True, finish="cancelled"))
                    await asyncio.wait({answer})
                else:
                    await answer

        try:
            asyncio.run(watched())
        except BaseException as error:
            if isinstance(error, ServerUnavailable):
                log.warning("model server %s: %s", self.server.url, error)
            out.put(error)

    async def _batch(
        self, conversations: Sequence[Sequence[Message]], options: Options
    ) -> list[Delta]:
        free = asyncio.Semaphore(AT_ONCE)

        async def one(messages: Sequence[Message]) -> Delta:
            said: list[Delta] = []
            async with free:
                await self._answer(client, messages, options, said.append)
            return Delta("".join(d.text for d in said), True, said[-1].finish, said[-1].tokens)

        async with self.server.client() as client:
            asked = [asyncio.ensure_future(one(messages)) for messages in conversations]
            try:
                return list(await asyncio.gather(*asked))
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)

    async def _answer(
        self,
        client: httpx.AsyncClient,
        messages: Sequence[Message],
        options: Options,
        put: Callable[[Delta], object],
    ) -> None:
        """Give `put` the answer, the last delta done; the breaker hears how it went."""
        refused: QuestionRefused | None = None
        with self.breaker.asking((ServerFailed, ServerUnavailable)):
            try:
                await self._asked(client, messages, options, put)
            except QuestionRefused as error:
                refused = error
        if refused:
            raise refused

    async def _asked(
        self,
        client: httpx.AsyncClient,
        messages: Sequence[Message],
        options: Options,
        put: Callable[[Delta], object],
    ) -> None:
        now = asyncio.get_running_loop().time
        end = math.inf if options.deadline_s is None else now() + options.deadline_s
        if now() >= end:
            put(Delta("", done=True, finish="length"))
            return
        finish: Finish | None = None
        tokens = counted = 0
        asked = self.server.chunks(client, self._body(messages, options))
        try:
            async with asyncio.timeout_at(min(end, now() + STALL_S)) as clock, aclosing(asked):  # type: ignore[type-var]
                async for chunk in asked:
                    counted = chunk.usage.completion_tokens if chunk.usage else counted
                    text, ended = _read(chunk)
                    if text and finish is None and tokens == options.max_new_tokens:
                        finish = "length"  # a server that does not count
                        break
                    if (text or ended) and finish is None:
                        if text:
                            tokens += 1
                            put(Delta(text, tokens=tokens))
                        finish = ended
                        clock.reschedule(min(end, now() + (TAIL_S if finish else STALL_S)))
        except TimeoutError:
            if finish is None and tokens and now() >= end:
                finish = "length"
            elif finish is None:
                raise await self._silent(client, options if now() >= end else None) from None
        except ServerFailed:
            if finish is None:
                raise
        if finish is None:
            raise ServerFailed("the model server broke off before its answer was whole")
        put(Delta("", done=True, finish=finish, tokens=max(tokens, counted)))

    async def _silent(self, client: httpx.AsyncClient, late: Options | None) -> Exception:
        """Why nothing is heard: past the deadline, or one answer that hangs, or the server."""
        if late is not None:
            return ServerFailed(f"the model server said nothing within {late.deadline_s:g} s")
        try:
            await self.server.models(client)
        except ServerUnavailable as gone:
            return gone
        except ServerFailed:
            pass  # it is there
        return ServerFailed(f"the model server said nothing for {STALL_S:g} s")

    def _body(self, messages: Sequence[Message], options: Options) -> dict[str, Any]:
        """Control tokens are defused here too: the server's template may take them for its own."""
        said = [{"role": m.role, "content": defuse(m.content)} for m in messages]
        body: dict[str, Any] = {
            "model": self.name,
            "messages": said,
            "max_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return body if options.seed is None else body | {"seed": options.seed}


def _read(chunk: Chunk) -> tuple[str, Finish | None]:
    """New text, and how the answer ended if it did. Raises ServerFailed for other endings."""
    if not chunk.choices:
        return "", None
    choice = chunk.choices[0]
    reason = choice.finish_reason
    if reason and reason not in _ENDS:
        raise ServerFailed(f"the model server ended its answer with {reason[:40]!r}")
    text = choice.delta.content if choice.delta else None
    return text or "", _ENDS[reason] if reason else None
