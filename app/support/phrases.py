"""What the chat says in its own words, in both languages; everything else is the articles'."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.prompt import DECLINE
from app.knowledge.split import sentences

CONTACT = "hello@fernandkettle.example"
"""Where a person reads; of the demo shop."""

_WHAT_NOW = {
    "en": f"You could put it in other words, or write to {CONTACT}, where a person will read it.",
    "zh": f"您可以换个说法再问一次，或者写信到 {CONTACT}，我们会有人回复您。",
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
UNDERSTAND = {
    "en": "I understand that you are upset. Tell me in a sentence what went wrong, or ask for a "
    f"person: here, or at {CONTACT}.",
    "zh": "您这么生气，我能理解。请用一句话告诉我哪里出了问题；"
    f"也可以在这里转人工，或者写信到 {CONTACT}。",
}
"""To who is upset and asks nothing that an article answers: to have found nothing would be no
answer."""
_SMALL_TALK = (
    (
        r"(?:hi|hello|hey|hiya|good (?:morning|afternoon|evening|day))(?: there| everyone)?",
        "Hello! Ask me about orders, delivery, returns, or how to brew what you bought.",
    ),
    (
        r"(?:(?:hi|hello|hey) )?how (?:are you|is it going|s it going|are things)(?: (?:today|"
        r"doing))?",
        "Very well, thank you: the kettle is on. What can I do for you?",
    ),
    (
        r"(?:what a )?(?:lovely|nice|terrible|bad|beautiful|awful|great) (?:weather|day)"
        r"(?: (?:today|we are having))?(?: isn t it)?",
        "Any weather is right for a cup of something warm. What can I do for you?",
    ),
    (
        r"(?:ok(?:ay)?|i see|all right|alright|good|great|perfect|fine|that s (?:a pity|fine|"
        r"great)|"
        r"a pity|pity|understood|got it)(?: (?:then|so))?",
        "All right. Is there anything else I can do for you?",
    ),
    (
        r"(?:(?:ok(?:ay)?|great|perfect|good|lovely|super|fine|"
        r"all right) )?(?:(?:many )?thanks?(?: you)?(?: very much| so much| a lot)?|thank you|"
        r"cheers|ta)"
        r"(?: (?:that helps|that helped|for your help))?",
        "You are welcome. Is there anything else you would like to know?",
    ),
    (r"(?:good)?bye(?: bye)?|see you|good night", "Goodbye, and enjoy your cup."),
    (
        r"who are you|are you (?:a )?(?:robot|bot|human|person|real)|what can you do",
        "I am the shop's help desk, a program: I answer from our help articles and show you "
        f"which. For a person, write to {CONTACT}.",
    ),
    (
        r"(?:您好|你好|嗨|哈喽|哈啰|早上好|上午好|下午好|晚上好|在吗|有人吗)(?:呀|啊|哦)?",
        "您好！订单、配送、退换货、冲泡方法，都可以问我。",
    ),
    (
        r"(?:今天)?天气(?:真|很)?(?:好|不错|差)(?:啊|呀)?|最近怎么样|你好吗",
        "多谢关心！今天适合来一杯热的。有什么可以帮您？",
    ),
    (r"(?:好的?|嗯|知道了|明白了|行)(?:吧|呀|啊)?", "好的。还有别的可以帮您吗？"),
    (r"(?:好的?|太好了|嗯) ?(?:谢谢|多谢)(?:您|你)?", "不客气！还有别的想问的吗？"),
    (r"(?:谢谢|多谢|感谢|辛苦)(?:您|你|了|啦|你们|您了|你了)*", "不客气！还有别的想问的吗？"),
    (r"再见|拜拜|晚安|回头见", "再见，祝您喝得开心！"),
    (
        r"(?:你|您)是(?:谁|机器人|人工|真人)(?:吗|呀|啊)?|(?:你|您)(?:会|能)(?:做|干)什么",
        f"我是小店的帮助程序，按帮助文章回答，并注明出处。想找人工，请写信到 {CONTACT}。",
    ),
)
_NOISE = re.compile(r"[\W_]+")


def decline(language: str, nearest: Sequence[str] = ()) -> str:
    """The decline sentence, then what can be done instead; `nearest` are article titles."""
    said = [DECLINE[language]]
    if nearest:
        sentence, between, quoted = _NEAREST[language]
        said.append(sentence.format(between.join(quoted.format(title) for title in nearest)))
    said.append(_WHAT_NOW[language])
    return ("" if language == "zh" else " ").join(said)


def without_small_talk(text: str) -> str:
    """`text` without the sentences that are greetings, thanks or the like; whole where all are."""
    kept = [sentence for sentence in sentences(text) if small_talk(sentence) is None]
    return " ".join(kept) if kept else text


def small_talk(text: str) -> str | None:
    """A friendly line where the whole of `text` is a greeting, thanks or the like, else None."""
    plain = _NOISE.sub(" ", text).strip().lower()
    for pattern, reply in _SMALL_TALK:
        if re.fullmatch(pattern, plain):
            return reply
    return None
