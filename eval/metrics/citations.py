"""citation_precision, citation_recall: whether an answer cites the articles that hold it.

Precision: of all citations given, the share that name a gold article; a citation under a question
that no article answers is wrong. Recall: of all gold articles of the answerable questions, the
share that is cited. Both are counted over the whole set (micro), so that declining or citing
nothing leaves a sample in place with zeros. Edge cases: no citation at all: precision 0.0; an
article cited twice counts once; a translation of a gold article is that article (the caller maps
ids).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from eval.metrics.base import Context, Metric, columns, ratio
from eval.samples import Row
from eval.stats import Units

_found = columns("cited_gold", "gold_articles")


def counts(cited: Collection[str], gold: Collection[str]) -> dict[str, float]:
    """How many are cited, gold, and both."""
    return {
        "cited": len(set(cited)),
        "gold_articles": len(set(gold)),
        "cited_gold": len(set(cited) & set(gold)),
    }


def _answerable(rows: Sequence[Row], context: Context) -> Units:
    units = _found(rows, context)
    return units[units[:, 1] > 0]


PRECISION = Metric("citation_precision", __name__, columns("cited_gold", "cited"), ratio)
RECALL = Metric("citation_recall", __name__, _answerable, ratio)
