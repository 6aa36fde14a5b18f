"""/docs: Swagger UI from an installed package, so that it needs no network.

Its version 4 reads OpenAPI 3.0 and refuses 3.1, so the schema that FastAPI makes is brought there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse, Response

VERSION = "3.0.3"
ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Frontdesk: HTTP API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="docs/favicon-32x32.png"><link rel="stylesheet" href="docs/swagger-ui.css">
</head><body><div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script>
</body></html>"""
_START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true});'


def install(app: FastAPI) -> None:
    """Serve /docs and the OpenAPI 3.0 schema of `app`."""
    app.openapi = lambda: _schema(app)  # type: ignore[method-assign]
    app.include_router(_router())


def _router() -> APIRouter:
    from swagger_ui_bundle import swagger_ui_path

    api = APIRouter(include_in_schema=False)

    @api.get("/docs")
    def docs() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    @api.get("/docs/start.js")
    def start() -> Response:
        return Response(_START, media_type="text/javascript")

    for name in ASSETS:
        _asset(api, name, Path(str(swagger_ui_path)) / name)
    return api


def _asset(api: APIRouter, name: str, file: Path) -> None:
    @api.get(f"/docs/{name}")
    def asset() -> FileResponse:
        return FileResponse(file)


def _schema(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        app.openapi_schema = _as_3_0(schema) | {"openapi": VERSION}
    return app.openapi_schema


def _as_3_0(node: Any) -> Any:
    """A 3.1 schema in the words of 3.0: nullable, enum and exclusive bounds as flags."""
    if isinstance(node, list):
        return [_as_3_0(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_3_0(child) for key, child in node.items()}
    if isinstance(node.get("anyOf"), list):
        node = _nullable(node)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    for bound in ("Minimum", "Maximum"):
        value = node.get(f"exclusive{bound}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            node |= {bound.lower(): value, f"exclusive{bound}": True}
    return node


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in node["anyOf"] if kind != {"type": "null"}]
    if len(kinds) == len(node["anyOf"]):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"} | {"nullable": True}
    return rest | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
