"""GET /v1/me/export and DELETE /v1/me: what is kept of the visitor who asks, out or gone."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from app.core.visitor import Visitor
from app.services import Services
from app.web.schemas import ERRORS, Deleted
from app.web.visits import visitor_of

Asking = Annotated[Visitor, Depends(visitor_of)]


def router(services: Services) -> APIRouter:
    """The routes over `services`."""
    api = APIRouter(prefix="/v1/me", responses=ERRORS, tags=["my data"])

    @api.get("/export")
    def export(visitor: Asking, response: Response) -> dict[str, Any]:
        """All that is kept of you, as JSON: conversations as typed, feedback, tickets."""
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Disposition"] = 'attachment; filename="my-data.json"'
        return services.export_mine(visitor.owner)

    @api.delete("", response_model=Deleted)
    def delete(visitor: Asking) -> Any:
        """Delete all that is kept of you, for good; how much there was."""
        return {"deleted": services.delete_mine(visitor.owner)._asdict()}

    return api
