"""How a customer feels, from -1 (angry) to 1 (glad), turn by turn, and when that has sunk.

The classifier was trained on reviews: a bare question ("How long does it take?") or a short reply
("no") reads as displeased to it. So its word is averaged with that of a list of opinion words, and
questions and short replies count as neutral unless they carry a strong one. Chinese,
which the classifier was never measured on, has the list alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import structlog

from app.core.language import detect
from app.sentiment.prediction import MOST, Prediction
from app.sentiment.scripted import ScriptedSentiment
from app.support.flows import heard

log = structlog.get_logger(__name__)
Mood = Callable[[str], float]
Predict = Callable[[Sequence[str]], Sequence[Prediction]]

DECAY = 0.7
"""What is left of a turn's displeasure at the next turn."""
SUNK = 1.0
"""Displeasure above it is too much. One turn alone never is; two angry ones are; a lasting -0.4 is
at its fifth turn, a lasting -0.3 never."""
UPSET = -0.5
"""So displeased a message that asks nothing is answered with understanding, where no article has
an answer to it."""
FEW_WORDS = 4
_HARMLESS = re.compile(
    r"差不多|没有?(?:什么)?不(?:满意|好|喜欢|高兴|开心)|退款|差价|\brefund(?:s|ed)?\b"
    r"|\bhow late\b|\bno,? thank(?:s| you)\b"
    r"|\bwrong (?:item|size|address|number|order|postcode)\b",
    re.IGNORECASE,
)
"""What the list would take for displeased: "more or less", "not dissatisfied", a matter's name."""
_STRONG = re.compile(
    r"\b(?:awful|terrible|horrible|useless|ridiculous|unacceptable|disgusting|pathetic|worst|hate|"
    r"angry|furious|annoy\w*|rude|disappoint\w*|fed up|joke|shame\w*|scam|nobody|never|again|still|"
    r"sick of|tired of)\b|差劲|糟糕|失望|生气|气死|垃圾|骗|太慢|太差|烂|愤怒|离谱|什么态度|到底"
    r"|还没|没人",
    re.IGNORECASE,
)
"""What makes a question one of somebody upset; "what if it is damaged?" is none."""


def reader(predict: Predict | None = None) -> Mood:
    """text -> mood, with a classifier's `predict` (labels positive and negative), or without.

    A classifier that fails or is not there yet leaves the word list: a mood is never worth a turn.
    """
    words = ScriptedSentiment()

    def mood(text: str) -> float:
        [listed] = words.predict([_HARMLESS.sub(" ", text)])
        by_list = _signed(listed)
        if by_list <= 0 and heard.question(text) and not _STRONG.search(text):
            return 0.0
        if predict is None or detect(text) == "zh":
            return by_list
        short = len(text.split()) < FEW_WORDS and not _STRONG.search(text)
        if listed.not_sure and (heard.question(text) or short):
            return 0.0
        try:
            [read] = predict([text])
        except Exception:
            log.warning("mood_unread", exc_info=True)
            return by_list
        # A classifier of other labels than positive and negative tells no mood.
        return by_list if read.intensity is None else (_signed(read) + by_list) / 2

    return mood


def displeasure(moods: Sequence[float]) -> float:
    """Of the turns so far, oldest first: what went wrong adds up, fades, and a glad turn heals."""
    total = 0.0
    for mood in moods:
        total = DECAY * total - mood
        total = max(0.0, total)
    return total


def sunk(moods: Sequence[float]) -> bool:
    """Whether the customer should not be left to the bot."""
    return displeasure(moods) > SUNK


def _signed(read: Prediction) -> float:
    return (read.intensity or 0.0) / MOST
