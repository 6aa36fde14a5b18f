"""wrong_unhedged_rate: the share of questions answered with nothing right and no way to find out.

A question counts when it was answered (quoting is answering), no gold fact is in the answer, no
gold article is cited, and the answer did not say that it may be to another question. Every question
is in the denominator, those without an answer too: whatever is said to them counts, as they have
neither gold fact nor gold article. Declining never counts. Lower is better.

Beside it, so that hedging hides nothing: wrong_rate, the same with hedged answers counted, and
hedged_rate, the share of questions whose answer was hedged.
"""

from __future__ import annotations

from eval.metrics.base import Metric, columns


def scores(
    *, answered: bool, fact_stated: bool, gold_cited: bool, hedged: bool
) -> dict[str, float]:
    """The columns of the three rates."""
    wrong = answered and not fact_stated and not gold_cited
    return {
        "wrong": float(wrong),
        "wrong_unhedged": float(wrong and not hedged),
        "hedged": float(answered and hedged),
    }


METRIC = Metric("wrong_unhedged_rate", __name__, columns("wrong_unhedged"), higher_is_better=False)
WRONG = Metric("wrong_rate", __name__, columns("wrong"), higher_is_better=False)
HEDGED = Metric("hedged_rate", __name__, columns("hedged"), higher_is_better=False)
