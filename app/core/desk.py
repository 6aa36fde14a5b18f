"""The seam to the people behind the chat: what they are handed, and how it reaches them."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from app.core.config import Strict

Reason = Literal["asked", "low_confidence", "failure", "mood", "complaint"]


class Said(Strict):
    """One message of the transcript."""

    role: str
    """user, assistant or agent."""
    content: str


class Packet(Strict):
    """What a person needs to take over without asking again."""

    reason: Reason
    summary: str
    """One or two sentences in the customer's language: what they want and how far it got."""
    language: str
    intent: str | None = None
    slots: dict[str, str] = Field(default_factory=dict)
    evidence: list[dict[str, str]] = Field(default_factory=list)
    """Articles shown or looked at: {id, title}."""
    moods: list[float] = Field(default_factory=list)
    """As in app.core.memory."""
    transcript: list[Said] = Field(default_factory=list)
    """All that was said, the message that led to the hand-off included; may be empty."""


class Desk(Protocol):
    """Where hand-offs arrive."""

    def hand_over(self, owner: str, conversation_id: str, packet: Packet) -> str:
        """Deliver `packet`; returns the ticket's id, committed when this returns.

        A conversation has one open ticket: again gives the same id, with the newer packet.
        """
        ...
