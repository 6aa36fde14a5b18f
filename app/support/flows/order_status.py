"""Where is my order? Reads, changes nothing."""

from __future__ import annotations

import re
from calendar import month_name

from app.support.flows import heard
from app.support.flows.base import Flow, Said, Talk, contents, money

_PARCEL = r"(?:orders?|parcels?|packages?|stuff|things|delivery|shipment|coffee|teas?|mugs?|goods)"
_STATUS = {
    "placed": ("has been placed and is not packed yet", "已经下单，还没有打包"),
    "packed": ("is packed and waits for the carrier", "已经打包，等待承运商取件"),
    "shipped": ("has been shipped and is on its way", "已经发货，正在路上"),
    "delivered": ("has been delivered", "已经送达"),
    "cancelled": ("has been cancelled", "已经取消"),
}
_OF_A_NUMBER = re.compile(
    r"\bwhere\b|\bstatus\b|\b(?:sent|shipped|dispatched|delivered)\b|\b(?:has|have|did|will|"
    r"when|does)\b.{0,40}\barriv|\bwhat is in\b|"
    r"\bcheck\b"
    r"|\blook up\b|\btrack\b|到哪|在哪|发货|状态|查|地址|送到",
    re.IGNORECASE,
)
"""What is asked of an order that is named by its number."""


class OrderStatus(Flow):
    """See the module."""

    name = "order_status"
    title = ("question about the order", "订单查询")
    identifies = True
    starts = (
        rf"\bwhere(?:'s| is| are)\s+(?:my|our)\s+{_PARCEL}\b",
        r"\bwhere(?:'s| is| are)\s+(?:the|this)?\s*"
        r"(?:orders?|parcels?|packages?|delivery|shipment)\b",
        rf"\b(?:order|delivery|parcel|shipping) status\b|\bstatus of (?:my|the|this|an) {_PARCEL}",
        rf"\b(?:track|check|look up|find) (?:my|this) {_PARCEL}\b",
        rf"\bhas (?:my|the) {_PARCEL}\b.{{0,20}}\b(?:left|shipped|sent|gone out|dispatched)\b",
        rf"\b(?:my|the) {_PARCEL} (?:is|are) (?:late|lost|missing)\b",
        rf"\b(?:still no|still waiting for my|never got my) {_PARCEL}\b",
        rf"\b(?:my|the) {_PARCEL} (?:has|have|did)(?:n't| not| never) (?:arrived?|come|"
        rf"turned up)\b",
        r"(?:订单|包裹|快递|东西|(?<![退换送发补订到取客现])货).{0,6}(?:到哪(?!些|个?国)|在哪"
        r"|发货了|发了|寄出了|状态|怎么还[没不]|"
        r"还没收到|走到)",
        r"^\W*(?:(?:and|so|ok(?:ay)?|then)\W+)?when (?:will|does|should|is) (?:it|my (?:order"
        r"|parcel|package))"
        r" (?:(?:going to|due to|supposed to) )?(?:arrive|come|be here|get here|be delivered)\W*$",
        r"^\W*(?:那)?(?:它|包裹|快递|订单)?(?:什么时候|几时|多久)(?:能|会|才能)?(?:到|送到"
        r"|送达)(?:呢|呀|啊)?\W*$",
        r"查(?:一下|一查|询|查)?.{0,8}(?:订单|包裹|快递|物流)",
    )

    def started(self, text: str) -> bool:
        """By words, or by nothing but a number and what is asked of it."""
        if not heard.orders(text):
            return super().started(text)
        rest = heard.words(text)
        return (
            super().started(text)
            or not any(map(str.isalpha, rest))
            or bool(_OF_A_NUMBER.search(rest))
        )

    def asks_about(self, text: str) -> bool:
        """Not where an order is named."""
        return not heard.orders(text) and super().asks_about(text)

    def do(self, talk: Talk) -> Said:
        """How far it has come, what is in it and where it goes."""
        order = talk.order
        assert order is not None
        en, zh = _STATUS.get(order.status, (f"is {order.status}", order.status))
        day = order.ordered
        text = talk.say(
            f"Order {order.id} of {day.day} {month_name[day.month]} {day.year} {en}. In it: "
            f"{contents(order)}, {money(order.total_cents)} for the goods. It goes to: "
            f"{order.address}.",
            f"您的订单 {order.id}（{day.year}年{day.month}月{day.day}日下单）{zh}。订单里的商品是："
            f"{contents(order)}，商品合计 {money(order.total_cents)}。收货地址是："
            f"{order.address}。",
        )
        return Said(text, (), self._next(talk, order.status))

    def _next(self, talk: Talk, status: str) -> list[str]:
        if status == "delivered":
            return [talk.say("I want to return something", "我要退货")]
        if status in ("placed", "packed"):
            return [
                talk.say("Change the delivery address", "修改收货地址"),
                talk.say("Cancel the order", "取消订单"),
            ]
        return []


FLOW = OrderStatus()
