"""Gives every visitor a cookie at the first visit and tells routes who asks."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.visitor import COOKIE, MAX_AGE_S, Visitor, Visitors
from app.serving.quota import counted


class Visits:
    """Sets scope["state"]["visitor"] for page and /v1, and the cookie where one was issued."""

    def __init__(self, app: ASGIApp, visitors: Visitors, secure: bool) -> None:
        self._app, self._visitors, self._secure = app, visitors, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = self._visitor(scope) if scope["type"] == "http" else None
        if visitor is None:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["visitor"] = visitor

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and visitor.cookie:
                headers = MutableHeaders(scope=message)
                headers.append("Set-Cookie", self._set_cookie(visitor.cookie))
                headers["Cache-Control"] = "no-store"  # a shared cache must not hand it to others
            await send(message)

        await self._app(scope, receive, with_cookie)

    def _visitor(self, scope: Scope) -> Visitor | None:
        if scope["path"].startswith("/v1/"):
            connection = HTTPConnection(scope)
            address = connection.client.host if connection.client else ""
            visitor = self._visitors.of_request(connection.cookies, address)
            return visitor._replace(quota=counted(visitor.quota, address))
        if scope["path"] == "/" and scope["method"] == "GET":
            owner = self._visitors.owner_in(HTTPConnection(scope).cookies)
            return Visitor(owner, owner) if owner else self._new()
        return None

    def _new(self) -> Visitor:
        owner, cookie = self._visitors.issue()
        return Visitor(owner, owner, cookie)

    def _set_cookie(self, value: str) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{COOKIE}={value}; Path=/; Max-Age={MAX_AGE_S}; HttpOnly; SameSite=Lax{secure}"


def visitor_of(request: Request) -> Visitor:
    """The visitor of a /v1 request: for `Depends`."""
    visitor: Visitor = request.state.visitor
    return visitor
