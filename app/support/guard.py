"""What a question must be before anything reads it: bounded, not empty, without control tokens.

Injections in plain words ("ignore your instructions") pass: nothing that the chat may do depends on
what a text says, and what it says is checked against the articles. Control tokens of chat formats
that app.core.prompt does not list pass too; the tokenizer's own sanitiser is the second lock.
"""

from __future__ import annotations

from app.core.errors import InputError, TooLarge
from app.core.language import normalise, shows_nothing
from app.core.prompt import defuse

MAX_CHARS = 8000
"""Of a question; what a page or a server lets through (settings) is bounded more tightly."""


def clean(text: str, max_chars: int = MAX_CHARS) -> str:
    """`text` in NFC, trimmed, its control tokens broken up into words.

    Raises TooLarge above `max_chars` characters, InputError for a text that shows nothing.
    """
    if len(text) > max_chars:
        raise TooLarge(
            f"your message has {len(text):,} characters; at most {max_chars:,} are read",
            zh=f"您的消息有 {len(text):,} 个字符，最多 {max_chars:,} 个，请缩短。",
        )
    asked = normalise(text)
    if shows_nothing(asked):
        raise InputError("your message is empty: type a question", zh="消息是空的，请输入问题。")
    return defuse(asked)
