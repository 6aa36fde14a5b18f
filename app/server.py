"""create_app(settings) -> FastAPI: the page at /, the HTTP contract under /v1, and their guards.

Order of the guards, outermost first: failures and counts, security headers, closed doors, body
limit, origin check, CORS, visitor cookie. Layer: app.server imports app.services, app.web, app.ui.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.core import logs
from app.core.errors import NotFound
from app.core.settings import Settings
from app.services import Services
from app.ui import article, signin
from app.web import articles, chat, docs, failures, features, login, me, operations
from app.web.gradio_import import quicken
from app.web.guards import BodyLimit, ClosedDoors, OriginCheck, SecurityHeaders
from app.web.visits import Visits

if TYPE_CHECKING:
    import gradio as gr

API_VERSION = "1.0"
QUEUE_SIZE = 32
"""Page events that may wait; more get a message that the queue is full."""
PAGE_WORKERS = 8
"""Page events that run at once; a chat turn holds one, and each visitor has one turn at most."""


def create_app(settings: Settings, services: Services | None = None) -> FastAPI:
    """The application; `services` (default: made from the settings) start and stop with it."""
    logs.configure()
    services = services or Services(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services.start()
        try:
            yield
        finally:
            services.stop()

    app = FastAPI(
        title="Frontdesk", version=API_VERSION, lifespan=lifespan,
        docs_url=None, redoc_url=None,
        description="Customer-service chat, sentiment and recommendations on gated models.",
    )  # fmt: skip
    app.state.services = services
    _guard(app, settings, services)
    failures.install(app)
    for part in (operations, chat, features, me):
        app.include_router(part.router(services))
    shop = services.brief.name
    app.include_router(login.router(services, partial(signin.page, shop)))
    app.include_router(articles.router(services, partial(article.page, shop)))
    docs.install(app)
    app.include_router(_nothing())
    _in_a_loop(partial(_mount_page, app, settings, services))
    return app


def _guard(app: FastAPI, settings: Settings, services: Services) -> None:
    """Add the guards, the innermost first."""
    app.add_middleware(Visits, visitors=services.visitors, secure=settings.secure_cookies)
    # Present even with no origin allowed: where the parent app has its own, Gradio adds none.
    app.add_middleware(
        CORSMiddleware, allow_origins=settings.allowed_origins, allow_credentials=True,
        allow_methods=["GET", "POST", "DELETE"], allow_headers=["content-type", "authorization"],
        expose_headers=["retry-after"],
    )  # fmt: skip
    app.add_middleware(OriginCheck, allowed=settings.allowed_origins)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(ClosedDoors)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(failures.Failures, metrics=services.metrics)


def _nothing() -> APIRouter:
    """404 in our shape for the rest of /v1, which would else fall through to the page."""
    api = APIRouter(include_in_schema=False)

    @api.api_route("/v1/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def nothing(request: Request) -> None:
        methods = [m.upper() for m in request.app.openapi()["paths"].get(request.url.path, ())]
        if methods:
            allowed = ", ".join(methods)
            raise HTTPException(405, f"use {allowed} here", headers={"Allow": allowed})
        raise HTTPException(404)

    return api


def _mount_page(app: FastAPI, settings: Settings, services: Services) -> None:
    """Mount the page at /. Gradio sends usage reports unless told not to, before its import."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    quicken()
    import gradio as gr

    from app.ui.build import build
    from app.ui.style import mount_kwargs

    page: gr.Blocks = build(services)
    page.queue(api_open=False, max_size=QUEUE_SIZE, default_concurrency_limit=PAGE_WORKERS)
    gr.mount_gradio_app(
        app, page, path="/",
        show_error=False,  # Gradio's default when mounted shows traces
        run_history=False, enable_monitoring=False, ssr_mode=False, mcp_server=False, pwa=False,
        max_file_size=settings.max_body_bytes, footer_links=["settings"],
        **mount_kwargs(),
    )  # fmt: skip
    _own_errors(app.routes[-1].app)  # type: ignore[attr-defined]


def _in_a_loop(act: Callable[[], None]) -> None:
    """`act()` while an event loop runs: without one, Gradio makes several and leaves them open."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def acted() -> None:
            act()

        asyncio.run(acted())
    else:
        act()


def _own_errors(page: FastAPI) -> None:
    """Unknown pages and calls get our error shape; Gradio's own client goes on reading Gradio's."""
    from gradio.route_utils import FnIndexInferError, get_fn

    theirs: Any = page.exception_handlers[HTTPException]

    async def on_http(request: Request, error: Exception) -> Response:
        ours = not request.url.path.startswith("/gradio_api/")
        answer: Response = await (failures.on_http if ours else theirs)(request, error)
        return answer

    async def on_unknown(request: Request, error: Exception) -> Response:
        # What a call of no handler ends in; Gradio would answer with 500.
        if extract_tb(error.__traceback__)[-1].name != get_fn.__name__:
            raise error
        return failures.respond(NotFound("there is no such call"), request.headers)

    page.add_exception_handler(HTTPException, on_http)
    for unknown in (FnIndexInferError, KeyError):
        page.add_exception_handler(unknown, on_unknown)
