"""What /v1 takes and gives. Unknown fields are refused, except in the OpenAI-compatible request."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.recommend.shop import MAX_K, Filters


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        """PostgreSQL keeps no NUL in a text."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("expected a text without NUL characters")
        return value


class _Lenient(BaseModel):
    """OpenAI's clients send many fields (temperature, tools, ...); unknown ones do nothing here."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class TextPart(_Lenient):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(_Lenient):
    """A message; only the last one with role `user` is read."""

    role: str
    content: str | list[TextPart] | None = None


class ChatExtra(_In):
    """What OpenAI's request has no place for."""

    conversation_id: str | None = Field(None, max_length=64)
    """Goes on with a conversation of yours; absent begins one."""


class ChatRequest(_Lenient):
    """OpenAI's chat completion; earlier turns come from our database, not from `messages`."""

    messages: list[ChatMessage] = Field(min_length=1)
    model: str | None = None
    """Taken and ignored: the released system answers."""
    stream: bool = False
    frontdesk: ChatExtra = ChatExtra(conversation_id=None)


class CitationOut(BaseModel):
    """An article that the answer rests on."""

    id: str
    title: str
    url: str
    passage: str


class FrontdeskOut(BaseModel):
    """What stands beside the answer."""

    conversation_id: str
    message_id: str
    """For /v1/feedback."""
    citations: list[CitationOut]
    intent: str | None
    """What the turn was taken for: a flow's name, question, small_talk; handled: by an agent."""
    confidence: float
    handoff: bool
    """Whether this turn handed the conversation to a person."""
    release: str
    notes: list[str]


class AnswerMessage(BaseModel):
    """The assistant's message."""

    role: Literal["assistant"]
    content: str


class Choice(BaseModel):
    """The only choice."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]


class ChatResponse(BaseModel):
    """OpenAI's chat completion, with `frontdesk` beside it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    frontdesk: FrontdeskOut


class SentimentRequest(_In):
    """Texts to classify."""

    texts: list[str] = Field(min_length=1)
    explain: Literal[False] = False
    """Explanations are not part of this release."""
    keep: bool = False
    """Store text and prediction so that feedback can be given on its message_id."""


class SentimentResult(BaseModel):
    """One prediction."""

    label: str
    score: float
    probabilities: dict[str, float]
    intensity: float | None = None
    """From -4 (very bad) to 4 (very good); absent for labels other than positive and negative."""
    not_sure: bool
    message_id: str | None = None
    """Only where it was kept."""


class SentimentResponse(BaseModel):
    """Predictions in the order of the texts."""

    results: list[SentimentResult]
    release: str


class RecommendRequest(_In):
    """What to go by; with nothing: what is popular."""

    user: str | None = Field(None, max_length=64)
    """A customer of the shop; for agents and admins, who send the cookie of POST /login."""
    liked: list[str] = Field(default_factory=list)
    query: str | None = None
    filters: Filters = Field(default_factory=Filters)
    k: int = Field(10, ge=1, le=MAX_K)


class Item(BaseModel):
    """A suggested product."""

    id: str
    title: str
    price: float | None
    score: float
    reason: str


class RecommendResponse(BaseModel):
    """Products, the best first."""

    items: list[Item]


class FeedbackRequest(_In):
    """A thumb on an answer or on a kept prediction."""

    message_id: str = Field(max_length=64)
    rating: Literal[1, -1]
    reason: str | None = None
    correction: str | None = None
    consent: bool = False
    """Whether it may be trained on."""


class FeedbackResponse(BaseModel):
    """Stored."""

    stored: Literal[True]


class ErrorDetail(BaseModel):
    """What went wrong; the id is in our log."""

    code: str
    message: str
    id: str


class ErrorOut(BaseModel):
    """Every error has this shape."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorOut, "description": "Bad input"},
    403: {"model": ErrorOut, "description": "Not for who asks, or from a page of another site"},
    404: {"model": ErrorOut, "description": "No such thing, or not yours"},
    413: {"model": ErrorOut, "description": "Too large"},
    429: {"model": ErrorOut, "description": "Too many requests; see Retry-After"},
    503: {"model": ErrorOut, "description": "Still loading"},
}


class Deleted(BaseModel):
    """What was deleted, by kind."""

    deleted: dict[str, int]
