"""What all flows say: asking who it is, once more, going on, dropping it. (English, Chinese)."""

from __future__ import annotations

from app.core import brief
from app.support.flows.base import Pair, Said

BOTH = (
    "Please tell me the order number (it begins with {prefix}) and the e-mail address that you "
    "ordered with.",
    "请告诉我订单号（以 {prefix} 开头）和下单时用的邮箱。",
)
EMAIL = (
    "Please tell me the e-mail address that you ordered with.",
    "请告诉我下单时用的邮箱。",
)
NUMBER = (
    "Please tell me the order number (it begins with {prefix}).",
    "请告诉我订单号（以 {prefix} 开头）。",
)
GLADLY = ("Gladly.", "好的。")
OTHERWISE = (
    "Without both I can do nothing about an order, for the safety of the person who placed it. If "
    "you do not have them, a person can help: just say “human”.",
    "为了保护下单人，没有这两样，订单的事我什么都不能说、也不能办。如果您没有，可以说“转人工”，"
    "由同事帮您。",
)
NOT_FOUND = (
    "I cannot find an order with that number and e-mail address together. Please check the order "
    "number and the e-mail, and tell me both again. If that does not help, a person can look into "
    "it: just say “human”.",
    "我没有找到订单号和邮箱都符合的订单。请再核对一下订单号和邮箱。如果还是不行，可以说“转人工”，"
    "由同事来查。",
)
MISTYPED = (
    "That is not quite an order number: it is {prefix} and then {digits} digits. Please type the "
    "order number again.",
    "这个订单号好像不太对：应该是 {prefix} 加 {digits} 位数字。请再输入一次订单号。",
)
WHICH = (
    "You name more than one order, and I take up one at a time. Which one is it?",
    "您提到了几个订单，我一次只能办一个。请问是哪一个？",
)
YES_OR_NO = ("Please answer yes or no.", "请回答“是”或者“不是”。")
OPEN = (
    "Your {flow} is still open: say “go on” and we take it up again.",
    "您的{flow}还没有办完，说“继续”就可以接着办。",
)
DROPPED = (
    "All right, I leave it. What else can I do for you?",
    "好的，那就先不办了。还有别的可以帮您吗？",
)
OFFER_MOOD = (
    "I am sorry that this is going so badly. Shall I hand you over to a person at the shop?",
    "很抱歉让您不愉快。要我帮您转给人工同事吗？",
)
OFFER = (
    "Shall I pass this on to a person at the shop?",
    "要我把您的问题转给人工同事吗？",
)
REFUSED_OFFER = ("All right, then we go on here.", "好的，那我们继续。")
NO_SYSTEM = (
    "I am sorry, the shop's order system does not answer just now, so nothing was done. You can "
    "try "
    "again in a few minutes.",
    "很抱歉，店里的订单系统暂时没有回应，所以还没有办理。您可以过几分钟再试。",
)
YES, NO = ("Yes", "是的"), ("No", "不用了")
GO_ON, NEVER_MIND = ("Go on", "继续"), ("Never mind", "算了")
HUMAN = ("Talk to a human", "转人工")
SOMEBODY = (
    "Yes, there is: a person at the shop can answer you here. Just say “human”, and I hand you "
    "over.",
    "有的，店里的同事可以在这里回复您。说“转人工”，我就帮您转过去。",
)


def said(pair: Pair, language: str, *quick: Pair) -> Said:
    """In one of the two languages, with buttons."""
    return Said(of(pair, language), (), [of(one, language) for one in quick])


def of(pair: Pair, language: str) -> str:
    """The one in `language`, with the form of the shop's order numbers where it is told."""
    numbers = brief.current().order_numbers
    text = pair[language == "zh"].replace("{prefix}", numbers.prefix)
    return text.replace("{digits}", str(numbers.digits))
