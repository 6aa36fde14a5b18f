"""citation_precision, citation_recall, reach: whether an answer brings the articles that hold it.

Precision: of all citations given, the share that name a gold article; a citation under a question
that no article answers is wrong. Recall: of all gold articles of the answerable questions, the
share that is cited. Reach: the share that is cited, or offered as a button and so one step away.
All are counted over the whole set (micro), so that declining or citing nothing leaves a sample in
place with zeros. Edge cases: no citation at all: precision 0.0; an article cited twice counts once;
a translation of a gold article is that article (the caller maps ids).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from eval.metrics.base import Context, Metric, columns, ratio
from eval.samples import Row
from eval.stats import Units


def counts(cited: Collection[str], gold: Collection[str]) -> dict[str, float]:
    """How many are cited, gold, and both."""
    return {
        "cited": len(set(cited)),
        "gold_articles": len(set(gold)),
        "cited_gold": len(set(cited) & set(gold)),
    }


def reached(cited: Collection[str], near: Collection[str], gold: Collection[str]) -> float:
    """How many gold articles are cited or offered."""
    return float(len({*cited, *near} & set(gold)))


def _answerable(score: str) -> Callable[[Sequence[Row], Context], Units]:
    """(n, 2): `score` and the gold articles of the questions that have any."""
    read = columns(score, "gold_articles")

    def units(rows: Sequence[Row], context: Context) -> Units:
        found = read(rows, context)
        return found[found[:, 1] > 0]

    return units


PRECISION = Metric("citation_precision", __name__, columns("cited_gold", "cited"), ratio)
RECALL = Metric("citation_recall", __name__, _answerable("cited_gold"), ratio)
REACH = Metric("reach", __name__, _answerable("reached_gold"), ratio)
