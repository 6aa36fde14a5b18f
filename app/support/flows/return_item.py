"""Send something back: which item, how many, why; then the return is registered once."""

from __future__ import annotations

import re
from typing import ClassVar

import structlog

from app.core.commerce import Line, Refused
from app.recommend.lexicon import take
from app.support.flows import heard
from app.support.flows.base import Flow, Said, Talk
from app.support.replacements import propose

log = structlog.get_logger(__name__)
PROPOSED = 2
"""Products offered in place of the one that comes back, at most."""
_WANT = (
    r"(?:i(?:'d| would)? (?:want|like|need|have|wish)|i wanna|let me|please|help me|"
    r"(?:can|could|would) you)"
)
_BACK = (
    r"(?:\breturn(?:ing)?\b"
    r"(?! (?:polic|call|my call|label|address|window|period|shipping|date|form))"
    r"|\bsend(?:ing)?\b.{0,40}\bback\b|\bexchange\b|\bswap\b)"
)
_MAX_REASON = 500
_FIRST = "first"
"""Slot of what was said when the flow began."""
_WORD = re.compile(r"[a-z]{3,}")
_STAYS = re.compile(
    r"\b(?:not|except|excluding|without|keep(?:ing)?|other than)\b[^,.;]*?(?=\bbut\b|[,.;]|$)"
    r"|(?:除了|不是|不要|不退|留下?|保留)[^，。,.;；]*",
    re.IGNORECASE,
)
"""What is named as staying."""
_OTHER_ONE = re.compile(
    r"\bother (?:one|item|thing|product)\b|另(?:外)?一(?:件|个|样)", re.IGNORECASE
)
_ALL = re.compile(r"\b(?:all|both|every|everything)\b|全部|都", re.IGNORECASE)
_NOT_ALL = re.compile(r"\b(?:not|but|except|without)\b|不|除了", re.IGNORECASE)
_COUNTS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "一": 1, "两": 2, "二": 2, "三": 3, "四": 4,
}  # fmt: skip
_NO_COUNT = re.compile(
    r"\b(?:this|that|which|other|no|wrong|right|last|first|any|every) one\b", re.I
)


