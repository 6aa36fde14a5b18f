"""What people type, before anything is done with it: bounded, in NFC, not empty."""

from __future__ import annotations

from app.core.errors import InputError, TooLarge
from app.core.language import normalise


def typed(text: str, bound: int) -> str:
    """`text` trimmed. Raises TooLarge above `bound` characters, InputError for an empty one."""
    if len(text) > bound:
        raise TooLarge(
            f"the text has {len(text):,} characters; at most {bound:,} are taken at once",
            zh=f"文字有 {len(text):,} 个字符，一次最多 {bound:,} 个。",
        )
    clean = normalise(text)
    if not clean:
        raise InputError("the text is empty: type something first", zh="请先输入一些文字。")
    return clean
