"""A customer made of rules: reads the answer, and says what is due, in words drawn by the seed.

In order: a line that waits for what was just said; what the assistant asks for and the customer
knows; yes or no; the next line that waits for nothing. Then the customer leaves. The same scenario
and seed hold the same conversation with an assistant that says the same.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from app.demo.dice import Dice
from eval.scenario import Asked, Fact, Line, Scenario, filled

TOLD_AT_MOST = 2

_ASKS: dict[Asked, str] = {
    "order": r"order (?:number|no\b|id)|number of (?:your|the) order|which order|订单(?:编)?号"
    r"|(?:哪个|哪一个|哪笔)订单",
    "email": r"e-?mail(?! us| me)|邮箱|电子邮件",
    "name": r"\byour (?:full )?name\b|(?:您|你)的(?:姓名|名字)|怎么称呼",
    "address": r"(?:new|which|what|full|right|correct|delivery) address|where (?:should|shall|do)\b"
    r"|(?:新|哪个|收货|完整)(?:的)?地址|寄到哪",
    "item": r"which (?:item|product|article|thing|of (?:the|these|them))|what would you like to "
    r"(?:return|send)|(?:哪件|哪个|什么)(?:商品|东西)",
    "reason": r"\bwhy\b|\breason\b|what (?:is|was|seems) (?:wrong|the (?:matter|problem))"
    r"|what (?:has )?happened|原因|为什么|怎么了",
    "confirmation": r"\bconfirm|shall i\b|should i\b|(?:do|would) you (?:want|like) me to"
    r"|(?:is|are) (?:that|this|it|these) (?:all )?(?:right|correct|ok(?:ay)?)|yes or no"
    r"|确认|确定|是否|对吗|可以吗|要我.*吗",
}
_ASKING = re.compile(
    r"[?？]\s*$|\bplease\b|\b(?:tell|give|send) (?:me|us)\b|\blet (?:me|us) know\b|\bi need\b"
    r"|请|告诉",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_AGREES = re.compile(r"^\W*(?:yes|yep|sure|ok(?:ay)?|go ahead|please do|是|好|对|确认|可以)", re.I)

_TELLS: dict[str, dict[Fact, Sequence[str]]] = {
    "en": {
        "order": ("{order}", "It's {order}.", "the number is {order}"),
        "email": ("{email}", "My e-mail is {email}.", "it should be under {email}"),
        "name": ("{name}", "I'm {name}."),
        "address": ("{address}", "To {address}, please."),
        "item": ("{item}", "The {item}, please."),
        "reason": ("{reason}",),
    },
    "zh": {
        "order": ("{order}", "订单号是 {order}。"),
        "email": ("{email}", "邮箱是 {email}。"),
        "name": ("{name}", "我叫{name}。"),
        "address": ("{address}", "请寄到{address}。"),
        "item": ("{item}",),
        "reason": ("{reason}",),
    },
}
_CONFIRMS = {
    "en": {True: ("Yes, please.", "yes", "Yes, go ahead."), False: ("No.", "No, leave it.")},
    "zh": {True: ("是的。", "确认", "好的，请办理。"), False: ("不用了。", "不，算了。")},
}
_MIN_LETTERS = 5
"""Shorter words are typed rightly: a slip in them makes another word."""


class Said(NamedTuple):
    """A message of the customer's."""

    text: str
    line: int | None = None
    """Which line of the scenario; None for what was told because the assistant asked."""


class Customer:
    """One customer in one conversation."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._who, self._language = scenario.customer, scenario.language
        self._seed = seed
        self._dice = Dice(zlib.crc32(f"{scenario.name}#{seed}".encode()))
        self._left = dict(enumerate(self._who.lines))
        self._told: Counter[Fact] = Counter()

    def next(self, answer: str | None) -> Said | None:
        """What is said after `answer` (None: at the beginning); None when leaving."""
        if answer is None:
            return self._line(0)
        wanted = asked(answer)
        due = next((n for n, line in self._left.items() if _waits_for(line, answer, wanted)), None)
        if due is not None:
            return self._line(due)
        told = self._tell(wanted)
        if told:
            return Said(told)
        free = next((n for n, line in self._left.items() if not line.reacts), None)
        return None if free is None else self._line(free)

    def _line(self, number: int) -> Said:
        says = self._left.pop(number).says
        # The opening goes through its phrasings seed by seed, so that each of them is heard.
        text = self._dice.pick(says) if number else says[self._seed % len(says)]
        return Said(self._typed(text), number)

    def _tell(self, wanted: Sequence[Asked]) -> str | None:
        """New facts first, then yes or no, then facts once more."""
        facts: list[Fact] = [f for f in self._who.knows if f in wanted]
        new = [f for f in facts if not self._told[f]]
        if not new and "confirmation" in wanted and self._who.confirms is not None:
            return self._dice.pick(_CONFIRMS[self._language][self._who.confirms])
        due = new or [f for f in facts if self._told[f] < TOLD_AT_MOST]
        self._told.update(due)
        between = "，" if self._language == "zh" else ", "
        texts = [self._dice.pick(_TELLS[self._language][fact]) for fact in due]
        return between.join(filled(text, self._who.knows) for text in texts) or None

    def _typed(self, text: str) -> str:
        """With the slips of a hurried hand, but none in what is filled in."""
        parts = re.split(r"(\{\w+\}|[^\w{]+)", text)
        if self._who.typos:
            parts = [self._slip(part) for part in parts]
        return filled("".join(parts), self._who.knows)

    def _slip(self, word: str) -> str:
        plain = word.isascii() and word.isalpha() and len(word) >= _MIN_LETTERS
        if not plain or not self._dice.chance(self._who.typos):
            return word
        at = self._dice.between(1, len(word) - 3)
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return self._dice.pick((swapped, word[:at] + word[at + 1 :], word[:at] + word[at - 1 :]))


def asked(answer: str) -> list[Asked]:
    """What `answer` asks the customer for, sentence by sentence, each once."""
    asking = [s for s in _SENTENCE.split(answer) if s and _ASKING.search(s)]
    return [what for what, words in _ASKS.items()
            if any(re.search(words, sentence, re.IGNORECASE) for sentence in asking)]  # fmt: skip


def agrees(text: str) -> bool:
    """Whether `text` says yes."""
    return bool(_AGREES.search(text))


def _waits_for(line: Line, answer: str, wanted: Sequence[Asked]) -> bool:
    if line.asked is not None and line.asked not in wanted:
        return False
    seen = line.when is None or re.search(line.when, answer, re.IGNORECASE) is not None
    return line.reacts and seen
