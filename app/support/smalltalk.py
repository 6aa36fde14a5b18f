"""Greetings, thanks, praise and the like: answered in a friendly line, searched for nowhere."""

from __future__ import annotations

import re

from app.core.language import simplified
from app.knowledge.split import sentences
from app.support.phrases import with_contact

_SMALL_TALK: tuple[tuple[str, str, tuple[str, str]], ...] = (
    (
        r"(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening|day))(?: there| everyone)?",
        r"(?:您好|你好|嗨|哈喽|哈啰|早上好|上午好|下午好|晚上好|在吗|有人吗)(?:呀|啊|哦)?",
        (
            "Hello! Ask me about orders, delivery, returns, or anything in our help articles.",
            "您好！订单、配送、退换货，还有帮助文章里的内容，都可以问我。",
        ),
    ),
    (
        r"(?:(?:hi|hello|hey) )?how (?:are you|is it going|s it going|are things)(?: (?:today|"
        r"doing))?",
        r"最近怎么样|你好吗",
        (
            "Very well, thank you. What can I do for you?",
            "多谢关心！有什么可以帮您？",
        ),
    ),
    (
        r"(?:what a )?(?:lovely|nice|terrible|bad|beautiful|awful|great) (?:weather|day)"
        r"(?: (?:today|we are having))?(?: isn t it)?",
        r"(?:今天)?天气(?:真|很)?(?:好|不错|差)(?:啊|呀)?",
        (
            "I hope you make the best of it. What can I do for you?",
            "祝您有好心情。有什么可以帮您？",
        ),
    ),
    (
        r"(?:ok(?:ay)?|i see|all right|alright|good|great|perfect|fine|that s (?:a pity|fine|"
        r"great)|good to know|"
        r"a pity|pity|understood|got it)(?: (?:then|so|good to know|got it|i see))?",
        r"(?:好的?|嗯|知道了|明白了|行)(?:吧|呀|啊)?(?: (?:知道了|明白了))?",
        (
            "All right. Is there anything else I can do for you?",
            "好的。还有别的可以帮您吗？",
        ),
    ),
    (
        r"(?:(?:ok(?:ay)?|great|perfect|good|lovely|super|fine|"
        r"all right) )?(?:(?:many )?thanks?(?: you)?(?: very much| so much| a lot)?|thank you|"
        r"cheers|ta)"
        r"(?: (?:that helps|that helped|for your help))?",
        r"(?:(?:好的?|太好了|嗯|知道了|明白了) ?)?(?:谢谢|多谢|感谢|辛苦)"
        r"(?:您|你|了|啦|你们|您了|你了)*",
        (
            "You are welcome. Is there anything else you would like to know?",
            "不客气！还有别的想问的吗？",
        ),
    ),
    (
        r"(?:good)?bye(?: bye)?|see you|good night",
        r"再见|拜拜|晚安|回头见",
        ("Goodbye, and come back any time.", "再见，欢迎随时再来！"),
    ),
    (
        r"(?:(?:no|that s|that is|ok|great) )?(?:you(?: are| re| have been| ve been| were)?"
        r"|that(?: s| is"
        r"| was)?|this is|it s) (?:been )?(?:just |really |so |very |super |most )*(?:helpful"
        r"|great|awesome|"
        r"amazing|kind|brilliant|nice|wonderful|the best|perfect|lovely|a (?:star|legend"
        r"|lifesaver))"
        r"|(?:very |so |really )?(?:helpful|awesome|amazing|brilliant|wonderful|well done"
        r"|good (?:job|bot))",
        r"(?:你|您|这|这个)?(?:真|太|很|好|非常)(?:棒|厉害|贴心|专业|好用|给力|牛|有用|有帮助"
        r"|好)(?:了|啊|呀|哦)*",
        (
            "Thank you, that is kind. What else can I do for you?",
            "谢谢您的夸奖！还有什么可以帮您？",
        ),
    ),
    (
        r"(?:ha){2,}h?|(?:he){2,}h?|l+o+l+|lmao|rofl",
        r"[哈呵嘿嘻]{2,}",
        (
            "Good to see you in a good mood. What can I do for you?",
            "看来您心情不错。有什么可以帮您？",
        ),
    ),
    (
        r"(?:(?:oh|i m|i am) )?(?:so |very )?sorry(?: about that| for that)?|my (?:bad|mistake)"
        r"|oops",
        r"不好意思|抱歉|对不起|打扰了",
        ("No harm done. What can I do for you?", "没关系。有什么可以帮您？"),
    ),
    (
        r"no|nope|nah|not (?:really|now|right now|at the moment)|(?:no )?(?:thanks? "
        r"|thank you )?(?:that s|that is|that ll be|that will be"
        r"|that was) (?:all|it|"
        r"everything)(?: for (?:now|today))?|(?:no )?nothing(?: else)?|no thanks?(?: you)?"
        r"|no i m (?:good|fine)"
        r"|i m (?:good|fine|done|all set)",
        r"不|没有|没|(?:暂时)?(?:没有|没)(?:了|别的了?|其他的?了?|问题了?|事了?)|就这些(?:了)?"
        r"|不用了?"
        r"|不需要了?",
        (
            "All right. I am here whenever you need me.",
            "好的，需要的时候随时找我。",
        ),
    ),
    (
        r"(?:please )?help(?: me)?(?: please)?|(?:can|could) you help(?: me)?(?: please)?"
        r"|i need (?:some |your )?"
        r"help(?: please)?|i have (?:a|another|one more) question",
        r"(?:请)?(?:帮|帮帮)(?:我|忙)(?:一下)?|求助|帮助|我(?:想|要)?(?:问|咨询)(?:个|一个"
        r"|一下)?(?:问题)?|有(?:个|一个)?问题",
        (
            "Gladly. Tell me in a sentence what it is about: an order, delivery, a return, a "
            "product.",
            "当然可以。请用一句话告诉我是什么事：订单、配送、退换货，还是商品？",
        ),
    ),
    (
        r"who are you|are you (?:a )?(?:robot|bot|human|person|real)|what can you do",
        r"(?:你|您)是(?:谁|机器人|机器|人工|真人)(?:还是(?:机器人|机器|人工|真人|人))?(?:吗|呀"
        r"|啊|呢|吧)?|(?:你|您)(?:会|能)(?:做|干)什么",
        (
            "I am the shop's help desk, a program: I answer from our help articles and show you "
            "which. For a person, write to {contact}.",
            "我是小店的帮助程序，按帮助文章回答，并注明出处。想找人工，请写信到 {contact}。",
        ),
    ),
)
"""What is said in English, in Chinese, and what is answered in either."""
_NOISE = re.compile(r"[\W_]+")
_CLAUSE = re.compile(r"[,.!;:~，。！；：～…\n]+")


def without_small_talk(text: str) -> str:
    """`text` without the sentences that are greetings, thanks or the like; whole where all are."""
    kept = [sentence for sentence in sentences(text) if small_talk(sentence) is None]
    return " ".join(kept) if kept else text


def small_talk(text: str, language: str | None = None) -> str | None:
    """A friendly line where the whole of `text` is a greeting, thanks or the like, else None.

    Each clause of it may be another one: the last is answered. language: of the conversation, in
    which "OK" says nothing; that of `text` where it is None.
    """
    text = simplified(text)
    return _one(text, language) or _last(text, language)


def _last(text: str, language: str | None) -> str | None:
    clauses = [clause for clause in _CLAUSE.split(text) if _NOISE.sub("", clause)]
    said = [_one(clause, language) for clause in clauses]
    return said[-1] if said and all(said) else None


def _one(text: str, language: str | None) -> str | None:
    plain = _NOISE.sub(" ", text).strip().lower()
    for en, zh, (in_english, in_chinese) in _SMALL_TALK:
        chinese = re.fullmatch(zh, plain) is not None
        if chinese or re.fullmatch(en, plain):
            told = language or ("zh" if chinese else "en")
            return with_contact(in_chinese if told == "zh" else in_english)
    return None
