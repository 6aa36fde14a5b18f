"""What a message holds that a flow can use: order numbers, e-mail addresses, a question.

Nothing is guessed. A number that is not exactly the shop's form is asked for again, never
completed: it might be another customer's.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

from app.core import brief
from app.core.brief import OrderNumbers
from app.core.language import detect, simplified

_SLIPS = str.maketrans("OoIlSsBb", "00115588")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_EMAIL = re.compile(r"[A-Za-z0-9_.+'\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+")
_EMAIL_IS = re.compile(
    r"(?:\b(?:and )?(?:my|the) e-?mail(?: address)?(?: is)?\b"
    r"|(?:我的)?(?:邮箱|邮件)(?:地址)?(?:是|为)?)?"
    rf"[\s:：,，]*{_EMAIL.pattern}",
    re.IGNORECASE,
)

_AGAIN = re.compile(
    r"^\W*(?:sorry\W+|what\W+)?(?:(?:can|could|would) you (?:please )?)?(?:please )?"
    r"(?:repeat(?: that| it)?|say (?:that|it) again|(?:once more|pardon|"
    r"come again))(?: please)?\W*$"
    r"|^\W*(?:请)?(?:再说一遍|重复一遍|再说一次|没看懂|没听清)\W*$",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"^\W*(?:(?:and|but|so|ok(?:ay)?|first|wait|well|by the way|before that|also|one more thing)"
    r"\W+)*(?:how|what(?! an? )|what's|when|where|which|who|whose|whom|why|until|is|are|do|does|"
    r"did|can|could|may|will|would|should|has|have|tell me|explain)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(r"[?？]|[吗呢]\W*$|多久|多少|什么时候|怎么|如何|能不能|是否|可不可以")
_OTHER = re.compile(
    r"\b(?:the|my|an) other order\b|\b(?:wrong|different|another|not that) order\b"
    r"|(?:另|别|其他|不是这).{0,3}(?:订单|单)",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"\b(?:no|sorry|wait|actually|oops|rather|i mean|i meant|correction)\b"
    r"|不对|不是|等等|抱歉|对不起|说错|写错|打错|搞错|应该是|我是说",
    re.IGNORECASE,
)
_ENGLISH = re.compile(
    r"\b(?:where|what|when|how|why|who|is|are|was|my|i|i'm|i'd|please|can|could|do|does|want|need"
    r"|you|your|it|me|cancel|help)\b",
    re.IGNORECASE,
)
# "2 tins", "3 x", "2 个": how many of something, not more digits of the number before it.
_COUNT = (
    r"[0-9]{1,2}\s?(?:x\b|×|of\b|[个件罐包袋盒瓶只]"
    r"|(?!(?:thanks|is|was|as|this|yes)\b)[a-z]{2,}s\b)"
)


_CHINESE = re.compile(r"[我你您吗呢吧请的了要想怎什能可帮是在?？]|多少|几|查|取消|退|换")
"""What a Chinese address alone does not hold."""


class _Forms(NamedTuple):
    """Order numbers as brief.yaml has them, such as FK-10924."""

    numbers: OrderNumbers
    whole: re.Pattern[str]
    nearly: re.Pattern[str]
    bare: re.Pattern[str]
    negated: re.Pattern[str]


def _forms() -> _Forms:
    return _made(brief.current().order_numbers)


@cache
def _made(numbers: OrderNumbers) -> _Forms:
    prefix, digits = numbers.prefix, numbers.digits
    between = r"[\s\-_#.:]*"
    return _Forms(
        numbers,
        re.compile(
            rf"(?<![A-Za-z0-9]){prefix}{between}([0-9]{{{digits}}})(?![A-Za-z0-9])"
            rf"(?:(?=\s+{_COUNT})|(?!\s*[0-9]))",
            re.I,
        ),
        re.compile(rf"(?<![A-Za-z]){prefix}{between}([0-9OoIlSsBb][0-9OoIlSsBb\s\-]*)", re.I),
        re.compile(rf"(?<![A-Za-z0-9\-.,])#?([0-9]{{{digits}}})(?![A-Za-z0-9\-])(?!\s*[0-9])"),
        re.compile(
            rf"(?:\bnot|\binstead of|不是)\s*(?:order|订单)?\s*{prefix}{between}[0-9]+", re.I
        ),
    )


def plain(text: str) -> str:
    """`text` with full-width letters and digits as plain ones, dashes as hyphens, and traditional
    characters as simplified ones: for what is understood, not for what is kept."""
    return simplified(narrow(text))


def narrow(text: str) -> str:
    """`text` with full-width letters and digits as plain ones, and dashes as hyphens."""
    return _DASHES.sub("-", unicodedata.normalize("NFKC", text)).replace("’", "'")


def orders(text: str, *, bare: bool = False) -> list[str]:
    """Order numbers in `text` in the shop's spelling, in order, each once.

    Taken as they are: FK-10924, fk10924, "FK 10924", full-width letters. bare: the digits alone
    too, where the customer was just asked for the number. Those behind "not" do not count.
    """
    forms = _forms()
    clean = forms.negated.sub(" ", plain(text))
    found = forms.whole.findall(clean)
    found = found or (forms.bare.findall(_EMAIL.sub(" ", clean)) if bare else [])
    return list(dict.fromkeys(f"{forms.numbers.prefix}-{digits}" for digits in found))


def several(text: str) -> list[str]:
    """The order numbers of a message that names two or more and corrects none of them."""
    found = orders(text)
    return found if len(found) > 1 and not corrects(text) else []


def corrects(text: str) -> bool:
    """Whether `text` takes something back that was said before."""
    return bool(_CORRECTS.search(plain(text)))


def nearly(text: str) -> str | None:
    """What a mistyped order number may have been meant for, to be asked, never to be used.

    "fk-1o924" gives FK-10924; a number with digits too many or too few gives the empty text; None
    where `text` holds nothing like an order number.
    """
    clean, forms = plain(text), _forms()
    found = None if forms.whole.search(clean) else forms.nearly.search(clean)
    if found is None:
        return None
    digits = re.sub(r"[\s\-]", "", found.group(1)).translate(_SLIPS)
    right = len(digits) == forms.numbers.digits and digits.isdecimal()
    return f"{forms.numbers.prefix}-{digits}" if right else ""


def email(text: str) -> str | None:
    """The last e-mail address in `text`, without a full stop behind it."""
    found = _EMAIL.findall(plain(text))
    return found[-1].strip(".'") if found else None


def without_email(text: str) -> str:
    """`text` without e-mail addresses and the words that announce them."""
    return _EMAIL_IS.sub(" ", narrow(text))


def words(text: str) -> str:
    """`text` without order numbers and addresses: what it says besides."""
    clean, forms = _EMAIL.sub(" ", plain(text)), _forms()
    return forms.nearly.sub(" ", forms.whole.sub(" ", clean)).strip()


def again(text: str) -> bool:
    """Whether the last answer is to be said once more, and only that."""
    return bool(_AGAIN.search(plain(text)))


def other_order(text: str) -> bool:
    """Whether another order is meant than the one talked of."""
    return bool(_OTHER.search(plain(text)))


def question(text: str) -> bool:
    """Whether `text` asks something: a question mark, or the words of a question."""
    clean = plain(text)
    return bool(_ASKS.search(clean) or _QUESTION.search(clean))


def language(text: str, before: str) -> str:
    """The language of `text`; `before`, that of the conversation so far, where it has no words.

    An order number and an e-mail address are in no language. A few Latin words in a Chinese
    conversation are most likely a product's name, an address, or a word such as OK, unless they are
    words of a sentence.
    """
    told = words(text)
    left = re.sub(r"[\W\d_]+", " ", told).split()
    short = len(left) <= 4 or re.search(r"\d", told)  # an address is longer than a name
    name = detect(text) == "en" and short and not _ENGLISH.search(told)
    place = detect(text) == "zh" and re.search(r"\d", told) and not _CHINESE.search(told)
    if not left or (before == "zh" and name) or (before == "en" and place):
        return before
    return detect(text)
