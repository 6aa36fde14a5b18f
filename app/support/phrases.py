"""What the chat says in its own words, in both languages; everything else is the articles'."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core import brief
from app.core.prompt import DECLINE
from app.knowledge.split import sentences

_WHAT_NOW = {
    "en": "You could put it in other words, or write to {contact}, where a person will read it.",
    "zh": "您可以换个说法再问一次，或者写信到 {contact}，我们会有人回复您。",
}
_NEAREST = {
    "en": ("The nearest I have is {}.", " and ", "“{}”"),
    "zh": ("最接近的文章是{}。", "和", "《{}》"),
}
HEDGE = {
    "en": "I am not certain that this is what you mean. The closest that our articles say:",
    "zh": "不确定这是不是您要问的，帮助文章里最接近的是：",
}
"""Before an answer that may be to another question."""
_UNDERSTAND = {
    "en": "I am sorry about that. Tell me in a sentence what went wrong, or ask for a "
    "person: here, or at {contact}.",
    "zh": "很抱歉让您有这样的体验。请用一句话告诉我哪里出了问题；"
    "也可以在这里转人工，或者写信到 {contact}。",
}
"""To have found nothing would be no answer to who is upset."""
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
        r"who are you|are you (?:a )?(?:robot|bot|human|person|real)|what can you do",
        r"(?:你|您)是(?:谁|机器人|人工|真人)(?:吗|呀|啊)?|(?:你|您)(?:会|能)(?:做|干)什么",
        (
            "I am the shop's help desk, a program: I answer from our help articles and show you "
            "which. For a person, write to {contact}.",
            "我是小店的帮助程序，按帮助文章回答，并注明出处。想找人工，请写信到 {contact}。",
        ),
    ),
)
"""What is said in English, in Chinese, and what is answered in either."""
_NOISE = re.compile(r"[\W_]+")


def with_contact(text: str) -> str:
    """`text` with the shop's address in the place for it."""
    return text.replace("{contact}", brief.current().contact)


def understand(language: str) -> str:
    """To who is upset and asks nothing that an article answers."""
    return with_contact(_UNDERSTAND[language])


def decline(language: str, nearest: Sequence[str] = ()) -> str:
    """The decline sentence, then what can be done instead; `nearest` are article titles."""
    said = [DECLINE[language]]
    if nearest:
        sentence, between, quoted = _NEAREST[language]
        said.append(sentence.format(between.join(quoted.format(title) for title in nearest)))
    said.append(with_contact(_WHAT_NOW[language]))
    return ("" if language == "zh" else " ").join(said)


def without_small_talk(text: str) -> str:
    """`text` without the sentences that are greetings, thanks or the like; whole where all are."""
    kept = [sentence for sentence in sentences(text) if small_talk(sentence) is None]
    return " ".join(kept) if kept else text


def small_talk(text: str, language: str | None = None) -> str | None:
    """A friendly line where the whole of `text` is a greeting, thanks or the like, else None.

    language: of the conversation, in which "OK" says nothing; that of `text` where it is None.
    """
    plain = _NOISE.sub(" ", text).strip().lower()
    for en, zh, (in_english, in_chinese) in _SMALL_TALK:
        chinese = re.fullmatch(zh, plain) is not None
        if chinese or re.fullmatch(en, plain):
            told = language or ("zh" if chinese else "en")
            return with_contact(in_chinese if told == "zh" else in_english)
    return None
