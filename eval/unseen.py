"""Public questions are put in order by rankers that never saw their documents.

The shipped ranker learnt from StackFAQ and SQuAD 2.0; app.knowledge.ranker keeps beside it one for
each fold of their documents.
"""

from __future__ import annotations

from app.core import data as references
from app.knowledge import ranker
from app.knowledge.retrieve import Knowledge
from eval.samples import Sample

OPTIONS = {"ranker": "of the fold that never saw it"}
"""For provenance, where `learnt`."""


def learnt(ref: str) -> bool:
    """Whether the shipped ranker was fitted on the set that `ref` is a part of."""
    parsed = references.parse_ref(ref)
    known = ranker.load().fitted["data_sha256"]
    return parsed.scheme == "data" and str(parsed._replace(split=None)) in known


def fold(sample: Sample) -> int:
    """That of the question's document."""
    return ranker.fold(ranker.cluster(sample.source))


def of_fold(knowledge: Knowledge, number: int) -> Knowledge:
    """The same articles, put in order by the ranker that was fitted without that fold."""
    return knowledge.ordered(ranker.folds()[number])
