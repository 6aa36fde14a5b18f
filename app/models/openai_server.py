"""A server that speaks OpenAI's protocol: how it is asked, and what its refusals mean.

Nothing that it says is trusted: waiting, lines and answers are bounded, redirects are not followed,
and of its words about a fault only the code is told, since they may quote the question or the
key. The key comes from the environment and goes into one header. Proxies and .netrc of the
environment are not read: a question goes to the address that was named, or nowhere.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr, ValidationError

from app.core.errors import AppError, ConfigError, NotFound, NotReady, nearest
from app.models.sse import MAX_LINE, Chunk, ServerFailed, chunks

if TYPE_CHECKING:
    import httpx

KEY = "FRONTDESK_OPENAI_API_KEY"
CONNECT_S, LIST_S = 5.0, 5.0
"""Seconds for a connection, and for the list of models."""
_WAITS = (0.3, 1.0)
"""Seconds before the second and the third try, where nothing was said yet."""
_MAX_WAIT_S = 10.0
"""Where the server itself asks for a pause."""
_BUSY = (429, 502, 503, 504)
_AGAIN = (500, *_BUSY)
_CODE = re.compile(rb'"(?:code|type)"\s*:\s*"([A-Za-z_]{1,40})"')


class ServerUnavailable(NotReady):
    """No question can be answered now: nobody there, no access, no such model."""

    zh_default = "模型服务暂时连不上，请稍后再试。"


class QuestionRefused(ServerFailed):
    """The server is well, and does not take this question."""


class _Model(BaseModel):
    id: str
    root: str | None = None
    """vLLM: the weights behind the name."""


class _Models(BaseModel):
    data: list[_Model]


class Server:
    """The server at `url`, such as http://127.0.0.1:8000/v1. Making one contacts nobody.

    Raises ConfigError for a key that cannot stand in a header.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._key = SecretStr(os.environ.get(KEY, "").strip())
        if not re.fullmatch(r"[!-~]*", self._key.get_secret_value()):
            raise ConfigError(f"{KEY}: expected printable ASCII without spaces")
        self._tls = ssl.create_default_context() if url.startswith("https:") else False

    def client(self) -> httpx.AsyncClient:
        """A client for one event loop. It bounds the connecting; its users bound the rest."""
        import httpx

        headers = {"Accept-Encoding": "identity"}  # unpacked, an answer has no bound
        if key := self._key.get_secret_value():
            headers["Authorization"] = f"Bearer {key}"
        return httpx.AsyncClient(
            headers=headers, verify=self._tls, trust_env=False, follow_redirects=False,
            timeout=httpx.Timeout(None, connect=CONNECT_S),
        )  # fmt: skip

    async def chunks(self, client: httpx.AsyncClient, body: dict[str, Any]) -> AsyncIterator[Chunk]:
        """The answer to a chat completion. Raises ServerUnavailable or ServerFailed."""
        import httpx

        try:
            response = await self._sent(client, "POST", "chat/completions", body)
            try:
                await _must_stream(response)
                async for chunk in chunks(response.aiter_raw()):
                    yield chunk
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ServerUnavailable("the model server cannot be reached: is it running?") from error
        except httpx.HTTPError as error:
            raise ServerFailed("the model server broke off before its answer was whole") from error

    async def models(self, client: httpx.AsyncClient) -> dict[str, str] | None:
        """By its name, what each model is said to be, without folders; None where there is no list.

        Raises ServerUnavailable (also where it takes longer than LIST_S) or ServerFailed.
        """
        import httpx

        try:
            async with asyncio.timeout(LIST_S):
                response = await self._sent(client, "GET", "models")
                try:
                    if response.status_code in (404, 405, 501):
                        return None
                    if response.status_code != 200:
                        raise await _refusal(response)
                    found = _Models.model_validate_json(await _head(response, MAX_LINE))
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, TimeoutError) as error:
            why = str(error) or f"no answer within {LIST_S:g} s"
            raise ServerUnavailable(
                f"no model server can be reached at {self.url} ({why}): is it running there?"
            ) from error
        except (httpx.HTTPError, ValidationError) as error:
            raise ServerFailed(
                f"{self.url}/models is no list of models: expected an OpenAI-compatible server "
                "there, and its address up to /v1"
            ) from error
        return {model.id: _without_folder(model.root or model.id) for model in found.data}

    async def _sent(
        self, client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
    ) -> httpx.Response:
        """The response, its body unread; a server that is busy or fails gets three tries.

        Nothing was said yet, so that nobody hears the same words twice.
        """
        import httpx

        for wait in (*_WAITS, None):
            request = client.build_request(method, f"{self.url}/{path}", json=body)
            try:
                response = await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                if wait is None:
                    raise
            else:
                if wait is None or response.status_code not in _AGAIN:
                    return response
                wait = max(wait, min(_retry_after(response), _MAX_WAIT_S))
                await response.aclose()
            # Spread, so that many who were turned away together do not come back together.
            await asyncio.sleep(wait * random.uniform(1.0, 1.5))
        raise AssertionError("the last try returns or raises")


def known(name: str, models: dict[str, str] | None, url: str) -> str | None:
    """What the server says that `name` is. Raises NotFound, listing its models, for another."""
    if models is None:
        return None
    if name not in models:
        there = ", ".join(list(models)[:20]) or "none"
        raise NotFound(f"{url} has no model {name!r}.{nearest(name, models)} It has: {there}")
    return models[name]


async def _must_stream(response: httpx.Response) -> None:
    if response.status_code != 200:
        raise await _refusal(response)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    packed = response.headers.get("content-encoding", "identity").lower()
    if kind != "text/event-stream" or packed != "identity":
        raise ServerFailed(
            "the model server does not stream its answer: expected text/event-stream, found "
            f"{kind[:60] or 'no content type'}{'' if packed == 'identity' else f', {packed[:20]}'}"
        )


async def _refusal(response: httpx.Response) -> AppError:
    """What a status that is not 200 means to the reader."""
    status = response.status_code
    code = _CODE.search(await _head(response, 16 * 1024)) if status >= 400 else None
    said = f"({status}{f' {code[1].decode()}' if code else ''})"
    if status in (401, 403):
        return ServerUnavailable(f"the model server refuses us {said}: is {KEY} set and right?")
    if status == 404:
        return ServerUnavailable(
            f"the model server has no such model or address {said}: expected openai:URL#name with "
            "the URL up to /v1 and a name that it knows"
        )
    if status < 400:
        return ServerUnavailable(
            f"the model server sends us elsewhere {said}, where no question is sent: name the "
            "address itself"
        )
    if status in _BUSY:
        return ServerFailed(f"the model server is busy {said}: try again in a moment")
    if status < 500:
        return QuestionRefused(
            f"the model server refuses the question {said}: longer than its model reads, or a "
            "prompt that its model's template does not take; its log says more"
        )
    return ServerFailed(f"the model server failed {said}: its log says more")


async def _head(response: httpx.Response, most: int) -> bytes:
    """The first `most` bytes of the body."""
    body = b""
    async for block in response.aiter_raw():
        body += block
        if len(body) >= most:
            break
    return body[:most]


def _retry_after(response: httpx.Response) -> float:
    said = response.headers.get("retry-after", "")
    return float(said) if re.fullmatch(r"\d{1,4}", said) else 0.0


def _without_folder(root: str) -> str:
    return PurePosixPath(root).name if root.startswith("/") else root
