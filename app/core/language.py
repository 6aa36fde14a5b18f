"""Which of the product's languages a text is written in: "zh" or "en"."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opencc import OpenCC

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ɏ]+")


def detect(text: str) -> str:
    """Return "zh" where Han characters outweigh Latin words, else "en" (also for emoji alone).

    A product name in a Chinese sentence ("Heron 壶漏水了") does not make it English: one Han
    character counts as much as one Latin word.
    """
    return "zh" if len(_HAN.findall(text)) > len(_LATIN_WORD.findall(text)) else "en"


def simplified(text: str) -> str:
    """`text` with traditional Chinese characters as simplified ones (OpenCC), the rest as it is."""
    return str(_converter().convert(text)) if _HAN.search(text) else text


@cache
def _converter() -> OpenCC:
    from opencc import OpenCC

    return OpenCC("t2s")


def normalise(text: str) -> str:
    """NFC, no control characters except newline and tab, outer white space stripped."""
    composed = unicodedata.normalize("NFC", text)
    kept = (c for c in composed if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept).strip()


def shows_nothing(text: str) -> bool:
    """Whether a reader would see nothing of it: spaces, controls and invisible marks alone."""
    return all(unicodedata.category(character)[0] in "ZC" for character in text)
