"""Yes, no, never mind, go on: what a customer says to a question that a flow asked.

A change is made only after a message that agrees and says nothing else: "ok, never mind", "ok, let
me think" and "yesterday I ..." agree to nothing. Behind the first word of a yes only words that are
listed here may stand. Where a message is not taken for a yes, the question is asked again, which
costs a moment; a wrong yes costs an order.
"""

from __future__ import annotations

import re

from app.core.language import detect
from app.support.flows import heard

MOST_WORDS, MOST_CHARACTERS = 8, 10
_YES = re.compile(
    r"^\W*(?:(?:oh|ah|um+|hm+)\W+)?(?:(?:yes|yep|yeah|yup|sure|ok|okay|(?:please )?(?:go ahead"
    r"|proceed|do)|certainly|right"
    r"|that'?s (?:right|correct|fine)|confirm|confirmed|of course|absolutely|no problem|do it"
    r"|do so|do that)\b|correct\b(?! (?:the|my|it|that)\b)"
    r"|是(?![我另他她否不])|好(?![像贵久多难烦慢麻了])|对(?![不了])|嗯|可以|行(?!了|李)|没错"
    r"|没问题|同意"
    r"|确认|确定)",
    re.IGNORECASE,
)
_WAVERS = re.compile(
    r"\d|\.{2,}|。{2,}|~|\b(?:(?:is|are|am|will|would) (?:that|it|this|i|you)|do (?:i|you))\b",
    re.IGNORECASE,
)
_AGREEING = re.compile(
    r"(?:yes|yep|yeah|yup|sure|ok|okay|right|correct|confirm(?:ed)?|absolutely|definitely|exactly"
    r"|indeed|of|course|please|thanks?|you|i'm|very|much|so|a|lot|do|it|that(?:'s)?|this|is|are"
    r"|the|my"
    r"|to|and|for|me|now|then|i|am|go|ahead|proceed|good|fine|great|perfect|would|be|will|can"
    r"|lovely|kindly|sir|madam|with)"
)
_AGREEING_ZH = re.compile(
    r"(?:好的?|嗯|行|是的?|对的?|可以|没错|没问题|确认|确定|同意|请|谢谢|感谢|多谢"
    r"|麻烦(?:[你您]|了)+|[你您我帮给就都把的]|"
    r"这样|这个|它|办理?|处理|提交|继续|一下|[吧了啊呀哦哈])*"
)
_NO = re.compile(
    r"^\W*(?:(?:hm+|um+|er+|oh|ah|well|actually|sorry|wait|ok|okay|yeah|right|sure)\W+)*"
    r"(?:no\b(?! problem)|nope|nah|don'?t|do not|not (?:now|yet|that)|leave it|keep it|stop|wait"
    r"|hold on|thanks?(?: you)?,? (?:but )?no\b|(?:i'?d |i would |please )?(?:rather|better"
    r"|absolutely"
    r"|certainly|definitely|of course) not|please (?:don'?t|do not)|i don'?t want (?:that|to)\b"
    r"|(?:(?:i'?ll|i will|i want to|i'?d rather|let'?s|please) )?keep (?:it|my|the|this)\b)"
    r"|^\W*(?:谢谢|还是|我|请|暂时|千万|先|[\s，,])+(?:不(?!客气|错|要(?![取退改]))|别)"
    r"|^\W*(?:否|没有)\W*$"
    r"|^\W*(?:还是|先|就)?(?:留着|保留)|改主意了"
    r"|^\W*(?:(?:好的?|嗯|行|对了|可以)(?:吧|的|了)?[\s，,]*)?(?:不(?!客气)|别|算了|先不|先别"
    r"|等等|先等)",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"\bnever ?mind\b|\bforget (?:it|that|about it)\b|\bchanged my mind\b|\bdon'?t bother\b"
    r"|\bleave it\b(?! (?:at|in|on|with|by|outside|behind|next|near|under|to)\b)"
    r"|\bcancel (?:that|this)\b(?! (?:order|one))"
    r"|^\W*(?:stop|cancel|quit|abort|start over)\W*$"
    r"|算了|不用了|不办了|别办了|当我没说|不退了|不取消了|不改了|点错了|^\W*取消\W*$",
    re.IGNORECASE,
)
_DROPS = re.compile(
    r"^\W*(?:(?:oh|no|sorry|ok|okay)\W+)*(?:never ?mind|forget it|stop\b|cancel\W*$|算了|不用了"
    r"|不办了)",
    re.IGNORECASE,
)
_GO_ON = re.compile(
    r"^\W*(?:(?:all right|alright|ok(?:ay)?|good|fine|thanks|thank you)\W+)*(?:let'?s |please )?"
    r"(?:go on|continue|carry on|go ahead|back to (?:it|the \w+))\b|^\W*(?:好的?\W*)?(?:继续|接着)",
    re.IGNORECASE,
)
_TAKES_BACK = re.compile(
    r"^\W*(?:(?:oh|ah|um+)\W+)?(?:no|sorry|wait|actually|oops|i mean|i meant|correction|not)\b"
    r"|^\W*(?:不对|不是|等等|抱歉|对不起|说错|写错|打错|搞错|我是说)",
    re.IGNORECASE,
)
_DOING = (
    r"(?:cancel|call|return|send|exchange|swap|change|update|redirect|deliver|ship|talk|speak|chat"
    r"|connect|transfer|complain|make|file)"
)
_REFUSED = re.compile(
    r"\b(?:do(?:es)? not|don'?t|never|no need to|not (?:want|wish|going|trying|planning|asking|to)"
    r"|rather not|would not|wouldn'?t|will not|won'?t)\s+"
    rf"(?:(?!(?:it|this|that|them|any|you)\b)[\w']+\s+){{0,3}}{_DOING}\b"
    r"|\b(?:can't|cannot|can not) complain\b",
    re.IGNORECASE,
)
_REFUSED_ZH = re.compile(
    r"(?<![能可会要是好])(?:不(?:是|用|必|想|要|需要|打算)?|别|无需|没(?:有)?(?:想|要)?)"
    r"(?:再|给我|帮我|要|想|去)?$"
)
_REFUSED_INSIDE_ZH = re.compile(
    r"(?:不(?:是|用|必|想|要|需要)?|别|无需|没(?:有)?)(?:再|给我|帮我|要|想)?"
    r"(?:取消|退|换|转|改|投诉|写错|填错|弄错|打错|输错)"
)
_CLAUSE = re.compile(r"[,.;!?，。；！？\n]|\b(?:and|but|so|because)\b|但|而且|所以", re.IGNORECASE)


