"""When a person should take over, and what they are handed. Pure: delivery is app.core.desk.Desk's.

`decide` looks at what the conversation knows (app.core.memory) after a turn; `packet` writes down
what the person needs. A flow or turn asks `decide`, delivers, and only then promises a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from app.core.desk import Desk, Packet, Reason, Said
from app.core.memory import Memory
from app.support import mood
from app.support.phrases import with_contact

log = structlog.get_logger(__name__)
OFFER_AFTER = 2
"""Questions declined in a row after which a person is offered."""
HAND_OVER_AFTER = 3
"""The same, handed over unasked."""
TRIES = 3
"""Times that a flow asked for one thing in vain, after which a person is offered."""
AGAIN = 3
"""Turns after which an offer for a sunk mood is made anew."""
QUOTED = 160
"""Characters of the last message in the summary."""


class Decision(NamedTuple):
    """That a person should come in, and why."""

    reason: Reason
    at_once: bool
    """Hand over now; else offer it, and hand over after a yes."""


class Delivered(NamedTuple):
    """How a hand-off went."""

    ticket: str | None
    """None where it could not be delivered."""
    sentence: str
    """What the customer is told, in their language."""


def decide(memory: Memory, *, asked: bool = False, failed: bool = False) -> Decision | None:
    """Whether a person should come in after this turn, which `memory` already counts.

    asked: the customer wants one. failed: the turn broke, or the shop's system did not answer. None
    where all is well, or where a ticket is under way already (asked for again, it is renewed).
    """
    if asked:
        return Decision("asked", at_once=True)
    if memory.ticket:
        return None
    if failed:
        return Decision("failure", at_once=True)
    sunk = mood.sunk(memory.moods)
    if memory.declined >= (OFFER_AFTER if sunk else HAND_OVER_AFTER):
        return Decision("mood" if sunk else "low_confidence", at_once=True)
    if sunk and _turns_sunk(memory.moods) % AGAIN == 1:
        return Decision("mood", at_once=False)
    if memory.declined >= OFFER_AFTER or (memory.running and memory.running.tries >= TRIES):
        return Decision("low_confidence", at_once=False)
    return None


def packet(
    reason: Reason,
    language: str,
    memory: Memory,
    transcript: Sequence[Said] = (),
    evidence: Iterable[Mapping[str, Any]] = (),
) -> Packet:
    """What a person needs.

    transcript: all that was said, the message that led here included; empty is fine.
    evidence: articles shown or looked at, each with `id` and `title`; doubles are dropped.
    """
    running = memory.running
    intent = running.flow if running else memory.intent
    slots = {name: value for name, value in (running.slots if running else {}).items() if value}
    if not slots and len(memory.identified) == 1:
        slots = {"order": next(iter(memory.identified))}
    articles = {str(e["id"]): str(e.get("title") or e["id"]) for e in evidence if e.get("id")}
    return Packet(
        reason=reason,
        summary=_summary(reason, language, intent, slots, transcript),
        language=language,
        intent=intent,
        slots=slots,
        evidence=[{"id": id_, "title": title} for id_, title in articles.items()],
        moods=list(memory.moods),
        transcript=list(transcript),
    )


def deliver(desk: Desk | None, owner: str, conversation_id: str, handed_over: Packet) -> Delivered:
    """Hand over, and what may be said of it: a person is promised only where a ticket stands.

    Whatever goes wrong is logged and becomes an honest sentence; a turn does not break on it.
    """
    language = handed_over.language
    if desk is None:
        return Delivered(None, unreached(language))
    try:
        ticket = desk.hand_over(owner, conversation_id, handed_over)
    except Exception as error:
        log.error("handoff_failed", conversation=conversation_id, reason=handed_over.reason,
                  exc_info=error)  # fmt: skip
        return Delivered(None, unreached(language))
    return Delivered(ticket, handed(language))


def handed(language: str) -> str:
    """What the customer is told after the ticket is committed, not before."""
    return with_contact(_HANDED["zh" if language == "zh" else "en"])


def unreached(language: str) -> str:
    """What the customer is told where the ticket could not be delivered: nothing is promised."""
    return with_contact(_UNREACHED["zh" if language == "zh" else "en"])


def wants(intent: str | None, language: str) -> str:
    """What somebody with this intent wants, in a few words; a flow of your own by its name."""
    chinese = language == "zh"
    if intent in _WANTS:
        return _WANTS[intent][chinese]
    if not intent:
        return _WANTS["question"][chinese]
    return intent.replace("_", " ")


def slot(name: str, language: str) -> str:
    """A slot's name in words; one of your own flow as it is called there."""
    return _SLOTS[name][language == "zh"] if name in _SLOTS else name.replace("_", " ")


