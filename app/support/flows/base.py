"""What a flow is: when it starts, what it asks for, what it confirms and what it does.

A flow of your own is one module of this package with a `FLOW`; see README.md. It is asked by
app.support.flows.engine, which does what is the same for all: identity, corrections, digressions,
"never mind", confirmation, and that a change is made once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from app.core.commerce import Commerce, OrderView, Refused
from app.core.desk import Reason
from app.core.memory import Running
from app.support.answer import Citation
from app.support.flows import agreement, heard

if TYPE_CHECKING:
    from app.recommend.shop import Shop

_ABOUT = re.compile(
    r"\b(?:how (?:long|much|many|soon|late|do|does|can|could|should|would|is|are|will)|how's|what|"
    r"what's|when|until|by when|which|why|who|is it possible|what if|even if|if|unless|do i|do you|"
    r"does|are there|is there|am i|will i|would it|after|allowed|have to|need to pay)\b"
    r"|多久|多少|几天|几个|几号|什么|怎么|如何|为什么|哪|是否|会不会|需不需要|要不要|如果|的话|"
    r"能不能退|可不可以|条件|规定|政策|费用|要钱|收费",
    re.IGNORECASE,
)
_MUST = re.compile(
    r"\b(?:(?:do|did|would|will) (?:i|we) (?:\w+ )?(?:have|need) to|(?:must|need) (?:i|we)"
    r"|(?:am i|are we) (?:supposed|obliged|expected|required) to)\b"
    r"|必须|一定要|一定得|非得|用不用|还(?:要|得|用).{0,12}吗",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*|\n+")

Pair = tuple[str, str]
"""In English and in Chinese."""


class Tools(NamedTuple):
    """What flows may use; a flow whose tool is not there does not start."""

    commerce: Commerce | None = None
    shop: Callable[[], Shop | None] = lambda: None
    """The recommender, or none while it loads."""
    cite: Callable[[str], list[Citation]] = lambda _: []
    """An article by its id; empty where the shop has none such."""


class Said(NamedTuple):
    """What a flow answers."""

    text: str
    citations: Sequence[Citation] = ()
    quick: Sequence[str] = ()
    """Replies that the page offers as buttons."""
    handoff: Reason | None = None
    """Why a person is to take over now; the text is then said after what the hand-off says."""


class Talk(NamedTuple):
    """One turn of a running flow."""

    text: str
    """The customer's message."""
    language: str
    running: Running
    tools: Tools
    order: OrderView | None = None
    """Set once the customer was identified; what the shop says of it now."""

    def say(self, en: str, zh: str) -> str:
        """The one in the customer's language."""
        return zh if self.language == "zh" else en

    @property
    def slots(self) -> dict[str, str]:
        """What has been told so far."""
        return self.running.slots


class Flow:
    """A flow; override what differs. Texts are in both languages (`Talk.say`)."""

    name: str
    title: Pair
    """What it is called in "your ... is still open"."""
    starts: Sequence[str] = ()
    """Regular expressions of what starts it, in any language, without case."""
    identifies: bool = False
    """Whether it is about one order: then number and e-mail address come first."""
    slots: Sequence[str] = ()
    """What it asks for, in this order."""
    free: Sequence[str] = ()
    """Slots that take any text: in their place a wish for something else is no wish."""
    of_order: Sequence[str] = ()
    """Slots that mean nothing for another order."""
    deed: str = ""
    """Regular expression of the words that name it in a yes: "yes, cancel it"."""
    offer: Pair | None = None
    """Words that start it: a button under answers that cite its article."""
    article: Pair | None = None
    """Id of the article with its rules: cited where the shop refuses."""
    refusals: ClassVar[Mapping[str, Pair]] = {}
    """By Refused.why, what is said; {order} and {limit} are filled in."""

    def started(self, text: str) -> bool:
        """Whether `text` asks for it, and does not ask not to: "please do not cancel my order"."""
        return any(
            not agreement.refuses(text, *found.span())
            for pattern in self.starts
            if (found := re.search(pattern, text, re.IGNORECASE))
        )

    def asks_about(self, text: str) -> bool:
        """Whether `text` only asks about the matter, such as how long it takes: for the articles.

        A question whose own words start the flow ("where is my order?") is none, but whether
        something must be done ("do I have to send it back?") always is.
        """
        for sentence in _SENTENCE.split(text):
            if heard.question(sentence) and _MUST.search(sentence):
                return True
            left = sentence
            for pattern in self.starts:
                left = re.sub(pattern, " ", left, flags=re.IGNORECASE)
            if heard.question(sentence) and _ABOUT.search(heard.words(left)):
                return True
        return False

    def available(self, tools: Tools) -> bool:
        """Whether what it needs is there."""
        return tools.commerce is not None or not self.identifies

    def prefill(self, talk: Talk) -> dict[str, str]:
        """Slots that the first message tells already."""
        del talk
        return {}

    def ask(self, slot: str, talk: Talk) -> Said:
        """The question for a slot."""
        raise NotImplementedError

    def read(self, slot: str, talk: Talk) -> str | None:
        """The slot's value in the message; None where there is none."""
        raise NotImplementedError

    def needs(self, slot: str, talk: Talk) -> bool:
        """Whether a slot must be asked for."""
        return slot not in talk.slots

    def correct(self, talk: Talk) -> dict[str, str]:
        """Slots that the customer changes when asked to confirm."""
        del talk
        return {}

    def agrees(self, text: str) -> bool:
        """Whether `text` says yes to what `confirm` asks; "yes, cancel it" does to few flows."""
        return agreement.yes(text, self.deed)

    def early(self, talk: Talk) -> Said | None:
        """What ends the flow as soon as the order is known, such as that it is done already."""
        del talk
        return None

    def confirm(self, talk: Talk) -> str | None:
        """The question before the change; None for a flow that changes nothing."""
        del talk
        return None

    def kept(self, talk: Talk) -> str:
        """What is said where the customer does not confirm."""
        return talk.say("All right, I leave everything as it is.", "好的，那就保持不变。")

    def do(self, talk: Talk) -> Said:
        """Do it, with `talk.running.key` as the key of the one change, and say so."""
        raise NotImplementedError

    def cited(self, talk: Talk) -> list[Citation]:
        """The article with its rules, as the source of a figure."""
        return talk.tools.cite(talk.say(*self.article)) if self.article else []

    def refuse(self, talk: Talk, refused: Refused) -> Said:
        """Why the shop does not do it, by its own rule."""
        en, zh = self.refusals.get(refused.why, _REFUSED)
        limit = refused.limit if talk.language == "en" else _in_chinese(refused.limit)
        text = talk.say(en, zh).format(order=talk.slots.get("order", ""), limit=limit)
        return Said(text, self.cited(talk), [talk.say("Talk to a human", "转人工")])


_REFUSED = (
    "I am sorry, that is not possible for order {order}. If you think it should be, a person at "
    "the "
    "shop can look at it: just say “human”.",
    "很抱歉，订单 {order} 不能这样办理。如果您觉得不对，可以说“转人工”，由同事来看。",
)


def _in_chinese(limit: str) -> str:
    for en, zh in (("hours", "小时"), ("hour", "小时"), ("days", "天"), ("day", "天")):
        limit = re.sub(rf"\b{en}\b", zh, limit)
    return limit


def money(cents: int) -> str:
    """€12.50"""
    return f"€{cents / 100:.2f}"


def contents(order: OrderView) -> str:
    """What was ordered: `1 × Low Tide Decaf, 2 × ...`"""
    return ", ".join(f"{line.quantity} × {line.title}" for line in order.lines)
