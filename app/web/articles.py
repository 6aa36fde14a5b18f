"""/articles/<id>: a help article whole, where an answer's citation leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.services import Services
from app.serving.articles import Articles
from app.web.failures import language_of

Page = Callable[[Mapping[str, Any], str], str]
"""(article, language) -> the page."""


def router(services: Services, page: Page) -> APIRouter:
    """The route over `services`; `page` is the markup."""
    api = APIRouter(include_in_schema=False)
    shelf = Articles(services.settings, services.store)

    @api.get("/articles/{article:path}")
    def article(request: Request, article: str) -> HTMLResponse:
        found = shelf.get(article)
        return HTMLResponse(page(found, str(found.get("lang") or language_of(request.headers))))

    return api
