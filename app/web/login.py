"""/login and /logout: a form, a session cookie, and the way back to the page.

Both are refused from pages of other sites (guards.OriginCheck); the cookie is HttpOnly, SameSite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from app.core.errors import AppError, TooMany
from app.services import Services
from app.serving.accounts import COOKIE, SESSION_HOURS
from app.web.failures import language_of

Page = Callable[..., str]
"""(language, wrong, name) -> the login page."""
PRIVATE = {"Cache-Control": "no-store"}
Typed = Annotated[str, Form(max_length=1000)]


def router(services: Services, page: Page) -> APIRouter:
    """The routes over `services`; `page` is the form's markup."""
    api = APIRouter(include_in_schema=False)
    secure = services.settings.secure_cookies

    @api.get("/login")
    def form(request: Request, lang: str = "") -> HTMLResponse:
        return HTMLResponse(page(_language(request, lang)), headers=PRIVATE)

    @api.post("/login")
    def login(request: Request, name: Typed, password: Typed, lang: str = "") -> Any:
        language = _language(request, lang)
        address = request.client.host if request.client else "unknown"
        try:
            cookie = services.accounts.login(name, password, address, request.cookies)
        except AppError as error:
            told = error.in_language(language)
            body = page(language, f"{told[:1].upper()}{told[1:]}", name[:64])
            wait = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TooMany) else {}
            return HTMLResponse(body, status_code=error.status, headers=PRIVATE | wait)
        answer = RedirectResponse("./", status_code=303, headers=PRIVATE)
        answer.set_cookie(
            COOKIE, cookie, max_age=SESSION_HOURS * 3600, httponly=True, samesite="lax",
            secure=secure,
        )  # fmt: skip
        return answer

    @api.post("/logout")
    def logout(request: Request) -> RedirectResponse:
        services.accounts.logout(request.cookies)
        answer = RedirectResponse("./", status_code=303, headers=PRIVATE)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=secure)
        return answer

    return api


def _language(request: Request, asked: str) -> str:
    """The language that the link asks for, else the browser's."""
    return asked if asked in ("en", "zh") else language_of(request.headers)
