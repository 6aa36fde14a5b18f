"""Send an order to another address within its country, until the label is printed."""

from __future__ import annotations

import re
from typing import ClassVar

from app.core.commerce import Refused
from app.core.countries import country_name, country_of
from app.support.flows import heard
from app.support.flows.base import Flow, Said, Talk

_MAX = 300
_LEAD = re.compile(
    r"^\W*(?:well\s*[,.!;:\-]\W*|(?:no|sorry|wait|oh|hm+|actually|please|yes|i meant?|"
    r"it'?s|it is|it should be|"
    r"to|at|thanks|thank you|it should go to|(?:can|could) you (?:please )?(?:send|deliver|ship"
    r"|use)(?: it to)?|"
    r"(?:the |my )?(?:new |right |correct )?address(?: is)?|(?:please )?(?:send|deliver|"
    r"ship) it to|"
    r"make (?:it|that))(?=[\s,:;.!\-])\W*)+",
    re.IGNORECASE,
)
_LEAD_ZH = re.compile(
    r"^\W*(?:(?:不[对對]|不是|不|抱歉|等等|我是[说說]|[应應][该該]是|[请請]|麻[烦煩][您你]?"
    r"|[谢謝]{2}[您你]?|改(?:成|为|為|到|寄到?)?|寄到|送到|寄|"
    r"(?:我的)?(?:新|正确|正確|收货|收貨)?的?地址(?:是|为|為)?|是)[\s，。！：:、]*)+"
)
_TAIL = re.compile(
    r"(?:[\s,;.]+(?:please|thanks|thank you|instead|not \w{1,8}|谢谢|not that))*"
    r"[\s.!。！;；]*$",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"[\s,;.]*\b(?:and|but|so|please)? ?\b(?:please (?:leave|put|ring|call|deliver|hand)"
    r"|leave it|let me|"
    r"can you|could you|thank)\b.*$|[\s，,。]*(?:麻[烦煩]|[谢謝]{2}|放在|放到|[请請]放).*$",
    re.IGNORECASE | re.DOTALL,
)
"""What is asked for beside the address."""
_NO_PLACE = re.compile(r"\b(?:i|i'm|i've|we|me|moved|sorry|because|order(?:ed)?)\b", re.IGNORECASE)
_TO = re.compile(r"\bto (\d[^?!]{6,}?)(?: instead)?(?=[.?!](?:\s|$)|$)", re.IGNORECASE)
_STREET = re.compile(
    r"\b(?:road|rd|street|st|lane|avenue|ave|way|close|drive|row|square|court|terrace|place|hill"
    r"|rue|via|calle|weg|allee|platz|quai)\b|stra(?:ß|ss)e\b|str\.|gasse\b|laan\b",
    re.IGNORECASE,
)
_POSTCODE = re.compile(
    r"\b(?:[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|\d{4,6}(?: ?[A-Z]{2})?)\b", re.IGNORECASE
)


