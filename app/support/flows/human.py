"""Talk to a human: handed over at once where it was asked for, after a yes where it was offered."""

from __future__ import annotations

import re

from app.support.flows.base import Flow, Said, Talk

_PERSON = (
    r"(?:human|real person|person|agent|representative|operator|somebody|someone|colleague|"
    r"employee|manager|staff|customer service)"
)
_HOURS = re.compile(
    r"\b(?:hours?|what time|phone|telephone|opening|weekends?|holidays?|(?:mon|tues|wednes|thurs"
    r"|fri|satur|sun)days?)\b|几点|时间|电话|号码|上班|下班|周[一二三四五六日末]|星期|节假日",
    re.IGNORECASE,
)
_WANTS = re.compile(
    r"\b(?:i (?:want|need|demand|would like)|i'd like|let me|please|now)\b|现在|马上|立刻|帮我|请",
    re.IGNORECASE,
)


class Human(Flow):
    """See the module."""

    name = "human"
    title = ("hand-over", "转人工")
    deed = rf"connect|talk|speak|transfer|hand|over|{_PERSON}|转|接|人工"
    starts = (
        rf"^\W*(?:(?:a|an|real|live|the) )*{_PERSON}(?: please| pls| now)?\W*$",
        rf"\b(?:talk|speak|chat) (?:to|with)\b.{{0,25}}\b{_PERSON}\b",
        rf"\b(?:connect|transfer|pass|hand|put)\b.{{0,25}}\b(?:to|through|on to|"
        rf"over to)\b.{{0,12}}\b{_PERSON}\b",
        rf"\blet\b.{{0,6}}\b{_PERSON}\b.{{0,20}}\b(?:answer|help|call|write|look)\b",
        r"\bi (?:want|need|demand) (?:a|an) (?:human|real person|agent|representative|operator)\b",
        r"转(?:到)?人工|人工(?:客服|服务)|(?:找|要|接|换)(?:个|一个|你们的)?(?:真人|人工|客服|"
        r"经理)",
        r"让.{0,6}(?:真人|人工|客服|店员|同事).{0,8}(?:跟|和|回|联系|答|说)|^\W*(?:人工|真人|"
        r"客服)\W*$",
    )

    def started(self, text: str) -> bool:
        """Not by asking whether one is here already."""
        asks_who = re.match(r"\W*(?:are|is) (?:you|this|there)\b|\W*(?:你|您)是", text, re.I)
        return not asks_who and super().started(text)

    def asks_about(self, text: str) -> bool:
        """Only hours and numbers are asked about; any other way to put it is taken seriously."""
        return bool(_HOURS.search(text)) and not _WANTS.search(text)

    def do(self, talk: Talk) -> Said:
        """Nothing to add to what the hand-off says."""
        del talk
        return Said("", handoff="asked")


FLOW = Human()
