"""What the chat says in its own words, in both languages; everything else is the articles'."""

from __future__ import annotations

from collections.abc import Sequence

from app.core import brief
from app.core.prompt import DECLINE

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
