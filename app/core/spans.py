"""How near an answer is to the gold ones, as SQuAD's own script has it (Rajpurkar et al. 2016).

Words: lower case, ASCII punctuation struck out ("1,000" is 1000), no a / an / the; beyond it, each
Han character is a word.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_HAN = re.compile(r"([\u3400-\u4dbf\u4e00-\u9fff])")
_ARTICLES = {"a", "an", "the"}


def f1(answer: str, golds: Sequence[str]) -> float:
    """The best F1 over the bags of words of `answer` and each of `golds`, which is not empty."""
    return max(_f1(_words(answer), _words(gold)) for gold in golds)


def exact(answer: str, golds: Sequence[str]) -> float:
    """1.0 where `answer` is one of `golds`, word for word."""
    return float(_words(answer) in [_words(gold) for gold in golds])


def _words(text: str) -> list[str]:
    bare = _HAN.sub(r" \1 ", text.lower().translate(_PUNCTUATION))
    return [word for word in bare.split() if word not in _ARTICLES]


def _f1(said: list[str], wanted: list[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))
