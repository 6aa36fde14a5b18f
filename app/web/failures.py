"""One shape for every error: {"error": {"code", "message", "id"}}, in the reader's language.

The id is also in the log. An error that is a bug is answered with 500 and nothing about it; its
trace goes to the log alone.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import AppError, InputError, NotFound, TooLarge, TooMany
from app.serving.metrics import Metrics

log = structlog.get_logger(__name__)
TOO_LARGE = "the request's body is too large: send less at once"
BUG = "something went wrong on our side; the log has it under this id"
BUG_ZH = "我们这边出了问题，已按此编号记录。"


def language_of(headers: Headers) -> str:
    """ "zh" where the client prefers Chinese (Accept-Language begins with zh), else "en"."""
    wanted = headers.get("accept-language", "").strip().lower()
    return "zh" if wanted.startswith("zh") else "en"


def body(error: AppError, language: str, error_id: str) -> dict[str, Any]:
    """The JSON of an error."""
    return {"error": {"code": error.code, "message": error.in_language(language), "id": error_id}}


def respond(error: AppError, headers: Headers, status: int | None = None) -> JSONResponse:
    """The response to an AppError, logged by code and id."""
    error_id = uuid4().hex[:12]
    log.info("refused", code=error.code, id=error_id, status=status or error.status)
    extra = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TooMany) else None
    content = body(error, language_of(headers), error_id)
    return JSONResponse(content, status_code=status or error.status, headers=extra)


def bug(error: Exception, headers: Headers) -> JSONResponse:
    """The response to a bug; the trace is logged under the id."""
    language = language_of(headers)
    return JSONResponse(bug_body(error, language), status_code=500)


def bug_body(error: Exception, language: str) -> dict[str, Any]:
    """The JSON of a bug, whose trace is logged under the same id."""
    error_id = uuid4().hex[:12]
    log.error("bug", id=error_id, exc_info=error)
    shown = AppError(BUG, zh=BUG_ZH)
    shown.code = "internal"
    return body(shown, language, error_id)


def install(app: FastAPI) -> None:
    """Give `app` the handlers for our errors, bad requests and unknown routes."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, on_http)


async def _on_app_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    return respond(error, request.headers)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Names the fields, not the values: what a visitor typed is not sent around.
    faults = [f"{_where(e['loc'])}: {e['msg'].lower()}" for e in error.errors()[:5]]
    return respond(InputError("; ".join(faults)), request.headers)


async def on_http(request: Request, error: Exception) -> JSONResponse:
    """A routing error (404, 405) or one that a route raised by status."""
    assert isinstance(error, HTTPException)
    response = respond(_of_status(request, error), request.headers, error.status_code)
    response.headers.update(error.headers or {})
    return response


def _of_status(request: Request, error: HTTPException) -> AppError:
    if error.status_code == 404:
        return NotFound(f"there is nothing at {request.url.path[:100]}: see /docs")
    if error.status_code == 413:
        return TooLarge(TOO_LARGE)
    if error.status_code == 400:
        return InputError(str(error.detail))
    shown = AppError(str(error.detail))
    shown.code = f"http_{error.status_code}"
    return shown


def _where(location: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in location if part != "body"]
    return ".".join(parts) or "the body"


class Failures:
    """The outermost guard: counts requests, and answers what nobody caught with 500 and an id."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            response = bug(error, Headers(scope=scope))
            if not status:  # else the client sees a cut stream, which is all that is left to say
                await response(scope, receive, watched)
        finally:
            self._metrics.requests.labels(_route(scope), str(status)).inc()


def _route(scope: Scope) -> str:
    """The route's pattern, or `page`: as many labels as routes, not as URLs."""
    route = scope.get("route")
    path = getattr(route, "path", "")
    return path if path.startswith(("/v1", "/docs", "/healthz", "/readyz", "/metrics")) else "page"
