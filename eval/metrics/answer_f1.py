"""answer_f1: overlap of words between an answer and the best of the gold answers (SQuAD).

Rajpurkar et al. 2016, words as in its own script: lower case, ASCII punctuation struck out
("1,000" is 1000), no a / an / the; F1 over the bag of words. Beyond it, each Han character is a
word. Applies where the data gives answers. Edge cases: a declined question: 0.0; a gold answer of
stop words alone matches only an answer of stop words alone. It punishes whole sentences: a quote
that holds a two-word answer scores low, and rightly so only beside another quote.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from eval.metrics.base import Metric, columns

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_HAN = re.compile(r"([\u3400-\u4dbf\u4e00-\u9fff])")
_ARTICLES = {"a", "an", "the"}


def answer_f1(answer: str, golds: Sequence[str]) -> float:
    """The best F1 of `answer` over `golds`, which is not empty."""
    return max(_f1(_words(answer), _words(gold)) for gold in golds)


def _words(text: str) -> list[str]:
    bare = _HAN.sub(r" \1 ", text.lower().translate(_PUNCTUATION))
    return [word for word in bare.split() if word not in _ARTICLES]


def _f1(said: list[str], wanted: list[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


METRIC = Metric("answer_f1", __name__, columns("answer_f1"), unit="score")
