"""wrong_unhedged_rate: the share of questions answered with nothing right and no way to find out.

A question counts when it was answered (quoting is answering), no gold fact is in the answer, and
no gold article is cited. Every question is in the denominator, those without an answer too:
whatever is said to them counts, as they have neither gold fact nor gold article. Declining never
counts. Lower is better.
"""

from __future__ import annotations

from eval.metrics.base import Metric, columns


def wrong_unhedged(*, answered: bool, fact_stated: bool, gold_cited: bool) -> float:
    """1.0 for an answer without gold fact and without gold citation, else 0.0."""
    return float(answered and not fact_stated and not gold_cited)


METRIC = Metric("wrong_unhedged_rate", __name__, columns("wrong_unhedged"), higher_is_better=False)
