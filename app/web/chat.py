"""POST /v1/chat/completions: OpenAI's shape over the stored conversation of one visitor."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from app.core.errors import AppError, InputError
from app.core.visitor import Visitor
from app.services import Services
from app.serving.turns import ChatPart
from app.web.failures import body, bug_body, language_of
from app.web.schemas import ERRORS, ChatRequest, ChatResponse
from app.web.visits import visitor_of


def router(services: Services) -> APIRouter:
    """The route over `services`."""
    api = APIRouter(prefix="/v1", tags=["chat"])

    @api.post("/chat/completions", response_model=ChatResponse, responses=ERRORS)
    async def chat_completions(
        request: Request, wanted: ChatRequest, visitor: Annotated[Visitor, Depends(visitor_of)]
    ) -> Any:
        """Answer the last user message; streams server-sent events with `"stream": true`."""
        cancel = threading.Event()
        parts = services.chat(
            visitor.owner, last_question(wanted), quota=visitor.quota, cancel=cancel,
            conversation_id=wanted.frontdesk.conversation_id,
            language=language_of(request.headers),
        )  # fmt: skip
        # The first part is pulled here, so that a refusal has its own status, also in a stream.
        first = await run_sync(next, parts)
        if wanted.stream:
            language = language_of(request.headers)
            return _streamed(_events(first, parts, cancel, language))
        return await run_sync(_whole, parts)

    return api


def last_question(wanted: ChatRequest) -> str:
    """The text of the last user message: all of the request's history that is read."""
    content = next((m.content for m in reversed(wanted.messages) if m.role == "user"), None)
    if content is None:
        raise InputError("messages: expected one with role `user` and a text, found none")
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content)


def _whole(parts: Iterator[ChatPart]) -> dict[str, Any]:
    last = deque(parts, maxlen=1).pop()
    assert last.answer is not None
    message = {"role": "assistant", "content": last.answer.text}
    choice = {"index": 0, "message": message, "finish_reason": _reason(last)}
    return {**_head(last, "chat.completion"), "model": last.release, "choices": [choice],
            "frontdesk": _beside(last)}  # fmt: skip


def _streamed(events: AsyncIterator[str]) -> Response:
    # A proxy that buffers (nginx) would turn the stream into one late block.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    first: ChatPart, parts: Iterator[ChatPart], cancel: threading.Event, language: str
) -> AsyncIterator[str]:
    """OpenAI's chunks, ours beside the last, then [DONE]. A client that leaves stops the turn."""
    ids = {"conversation_id": first.conversation_id, "message_id": first.message_id}
    try:
        yield _event(_chunk(first, {"role": "assistant", "content": ""}, None) | {"frontdesk": ids})
        while (part := await _next(parts, cancel)) is not None:
            if part.text:
                yield _event(_chunk(part, {"content": part.text}, None))
            if part.done:
                yield _event(_chunk(part, {}, _reason(part)) | {"frontdesk": _beside(part)})
        yield "data: [DONE]\n\n"
    except AppError as error:
        yield _event(body(error, language, first.message_id))
    except Exception as error:  # the status is sent already: the event is where it can be told
        yield _event(bug_body(error, language))
    finally:
        cancel.set()
        with anyio.CancelScope(shield=True):
            await run_sync(parts.close)  # type: ignore[attr-defined]


async def _next(parts: Iterator[ChatPart], cancel: threading.Event) -> ChatPart | None:
    """The next part. A client that leaves is seen at once, not when the model speaks next."""
    pulled = asyncio.ensure_future(run_sync(next, parts, None))
    try:
        return await asyncio.shield(pulled)
    except asyncio.CancelledError:
        cancel.set()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({pulled})
        if not pulled.cancelled():
            pulled.exception()  # nobody is there to be told
        raise


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _head(part: ChatPart, kind: str) -> dict[str, Any]:
    return {"id": part.message_id, "object": kind, "created": int(time.time())}


def _chunk(part: ChatPart, delta: dict[str, str], reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**_head(part, "chat.completion.chunk"), "model": part.release, "choices": [choice]}


def _reason(part: ChatPart) -> str:
    """OpenAI knows `stop` and `length`; a declined or stopped answer is a `stop` to it."""
    assert part.answer is not None
    return "length" if part.answer.finish == "length" else "stop"


def _beside(part: ChatPart) -> dict[str, Any]:
    answer = part.answer
    assert answer is not None
    return {
        "conversation_id": part.conversation_id,
        "message_id": part.message_id,
        "citations": [citation._asdict() for citation in answer.citations],
        "intent": answer.intent,
        "confidence": round(answer.confidence, 4),
        "handoff": answer.handoff is not None,
        "release": answer.release,
        "notes": answer.notes,
    }
