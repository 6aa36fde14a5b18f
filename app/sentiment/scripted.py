"""Sentiment by a small word list, in English and Chinese: for tests and `--model scripted`.

Deterministic and without weights; it counts words and knows no irony, so what it says of a text's
mood says nothing of a real model's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from app.core.release import Release
from app.core.textprep import prepare
from app.sentiment.prediction import Prediction

_GOOD = (
    r"amazing|beautiful|best|delicious|delight\w*|enjoy\w*|excellent|fantastic|fast|fine|fresh|fun|"
    r"good|great|happy|helpful|kind|lovely|love[ds]?|moving|nice|perfect\w*|pleas\w+|recommend\w*|"
    r"smooth|superb|thank\w*|tasty|well|wonderful"
)
_BAD = (
    r"awful|bad|bitter|boring|broke\w*|cracked|damaged|dirty|disappoint\w*|dull|dusty|fail\w*|"
    r"hate[ds]?|horrible|late|leak\w*|lost|mess|poor\w*|refund|rude|sad|slow\w*|stale|terrible|"
    r"ugly|unhappy|useless|waste\w*|weak|worse|worst|wrong"
)
_GOOD_ZH = "不错|喜欢|好喝|好吃|满意|推荐|优秀|很好|完美|开心"
_BAD_ZH = "差|难喝|难吃|失望|坏|破|很慢|太慢|糟糕|退款"
_TOKEN = re.compile(
    rf"\b(?P<good>{_GOOD})\b|\b(?P<bad>{_BAD})\b|(?P<good_zh>{_GOOD_ZH})|(?P<bad_zh>{_BAD_ZH})|"
    r"(?P<flip>\b(?:not|never|no|hardly|cannot|without)\b|n't\b|不|没)|(?P<stop>[.,;:!?。，；！？])",
    re.IGNORECASE,
)
_SIGNS = {"good": 1, "good_zh": 1, "bad": -1, "bad_zh": -1}


class ScriptedSentiment:
    """The classifier's seam without a classifier."""

    release: Release | None = None

    def __init__(self) -> None:
        self.labels = ["negative", "positive"]

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text; without an opinion word, 0.5 each and not sure."""
        return [_prediction(balance(prepare(text))) for text in texts]


def balance(text: str) -> int:
    """Good words minus bad ones; "not" turns the next of them round, up to a punctuation mark."""
    total, sign = 0, 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind in _SIGNS:
            total += sign * _SIGNS[kind]
        sign = -1 if kind == "flip" else 1
    return total


def _prediction(total: int) -> Prediction:
    positive = 1 / (1 + math.exp(-1.5 * total))
    label = "positive" if total > 0 else "negative"
    probabilities = {"negative": 1 - positive, "positive": positive}
    return Prediction(label, probabilities[label], probabilities, total == 0)
