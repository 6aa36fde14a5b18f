"""A complaint is taken down and handed to a person, who decides; the chat promises nothing."""

from __future__ import annotations

import re

from app.support.flows import heard
from app.support.flows.base import Flow, Said, Talk

_NONE = re.compile(
    r"^\W*(?:no\b|none|nothing|not about|skip|没有|无|不是|跳过|不知道)", re.IGNORECASE
)
_TOLD = re.compile(
    r"\bcomplain(?:ts?)?\b\s*(?:[:,.\-]|about\b|that\b|because\b)\s*(.{15,})"
    r"|投诉\s*[:：，,]\s*(.{6,})",
    re.IGNORECASE | re.DOTALL,
)
_MAX = 1000


class Complaint(Flow):
    """See the module."""

    name = "complaint"
    title = ("complaint", "投诉")
    free = ("problem",)
    slots = ("problem", "order")
    starts = (
        r"\b(?:make|file|lodge|have|raise|submit)\b.{0,12}\bcomplaints?\b",
        r"\bcomplain\b(?! in\b)|^\W*complaints?\W*$",
        r"(?:要|想|我)?投诉",
    )

    def prefill(self, talk: Talk) -> dict[str, str]:
        """An order named at once, and what happened, where that was told with it."""
        numbers, told = heard.orders(talk.text), _TOLD.search(talk.text)
        problem = (told.group(1) or told.group(2)).strip()[:_MAX] if told else ""
        found = {"order": numbers[-1] if len(numbers) == 1 else "", "problem": problem}
        return {slot: value for slot, value in found.items() if value}

    def ask(self, slot: str, talk: Talk) -> Said:
        """What happened, and with which order."""
        if slot == "problem":
            return Said(
                talk.say(
                    "I am sorry to hear that. What happened? Tell me in your own words.",
                    "很抱歉给您带来不便。请问发生了什么？请用您自己的话告诉我。",
                )
            )
        return Said(
            talk.say(
                "Which order is it about? Give me the order number, or say “none”.",
                "是哪个订单？请告诉我订单号；如果和订单无关，请说“没有”。",
            ),
            (),
            [talk.say("None", "没有")],
        )

    def read(self, slot: str, talk: Talk) -> str | None:
        """Any words; a number or none."""
        if slot == "problem":
            return talk.text.strip()[:_MAX] or None
        numbers = heard.orders(talk.text, bare=True)
        return numbers[-1] if numbers else "-" if _NONE.search(talk.text) else None

    def do(self, talk: Talk) -> Said:
        """To a person."""
        return Said(
            talk.say(
                "Thank you for telling me; I have written your complaint down.",
                "谢谢您告诉我们，您的投诉我已经记录下来了。",
            ),
            handoff="complaint",
        )


FLOW = Complaint()