def _turns_sunk(moods: Sequence[float]) -> int:
    """How many of the latest turns in a row were sunk."""
    count = 0
    while count < len(moods) and mood.sunk(moods[: len(moods) - count]):
        count += 1
    return count


def _summary(
    reason: Reason,
    language: str,
    intent: str | None,
    slots: Mapping[str, str],
    transcript: Sequence[Said],
) -> str:
    chinese = language == "zh"
    known = ("，" if chinese else ", ").join(
        f"{slot(name, language)} {value}" for name, value in slots.items()
    )
    what = wants(intent, language)
    last = next((s.content for s in reversed(transcript) if s.role == "user"), "")
    quoted = _cut(last)
    if chinese:
        first = f"顾客想{what}" + (f"（{known}）" if known else "")
        return f"{first}；{_WHY[reason][1]}。" + (f"最后一句：“{quoted}”" if quoted else "")
    first = f"The customer wants to {what}" + (f" ({known})" if known else "")
    return f"{first}; {_WHY[reason][0]}." + (f" Last words: “{quoted}”" if quoted else "")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTED else line[: QUOTED - 1].rstrip() + "…"


_HANDED = {
    "en": "I have passed this on to a person at the shop, with all that was said here, so you need "
    "not repeat anything. They answer right here; you may close the page and come back, or write "
    "to {contact}.",
    "zh": "我已经把您的对话转给店里的人工同事，前面说过的都带上了，您不用再重复。"
    "同事会直接在这里回复您；您可以先离开再回来，也可以写信到 {contact}。",
}
_UNREACHED = {
    "en": "I tried to pass this on to a person, but could not reach our team just now. Please "
    "write to {contact}: a person reads it. You can also ask me again in a few minutes.",
    "zh": "我想把对话转给人工同事，但现在没能联系上。请写信到 "
    "{contact}，会有人回复您；也可以过几分钟再让我转人工。",
}
_WHY: Mapping[Reason, tuple[str, str]] = {
    "asked": ("they asked for a person", "顾客要求人工服务"),
    "low_confidence": ("the bot found no answer", "机器人没有找到答案"),
    "failure": ("something failed on our side", "我们这边出了故障"),
    "mood": ("they are losing patience", "顾客已经不耐烦了"),
    "complaint": ("they have a complaint", "顾客有投诉"),
}
_WANTS = {
    "question": ("get an answer", "得到一个答复"),
    "emergency": ("get help in an emergency", "紧急求助"),
    "small_talk": ("get an answer", "得到一个答复"),
    "order_status": ("know where an order is", "查询订单状态"),
    "return": ("send something back", "退货"),
    "cancel": ("cancel an order", "取消订单"),
    "change_address": ("change a delivery address", "修改收货地址"),
    "complaint": ("complain about something", "投诉"),
    "recommend": ("find a product", "找合适的商品"),
    "human": ("talk to a person", "找人工客服"),
}
_SLOTS = {
    "first": ("wish", "诉求"),
    "part": ("only a part", "只取消一部分"),
    "order": ("order", "订单号"),
    "email": ("e-mail", "邮箱"),
    "item": ("item", "商品"),
    "product": ("item", "商品"),
    "quantity": ("quantity", "数量"),
    "reason": ("reason", "原因"),
    "address": ("address", "地址"),
    "problem": ("problem", "问题"),
}
