"""gold_fact_recall: the share of the gold facts that an answer states.

A fact is written "a|b|c", spellings of one fact; any of them will do. Compared without case, with
full-width letters and digits as plain ones, dashes as hyphens, any white space as one space, and no
space beside a Han character ("30 天" is "30天"). A spelling must stand alone: a number must not be
part of a longer one ("5 days" is not in "15 days", "4.90" not in "14.90", "16" not in "16:30"), a
Latin word not part of a longer word; Han characters bound nothing, as Chinese has no spaces.

Edge cases: a declined question states nothing: 0.0; no gold facts: does not apply. Paraphrases
that no spelling covers count as missing, so the number is a lower bound.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from eval.metrics.base import Metric, columns

_HAN = r"[\u3400-\u4dbf\u4e00-\u9fff]"
_BESIDE_HAN = re.compile(rf"(?<={_HAN})\s+|\s+(?={_HAN})")
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d~～]")
# Chinese commas would become number commas under NFKC: "满45，120" is two numbers.
_STOPS = str.maketrans(dict.fromkeys("，、。；！？", " ") | {"’": "'", "‘": "'"})
_LATIN = "a-zà-öø-ÿ"


def gold_fact_recall(answer: str, facts: Sequence[str]) -> float:
    """Facts stated / facts. facts: not empty."""
    return sum(states(answer, fact) for fact in facts) / len(facts)


def states(answer: str, fact: str) -> bool:
    """Whether `answer` has any spelling of `fact`."""
    text = plain(answer)
    return any(_pattern(spelling).search(text) for spelling in fact.split("|") if spelling.strip())


def plain(text: str) -> str:
    """`text` as it is compared."""
    folded = unicodedata.normalize("NFKC", text.translate(_STOPS)).casefold()
    return _BESIDE_HAN.sub("", " ".join(_DASHES.sub("-", folded).split()))


@lru_cache(maxsize=4096)
def _pattern(spelling: str) -> re.Pattern[str]:
    wanted = plain(spelling)
    before = after = ""
    if re.match(rf"[0-9{_LATIN}]", wanted):
        before = rf"(?<![0-9{_LATIN}])"
    if re.match(r"[0-9]", wanted):
        before += r"(?<![0-9][.,:])"
    if re.search(rf"[0-9{_LATIN}]$", wanted):
        after = rf"(?![0-9{_LATIN}])"
    if re.search(r"[0-9]$", wanted):
        after += r"(?![.,:][0-9])"
    return re.compile(before + re.escape(wanted) + after)


METRIC = Metric("gold_fact_recall", __name__, columns("gold_fact_recall"), unit="score")