class ChangeAddress(Flow):
    """See the module."""

    name = "change_address"
    title = ("change of address", "修改地址")
    identifies = True
    slots = ("address",)
    deed = r"change|update|send|new|address|orders?|改|寄|新?地址|订单"
    offer = ("Change the address of my order", "修改收货地址")
    article = ("change-address", "change-address-zh")
    starts = (
        r"\b(?:change|update|correct|fix|"
        r"edit)(?:ing)?\b(?!.{0,30}\be-?mail address).{0,30}\baddress\b",
        r"\b(?:send|deliver|ship|redirect)\b.{0,40}\b(?:another|different|new|other) address\b",
        r"\b(?:send|deliver|ship|redirect)\b.{0,30}\border\b.{0,20}\bto\b.{3,}",
        r"\b(?:wrong|mistake in the) (?:house number|delivery address|address|street|post ?code|"
        r"flat)\b",
        r"\b(?:house number|delivery address|street|post ?code) (?:is |was )?wrong\b",
        r"(?:改|修改|更改|更换|换)(?:一下)?(?:.{0,8}|.{0,4}[A-Z]{1,6}[ -]?\d{3,}.{0,6})(?:地址"
        r"|门牌)|地址.{0,4}(?:写|填|弄|打|输)错",
        r"(?:寄|送|发)到(?:另|别|新|其他).{0,8}(?:地址|地方)",
    )
    refusals: ClassVar = {
        "too_late": (
            "I am sorry, the address of order {order} can no longer be changed by us: the label is "
            "printed. The carrier's redirect service may still help, through your tracking link.",
            "很抱歉，订单 {order} 的面单已经打印，我们不能再修改地址了。您可以通过物流查询链接，"
            "使用承运商的改派服务。",
        ),
        "other_country": (
            "I am sorry, the country of an order cannot be changed, and this address is in another "
            "one; order {order} stays as it is. If it has to go there, cancel in time and order "
            "anew.",
            "很抱歉，订单的收货国家不能修改，而这个地址在另一个国家，所以订单 {order} 保持不变。"
            "如果一定要寄到那里，请及时取消后重新下单。",
        ),
        "already": (
            "Order {order} is cancelled, so it goes nowhere.",
            "订单 {order} 已经取消，不会再寄出。",
        ),
    }

    def prefill(self, talk: Talk) -> dict[str, str]:
        """A whole address behind "to" in the first message."""
        found = _TO.search(heard.without_email(talk.text))
        address = _address(found.group(1)) if found else None
        return {"address": address} if address else {}

    def ask(self, slot: str, talk: Talk) -> Said:
        """The whole of it."""
        del slot
        return Said(
            talk.say(
                "What is the new address? Please give street, number, postcode, town and country.",
                "新地址是什么？请写全街道门牌、邮编、城市和国家。",
            )
        )

    def read(self, slot: str, talk: Talk) -> str | None:
        """A text that looks like a whole address."""
        del slot
        return _address(talk.text)

    def correct(self, talk: Talk) -> dict[str, str]:
        """Another whole address; of a piece of one ("no, number 13") the whole is asked for."""
        found = _address(talk.text)
        if found is None and re.search(r"\d", heard.words(talk.text)):
            talk.slots.pop("address", None)
        return {"address": found} if found and found != talk.slots.get("address") else {}

    def early(self, talk: Talk) -> Said | None:
        """Gone or cancelled: said before an address is asked for."""
        assert talk.order is not None
        if talk.order.status == "cancelled":
            return self.refuse(talk, Refused("already"))._replace(citations=(), quick=[])
        gone = talk.order.status in ("shipped", "delivered")
        return self.refuse(talk, Refused("too_late")) if gone else None

    def confirm(self, talk: Talk) -> str:
        """Reads the address back, with the country of the order, which it cannot leave."""
        assert talk.order is not None
        order, address = talk.slots["order"], talk.slots["address"]
        if country_of(address) is None:
            address = f"{address}, {country_name(talk.order.country)}"
        return talk.say(
            f"Shall I send order {order} to this address: {address}?",
            f"要我把订单 {order} 改寄到这个地址吗：{address}？",
        )

    def do(self, talk: Talk) -> Said:
        """Change it."""
        assert talk.tools.commerce is not None
        order, address = talk.slots["order"], talk.slots["address"]
        done = talk.tools.commerce.change_address(
            order, talk.slots["email"], address, key=talk.running.key
        )
        if isinstance(done, Refused):
            return self.refuse(talk, done)
        return Said(
            talk.say(
                f"Done: order {order} now goes to {address}.",
                f"办好了，订单 {order} 现在会寄到：{address}。",
            )
        )


def _address(text: str) -> str | None:
    """The address in `text`; None for what has no number or is too short to be one.

    Lines are joined by commas; an e-mail address told with it is no part of it.
    """
    if re.search(r"[?？]", text):
        return None
    lines = [line.strip(" ,，\t") for line in heard.without_email(text).splitlines()]
    clean = " ".join(", ".join(filter(None, lines)).split())
    clean = _LEAD_ZH.sub("", _LEAD.sub("", clean))
    clean = _TAIL.sub("", _BEHIND.sub("", clean)).strip(" ,，")
    return clean if _looks_like_one(clean) and len(clean) <= _MAX else None


def _looks_like_one(text: str) -> bool:
    """Chinese: words of a place; else a comma, or a street and a postcode, and no sentence."""
    han = len(re.findall(r"[\u4e00-\u9fff]", text))
    if _NO_PLACE.search(text):
        return False
    parted = "," in text or (_STREET.search(text) and _POSTCODE.search(text))
    return bool(re.search(r"\d", text)) and bool(
        (han >= 4 and re.search(r"[省市区區县縣路街道巷弄号號镇鎮村]", text))
        or (len(text.split()) >= 3 and parted)
    )


FLOW = ChangeAddress()
