"""What every request passes: security headers, closed doors, a bound on its body, its origin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import AppError, NotFound, TooLarge
from app.web.failures import TOO_LARGE, respond

# Gradio's page starts from inline script and style, and compiles `js=` handlers at run time.
CSP = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    )
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# Gradio fetches a URL behind file= or proxy= for the client; its monitoring shows usage to anyone.
_FETCH = re.compile(r"/+gradio_api/+(?:file|proxy)[=/]\s*(?:[a-z][a-z0-9+.-]+:|[/\\]{2})", re.I)
_CLOSED = re.compile(r"/+(?:gradio_api/+)?monitoring(?:/|$)", re.I)
# Nothing on the page takes a file, so nobody may leave one on our disk. And the page calls by
# number, through the queue or run/predict (what has queue=False): no door by name is needed.
_UNUSED = re.compile(
    r"/+gradio_api/+(?:upload|upload_progress|process_recording|component_server|deep_link"
    r"|run(?!/+predict/*$)|api|call)(?:/|$)",
    re.I,
)


class Forbidden(AppError):
    """A browser sent this from a page of another site."""

    code, status, zh_default = "forbidden", 403, "不接受来自其他网站的请求。"


class SecurityHeaders:
    """Adds HEADERS to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class ClosedDoors:
    """404 for Gradio's URL fetching, monitoring, uploads and direct calls, in any spelling."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and closed(scope["path"]):
            await respond(NotFound("there is nothing here"), Headers(scope=scope))(
                scope, receive, send
            )
            return
        await self._app(scope, receive, send)


def closed(path: str) -> bool:
    """Whether a path, also one encoded several times, leads to a closed door."""
    for _ in range(4):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    return any(door.match(path) for door in (_FETCH, _CLOSED, _UNUSED))


class BodyLimit:
    """413 for a body above the bound: at once where it is announced, else when it is passed.

    FastAPI's own max_body_size answers in plain text, and not in the reader's language.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max:
            await respond(TooLarge(TOO_LARGE), headers)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max:
                # FastAPI lets this kind alone pass through its reading of a body.
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


class OriginCheck:
    """403 for a browser's POST to /v1 from a page of another site, unless that site is allowed, and
    to /login and /logout from any other site.

    Programs send neither Origin nor Sec-Fetch-Site and pass.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app, self._allowed = app, frozenset(origin.rstrip("/") for origin in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["method"] not in ("GET", "HEAD", "OPTIONS")
            and scope["path"].startswith(("/v1/", "/login", "/logout"))
            and not self._same(scope["path"], Headers(scope=scope))
        ):
            error = Forbidden(
                "a page of another site sent this: add its origin to allowed_origins to let it"
            )
            await respond(error, Headers(scope=scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _same(self, path: str, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        allowed = path.startswith("/v1/") and origin in self._allowed
        return allowed or _host(origin) == headers.get("host")


def _host(origin: str) -> str:
    """The origin's host and port; none where it is no URL, such as "null" or "http://["."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
