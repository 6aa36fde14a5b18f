"""POST /v1/sentiment, /v1/recommendations and /v1/feedback."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from app.core.visitor import Visitor
from app.services import Services
from app.serving.accounts import Account, NotAllowed
from app.web.failures import language_of
from app.web.schemas import (
    ERRORS,
    FeedbackRequest,
    FeedbackResponse,
    RecommendRequest,
    RecommendResponse,
    SentimentRequest,
    SentimentResponse,
)
from app.web.visits import visitor_of

Asking = Annotated[Visitor, Depends(visitor_of)]
DECIMALS = 4
"""Probabilities are rounded: more digits help nobody but those who copy the model."""


def router(services: Services) -> APIRouter:
    """The routes over `services`."""
    api = APIRouter(prefix="/v1", responses=ERRORS)

    @api.post("/sentiment", response_model=SentimentResponse, tags=["sentiment"])
    def sentiment(wanted: SentimentRequest, visitor: Asking) -> Any:
        """Label and probabilities of each text."""
        results = services.classify(
            wanted.texts, visitor.owner, keep=wanted.keep, quota=visitor.quota
        )
        return {"results": [_result(c) for c in results], "release": _release(services)}

    @api.post("/recommendations", response_model=RecommendResponse, tags=["recommendations"])
    def recommendations(request: Request, wanted: RecommendRequest, visitor: Asking) -> Any:
        """Products for a customer, for what is liked, or for what is looked for, with reasons.

        `user` is for agents and admins: send the cookie that POST /login sets. Others get 403.
        """
        if wanted.user is not None:
            _staff(services.accounts.who(request.cookies))
        suggestions = services.recommend(
            visitor.owner, user=wanted.user, liked=wanted.liked, query=wanted.query,
            filters=wanted.filters, k=wanted.k,
            language=language_of(request.headers), quota=visitor.quota,
        )  # fmt: skip
        return {"items": [suggestion._asdict() for suggestion in suggestions]}

    @api.post("/feedback", response_model=FeedbackResponse, tags=["feedback"])
    def feedback(wanted: FeedbackRequest, visitor: Asking) -> Any:
        """A thumb with an optional correction; a second one on the same message replaces it."""
        services.feedback(
            visitor.owner, wanted.message_id, wanted.rating, reason=wanted.reason,
            correction=wanted.correction, consent=wanted.consent, quota=visitor.quota,
        )  # fmt: skip
        return {"stored": True}

    return api


def _staff(account: Account) -> None:
    """Raises NotAllowed for others: reasons name what a customer bought.

    Also for the demo shop, where nothing needs it: the page's own tab goes by what is liked.
    """
    if account.role == "customer":
        raise NotAllowed(
            "user: what a customer bought is shown to agents and admins alone. Log in as one "
            "(POST /login, and send its cookie), or leave out `user` and name products in `liked`",
            zh="user：顾客买过什么，只给客服和管理员看。请先登录（POST /login，带上它的 cookie），"
            "或去掉 user，在 liked 里写商品。",
        )


def _release(services: Services) -> str:
    return services.ready().state["sentiment"].get("release", "")


def _result(classified: Any) -> dict[str, Any]:
    prediction = classified.prediction
    strength = prediction.intensity
    return {
        "label": prediction.label,
        "score": round(prediction.score, DECIMALS),
        "probabilities": {k: round(v, DECIMALS) for k, v in prediction.probabilities.items()},
        "intensity": None if strength is None else round(strength, DECIMALS - 1),
        "not_sure": prediction.not_sure,
        "message_id": classified.message_id,
    }
