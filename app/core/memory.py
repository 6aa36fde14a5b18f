"""What a conversation knows between turns: the running flow, who was identified, the mood.

Kept in the database beside the conversation, as JSON; never sent to the browser. A turn is given
one and gives the next one back; both are stored with its answer in one transaction. A turn changes
a deep copy, step by step, so neither is frozen.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.core.config import Strict


class Running(Strict, frozen=False):
    """A flow under way."""

    flow: str
    """Its name."""
    key: str
    """Random, made when it began: the idempotency key of the one change that it may make."""
    slots: dict[str, str] = Field(default_factory=dict)
    """What has been told so far, such as order, email, item, reason, address."""
    asks: str | None = None
    """The slot that was asked for last, or `confirmation`."""
    tries: int = 0
    """How often it was asked for without an answer that fits."""
    aside: bool = False
    """Whether something else was said since: then a yes is not one to what was asked before."""


class Memory(Strict, frozen=False):
    """Of one conversation."""

    running: Running | None = None
    paused: list[Running] = Field(default_factory=list)
    """Flows that a digression into another flow interrupted, the latest last."""
    identified: dict[str, str] = Field(default_factory=dict)
    """Orders whose e-mail address was given rightly: number -> address."""
    intent: str | None = None
    """Of the last turn."""
    moods: list[float] = Field(default_factory=list)
    """Of the customer's turns, -1 (angry) .. 1 (glad), the latest last."""
    declined: int = 0
    """Questions declined in a row."""
    ticket: str | None = None
    """The ticket of a hand-off that is under way."""
    offered: list[str] = Field(default_factory=list)
    """Replies that the page offers as buttons under the last answer."""
    near: list[str] = Field(default_factory=list)
    """Those of them that are titles of articles: who sends one wants the article."""


CLOSED: dict[str, Any] = {"ticket": None, "declined": 0, "moods": []}
"""What a closed ticket leaves of a Memory as it is stored: the bot begins anew."""