def yes(text: str, deed: str = "") -> bool:
    """Whether `text` agrees, and only that: in a few words, without a doubt or another wish.

    deed: a regular expression of words that name what is agreed to, such as "cancel"; those of
    another deed ("yes, change the address") make it no yes to this one.
    """
    clean = heard.words(text)
    agreed = _YES.search(clean)
    if agreed is None or _WAVERS.search(clean):
        return False
    size = len(clean) if detect(clean) == "zh" else len(clean.split())
    most = MOST_CHARACTERS if detect(clean) == "zh" else MOST_WORDS
    return size <= most and _only_agrees(clean[agreed.end() :], deed)


def _only_agrees(rest: str, deed: str) -> bool:
    """Whether what stands behind a yes adds nothing to it."""
    known = rf"(?<![a-z'])(?:no problem|{deed})(?![a-z'])" if deed else r"\bno problem\b"
    rest = re.sub(known, " ", rest.lower())
    latin = re.findall(r"[^\W\d_\u4e00-\u9fff]+(?:'[a-z]+)?", rest)
    han = "".join(re.findall(r"[\u4e00-\u9fff]", rest))
    return (
        all(map(_AGREEING.fullmatch, latin))
        and _AGREEING_ZH.fullmatch(han) is not None
        and not re.search(r"[?？]", rest)
    )


def no(text: str) -> bool:
    """Whether `text` disagrees."""
    return bool(_NO.search(heard.plain(text)))


def stops(text: str) -> bool:
    """Whether the customer drops what is under way."""
    return bool(_STOP.search(heard.plain(text)))


def drops(text: str) -> bool:
    """The same where the customer is telling something in free words: it must open the message."""
    return bool(_DROPS.search(heard.plain(text)))


def goes_on(text: str) -> bool:
    """Whether what was interrupted is to be taken up again."""
    return bool(_GO_ON.search(heard.plain(text))) and not heard.question(text)


def corrects_order(text: str) -> bool:
    """Whether a message that names an order opens by taking another one back."""
    return bool(heard.orders(text)) and bool(_TAKES_BACK.search(heard.plain(text)))


def refuses(text: str, begin: int, end: int) -> bool:
    """Whether the wish that stands in text[begin:end] is negated: "please do not cancel my order".

    Looked at is the clause up to `end`, for English, and what stands right before `begin`, or in
    between before the deed, for Chinese.
    """
    cuts = [cut.end() for cut in _CLAUSE.finditer(text, 0, end)]
    clause = text[max((cut for cut in cuts if cut < end), default=0) : end]
    return bool(
        _REFUSED.search(clause) or _REFUSED_ZH.search(text[:begin])
        or _REFUSED_INSIDE_ZH.search(text[begin:end])
    )  # fmt: skip
