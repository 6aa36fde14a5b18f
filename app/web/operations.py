"""/healthz, /readyz and /metrics, for whoever runs this."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from app.services import Services


def router(services: Services) -> APIRouter:
    """The routes over `services`."""
    api = APIRouter(tags=["operations"])

    @api.get("/healthz")
    def healthz() -> dict[str, str]:
        """200 while the process answers at all."""
        return {"status": "ok"}

    @api.get("/readyz")
    def readyz() -> JSONResponse:
        """200 once every feature and the database answer, else 503; says which release serves."""
        ready, features = services.ready()
        database = _database(services)
        well = ready and database == "ready"
        content = {"ready": well, "features": features, "database": {"state": database}}
        return JSONResponse(content, status_code=200 if well else 503)

    @api.get("/metrics")
    def metrics() -> Response:
        """Prometheus's text format; numbers only. Keep it inside your network."""
        for feature, state in services.ready().state.items():
            services.metrics.ready.labels(feature).set(state["state"] == "ready")
        return Response(services.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return api


def _database(services: Services) -> str:
    try:
        services.store.check()
    except SQLAlchemyError:
        return "failed"
    return "ready"