class ReturnItem(Flow):
    """See the module."""

    name = "return"
    title = ("return", "退货")
    identifies = True
    slots = ("item", "quantity", "reason")
    free, of_order = ("reason",), ("item", "quantity")
    deed = (
        r"(?:(?:want|like) to )?return|send|back|register(?:ed)?|exchange|items?|both|all|orders?"
        r"|退货?|登记|订单|全部"
    )
    offer = ("I want to return something", "我要退货")
    article = ("returns-window", "returns-window-zh")
    starts = (
        rf"{_WANT}.{{0,25}}{_BACK}",
        r"^\W*(?:return|send back|exchange) (?:my|the|an|this)\b",
        r"\b(?:can|could|may) i (?:please )?(?:return (?:an?|my|the|this) (?:order|parcel|purchase)"
        r"|send (?:an?|my|the|this) (?:order|parcel|purchase) back)\b",
        r"\b(?:start|begin|register|make|open) (?:a|my) return\b|^\W*returns?\W*$",
        r"(?:想|要|需要|申请|办理?|帮我).{0,14}(?:退货|换货|退掉|退了|退回|退单|退一)|"
        r"^\W*(?:退货|换货)\W*$",
    )
    refusals: ClassVar = {
        "too_late": (
            "I am sorry, that is no longer possible for order {order}: things can come back within "
            "{limit} of delivery, and that time is over.",
            "很抱歉，订单 {order} 已经不能退货了：签收后 {limit}内可以退货，现在已经超过了。",
        ),
        "too_early": (
            "Order {order} has not reached you yet. Tell me again once it has, then I take it up.",
            "订单 {order} 还没有送到您手里。收到以后再告诉我，我就帮您办理退货。",
        ),
        "already": (
            "That is on its way back already, or order {order} was cancelled: nothing more to do.",
            "这件商品已经办过退货，或者订单 {order} 已经取消，不需要再办了。",
        ),
        "not_returnable": (
            "I am sorry, opened food cannot come back, and neither can vouchers. If there is "
            "something "
            "wrong with it, say “human” and a person looks at it.",
            "很抱歉，已经拆封的食品和礼品卡不能退货。如果商品有问题，请说“转人工”，由同事来处理。",
        ),
    }

    def ask(self, slot: str, talk: Talk) -> Said:
        """For the item, with the titles as buttons; how many; why."""
        assert talk.order is not None
        titles = [line.title for line in talk.order.lines]
        if slot == "item":
            named = ", ".join(titles)
            return Said(
                talk.say(
                    f"Which item would you like to send back? In the order: {named}.",
                    f"您要退哪件商品？这个订单里有：{named}。",
                ),
                (),
                titles,
            )
        if slot == "quantity":
            line = _line(talk)
            return Said(
                talk.say(
                    f"How many of the {line.quantity} would you like to send back?",
                    f"一共 {line.quantity} 件，您要退几件？",
                )
            )
        none, title = talk.say("No reason", "不说明"), _line(talk).title
        return Said(  # named: an order of one line was not asked which item it is
            talk.say(
                f"About {title}: what is the reason? You need not give one, “no reason” will do.",
                f"您要退的是 {title}，退货的原因是什么？也可以不说明。",
            ),
            (),
            [none],
        )

    def prefill(self, talk: Talk) -> dict[str, str]:
        """The first message, in which the item may be named before the order is known."""
        return {_FIRST: heard.words(talk.text)[:_MAX_REASON]}

    def needs(self, slot: str, talk: Talk) -> bool:
        """An order of one line or one piece leaves nothing to ask, nor does what was told first."""
        assert talk.order is not None
        if slot == "item" and slot not in talk.slots and _FIRST in talk.slots:
            line = _named(talk.slots.pop(_FIRST), talk.order.lines)
            if line:
                talk.slots["item"] = line.product
        if slot == "item" and slot not in talk.slots and len(talk.order.lines) == 1:
            talk.slots["item"] = talk.order.lines[0].product
        if slot == "quantity" and slot not in talk.slots and _line(talk).quantity == 1:
            talk.slots["quantity"] = "1"
        return slot not in talk.slots

    def read(self, slot: str, talk: Talk) -> str | None:
        """A line of the order by its words; a number; any text that asks nothing."""
        assert talk.order is not None
        if slot == "item":
            line = _named(talk.text, talk.order.lines)
            return line.product if line else None
        if slot == "quantity":
            return _quantity(talk.text, _line(talk).quantity)
        text = talk.text.strip()
        return None if re.search(r"[?？]\s*$|[吗呢]\W*$", text) else text[:_MAX_REASON] or None

    def early(self, talk: Talk) -> Said | None:
        """Not here yet, or cancelled: said before an item is asked for."""
        assert talk.order is not None
        if talk.order.status == "cancelled":
            return self.refuse(talk, Refused("already"))
        return None if talk.order.status == "delivered" else self.refuse(talk, Refused("too_early"))

    def correct(self, talk: Talk) -> dict[str, str]:
        """Another item of the order, another number of it, or both.

        The number that was told of one item says nothing of another: it is asked for again.
        """
        assert talk.order is not None
        now = _line(talk)
        if _OTHER_ONE.search(talk.text) and len(talk.order.lines) > 2:
            for slot in self.of_order:  # which of the others is asked
                talk.slots.pop(slot, None)
            return {}
        line = _meant_instead(talk.text, talk.order.lines, now) or now
        count = _quantity(talk.text, line.quantity)
        if line.product == now.product:
            return {"quantity": count} if count else {}
        if not count:
            talk.slots.pop("quantity", None)
        return {"item": line.product} | ({"quantity": count} if count else {})

    def confirm(self, talk: Talk) -> str:
        """Names item and number."""
        line = _line(talk)
        what = f"{talk.slots['quantity']} × {line.title}"
        return talk.say(
            f"Shall I register this for order {talk.slots['order']}: {what} comes back?",
            f"要我为订单 {talk.slots['order']} 登记退货吗？退回的商品是：{what}。",
        )

    def do(self, talk: Talk) -> Said:
        """Register it, then propose what to take instead."""
        assert talk.tools.commerce is not None
        slots, line = talk.slots, _line(talk)
        done = talk.tools.commerce.request_return(
            slots["order"],
            slots["email"],
            slots["item"],
            int(slots["quantity"]),
            slots["reason"],
            key=talk.running.key,
        )
        if isinstance(done, Refused):
            return self.refuse(talk, done)
        text = talk.say(
            f"Done: the return of {slots['quantity']} × {line.title} is registered. You get the "
            f"label "
            "from the “My orders” page; pack it well, and keep the receipt.",
            f"办好了，{slots['quantity']} × {line.title} 的退货已经登记。"
            f"请在“我的订单”页面领取退货面单，"
            "把商品包装好以后寄出。",
        )
        return Said(f"{text}{_instead(talk)}", self.cited(talk))


