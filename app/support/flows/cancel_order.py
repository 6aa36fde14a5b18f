"""Cancel the whole order, while the shop still lets it go."""

from __future__ import annotations

import re
from typing import ClassVar

from app.core.commerce import Refused
from app.support.flows import heard
from app.support.flows.base import Flow, Said, Talk, contents

_WANT = r"(?:i(?:'d| would)? (?:want|like|need|have|wish)|please|(?:can|could|would|will) you)"
_CANCEL_IT = re.compile(
    r"^\W*(?:please )?cancel (?:it|the order|my order|this order|that order)(?: please| now)?\W*$"
    r"|^\W*(?:请|那就)?取消(?:吧|订单|掉|了吧)\W*$",
    re.IGNORECASE,
)
_PART = re.compile(
    r"\bcancel\b(?! (?:all|everything|the whole)\b)(?:(?!\border).){1,40}?\b(?:from|in|of|on) "
    r"(?:(?:my|the|this|that) (?:\w+ )?)?(?:order\b|[A-Z]{1,6}[ -]?\d{3,})"
    r"|取消.{0,14}(?:订单|单|\d{3,}).{0,3}[里中]|(?:订单|单|\d{3,}).{0,3}[里中].{1,14}取消",
    re.IGNORECASE,
)


class CancelOrder(Flow):
    """See the module."""

    name = "cancel"
    title = ("cancellation", "取消订单")
    identifies = True
    deed = (
        r"(?:(?:want|like) (?:you )?to )?cancel(?:led|ling)?(?: (?:all|of|it|everything|the|my|this"
        r"|that|whole|entire|order))*|all of it|(?:the )?whole order|it all"
        r"|(?:我|要|想|帮|全部|整个|这个|订单|都|尽快)*取消(?:掉|它|这个|我的|整个|订单)*"
    )
    offer = ("Cancel my order", "请取消我的订单")
    article = ("cancel-order", "cancel-order-zh")
    starts = (
        rf"(?:{_WANT}.{{0,30}}|^\W*)\bcancel\b"
        r"(?!.{0,30}(?:subscription|membership|newsletter|account))"
        r".{0,20}(?:\border|\b[A-Z]{1,6}[ -]?\d{3,}|\bit\b|\bpurchase)",
        r"\bcan i (?:still )?cancel (?:my|this) order\W*$",
        r"\bcall (?:my|the|this|an) order off\b|\bcall off (?:my|the|this) order\b",
        r"\bdon'?t want (?:my|the|this) order any ?more\b",
        r"(?:(?:想|要|请|帮我|麻烦)(?:你们|您)?.{0,4}|^\W*)取消(?!.{0,4}(?:订阅|会员))"
        r".{0,8}(?:订单|单|[A-Z]{1,6}[ -]?\d{3,})",
        r"^\W*(?:(?:那|我?不(?:想)?要了|请|帮我|麻烦|[你您])\W*)+取消(?:吧|掉|一下)?\W*$",
        r"(?:把|将).{0,14}(?:订单|单|[A-Z]{1,6}-?\d{3,}).{0,3}取消",
    )
    refusals: ClassVar = {
        "too_late": (
            "I am sorry, order {order} can no longer be cancelled: that is possible for {limit} "
            "after "
            "ordering, until it is packed. Once it has arrived, you can return it.",
            "很抱歉，订单 {order} 已经不能取消了：只有在下单后 {limit}内、打包之前才可以取消。"
            "收到包裹以后，您可以按退货规则退回。",
        ),
        "already": ("Order {order} is already cancelled.", "订单 {order} 已经取消过了。"),
    }

    def prefill(self, talk: Talk) -> dict[str, str]:
        """Whether a part of an order is to go, which no shop behind the seam can do."""
        return {"part": "yes"} if _PART.search(heard.plain(talk.text)) else {}

    def early(self, talk: Talk) -> Said | None:
        """Done already, or gone."""
        assert talk.order is not None
        if talk.order.status == "cancelled":
            return self.refuse(talk, Refused("already"))._replace(quick=[], citations=())
        if talk.order.status in ("shipped", "delivered"):
            text = talk.say(
                f"I am sorry, order {talk.order.id} can no longer be cancelled, since it has "
                f"left us. "
                "Once you have it, you can return it.",
                f"很抱歉，订单 {talk.order.id} 已经发出，不能再取消了。收到以后，"
                f"您可以按退货规则退回。",
            )
            return Said(
                text, self.cited(talk), [talk.say("I want to return something", "我要退货")]
            )
        return None

    def agrees(self, text: str) -> bool:
        """Yes, or to cancel it."""
        return super().agrees(text) or bool(_CANCEL_IT.search(heard.plain(text)))

    def confirm(self, talk: Talk) -> str:
        """Names what goes: all of it."""
        assert talk.order is not None
        if "part" in talk.slots:
            return talk.say(
                f"I can only cancel an order as a whole. Shall I cancel all of order "
                f"{talk.order.id} ({contents(talk.order)})? For a single item, a person can have "
                "a look: just say “human”.",
                f"我只能取消整个订单，不能只取消其中一件。要我取消整个订单 {talk.order.id} 吗？"
                f"订单里的商品是：{contents(talk.order)}。如果只想取消一件，可以说“转人工”，"
                "由同事来看。",
            )
        return talk.say(
            f"Shall I cancel order {talk.order.id} ({contents(talk.order)})?",
            f"要我现在取消订单 {talk.order.id} 吗？订单里的商品是：{contents(talk.order)}。",
        )

    def kept(self, talk: Talk) -> str:
        """The order stays."""
        order = talk.slots["order"]
        return talk.say(
            f"All right, order {order} stays as it is.", f"好的，订单 {order} 保持不变。"
        )

    def do(self, talk: Talk) -> Said:
        """Cancel it."""
        assert talk.tools.commerce is not None
        order, email = talk.slots["order"], talk.slots["email"]
        done = talk.tools.commerce.cancel(order, email, key=talk.running.key)
        if isinstance(done, Refused):
            return self.refuse(talk, done)
        return Said(
            talk.say(f"Done: order {order} is cancelled.", f"办好了，订单 {order} 已经取消。")
        )


FLOW = CancelOrder()
