"""An OpenAI stream as it comes over the wire: bounded lines, read as chunks, trusted in nothing.

    data: {"choices": [{"delta": {"content": "Returns"}, "finish_reason": null}]}
    data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    data: {"choices": [], "usage": {"completion_tokens": 1}}
    data: [DONE]

Comments, other fields of the event and other keys of a chunk are skipped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from app.models.base import ModelFailed

BOM = "\ufeff"
"""May stand before the first line."""
MAX_LINE = 256 * 1024
"""Bytes: thousands of times what a token takes."""
MAX_STREAM = 8 * 1024 * 1024
"""Bytes of one answer."""


class ServerFailed(ModelFailed):
    """The model server answers, but not with an answer: the next question may fare better."""

    code, status, zh_default = "model_server", 502, "模型服务出了点问题，请稍后再试。"


class Words(BaseModel):
    """What a chunk adds."""

    content: str | None = None


class Choice(BaseModel):
    """The answer that a chunk belongs to; there is one."""

    delta: Words | None = None
    finish_reason: str | None = None


class Usage(BaseModel):
    """The server's own count, beside the last chunk."""

    completion_tokens: int = Field(0, ge=0)


class Chunk(BaseModel):
    """One event."""

    choices: list[Choice] = []
    usage: Usage | None = None
    object: str | None = None
    error: Any = None


async def chunks(blocks: AsyncIterator[bytes]) -> AsyncIterator[Chunk]:
    """Chunks up to [DONE] or the end. Raises ServerFailed for anything that is no OpenAI stream."""
    async for line in lines(blocks):
        field, _, value = line.removeprefix(BOM).partition(":")
        if field != "data" or not value.strip():
            continue
        if value.strip() == "[DONE]":
            return
        try:
            chunk = Chunk.model_validate_json(value)
        except ValidationError as error:
            raise ServerFailed(
                f"the model server sent an event of {len(value)} characters that is no chunk of "
                "an OpenAI stream: is it an OpenAI-compatible server?"
            ) from error
        if chunk.error is not None or chunk.object == "error":
            raise ServerFailed("the model server broke off its answer with an error: see its log")
        yield chunk


async def lines(blocks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Lines of UTF-8 without their ends. Raises ServerFailed beyond MAX_LINE and MAX_STREAM."""
    held, total = bytearray(), 0
    async for block in blocks:
        held += block
        total += len(block)
        if b"\n" in block:
            *whole, held = held.split(b"\n")
            for line in whole:
                yield _text(line)
        if len(held) > MAX_LINE or total > MAX_STREAM:
            raise ServerFailed(
                f"the model server sent more than is read: a line of {len(held)} bytes (at most "
                f"{MAX_LINE}) in a stream of {total} (at most {MAX_STREAM})"
            )
    yield _text(held)


def _text(line: bytearray) -> str:
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError as error:
        raise ServerFailed("the model server sent bytes that are not text in UTF-8") from error