def _line(talk: Talk) -> Line:
    assert talk.order is not None
    return next(line for line in talk.order.lines if line.product == talk.slots["item"])


def _instead(talk: Talk) -> str:
    """Products to take instead, each with its price and why; empty where none is sensible.

    Nothing that fails here may hide that the return stands.
    """
    assert talk.order is not None
    ordered = {line.product for line in talk.order.lines}
    try:
        shop = talk.tools.shop()
        found = (
            propose(shop, talk.slots["item"], talk.language, PROPOSED + len(ordered))
            if shop
            else []
        )
    except Exception as error:
        log.error("replacements_failed", exc_info=error)
        return ""
    lines = [
        f"• {r.title}"
        + (f", €{r.price:.2f}" if r.price is not None else "")
        + talk.say(f" ({r.reason})", f"（{r.reason}）")
        for r in found
        if r.id not in ordered
    ][:PROPOSED]
    lead = talk.say("If you would like something else instead:", "如果想换一件别的，可以看看：")
    return "\n\n" + "\n".join([lead, *lines]) if lines else ""


def _named(text: str, lines: list[Line]) -> Line | None:
    """The only line that shares most words with `text`, Chinese words by the shop's lexicon.

    What is named as staying ("all but the tea") names no line.
    """
    known, rest = take(_STAYS.sub(" ", heard.plain(text)))
    wanted = set(_WORD.findall(f"{rest} {' '.join(known.values())}".lower()))
    wanted |= {word[:-1] for word in wanted if word.endswith("s")}
    shared = [len(wanted & set(_WORD.findall(line.title.lower()))) for line in lines]
    best = max(shared, default=0)
    return lines[shared.index(best)] if best and shared.count(best) == 1 else None


def _meant_instead(text: str, lines: list[Line], now: Line) -> Line | None:
    """The line that is named, or "the other one" of two."""
    others = [line for line in lines if line.product != now.product]
    if len(others) == 1 and _OTHER_ONE.search(text):
        return others[0]
    return _named(text, lines) if others else None


def _quantity(text: str, most: int) -> str | None:
    """The one number in `text`, or `most` for all of them; None for what is no such number."""
    clean = _NO_COUNT.sub(" ", heard.words(text).lower())
    found = [int(n) for n in re.findall(r"\d{1,4}", clean)]
    found = found or [
        n for word, n in _COUNTS.items() if re.search(rf"(?<![a-z]){word}(?![a-z])", clean)
    ]
    if not found and _ALL.search(clean) and not _NOT_ALL.search(clean):
        return str(most)
    return str(found[0]) if len(found) == 1 and 1 <= found[0] <= most else None


FLOW = ReturnItem()
