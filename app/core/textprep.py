"""How a text is prepared for a classifier; the version is saved with each adapter and checked.

Raise VERSION whenever `prepare` returns something else for any text: a golden file holds it.
"""

from __future__ import annotations

import re

from app.core.language import normalise

VERSION = 1
MAX_TOKENS = 128
"""Longer texts are cut at the end; SST-2's longest sentence has 66 MiniLM tokens."""

# Penn-Treebank tokenisation undone, since people do not type "did n't" or "-lrb-".
_BRACKETS = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}"}
_BRACKET = re.compile("|".join(map(re.escape, _BRACKETS)), re.IGNORECASE)
_CLITIC = re.compile(r"\s+(n't|'(?:s|re|ve|ll|d|m)\b)", re.IGNORECASE)
_BEFORE = re.compile(r"\s+([.,!?;:%)\]}])")
_AFTER = re.compile(r"([(\[{])\s+")
_QUOTES = re.compile(r"``\s*(.*?)\s*''")


def prepare(text: str) -> str:
    """`text` as people write it: PTB tokens joined again, spaces collapsed, NFC.

    Plain text passes through unchanged but for its white space. Edge case: empty text stays empty.
    """
    text = _BRACKET.sub(lambda m: _BRACKETS[m.group().lower()], normalise(text))
    text = _QUOTES.sub(r'"\1"', text).replace("``", '"').replace("''", '"')
    text = _CLITIC.sub(r"\1", text)
    text = _AFTER.sub(r"\1", _BEFORE.sub(r"\1", text))
    return " ".join(text.split())
