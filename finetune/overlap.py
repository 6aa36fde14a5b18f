"""Training rows that a test set also holds: found by whole text and 13-grams, left out, counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.core import data, fingerprints
from app.core.textprep import prepare


def known_texts(refs: Sequence[str]) -> frozenset[int]:
    """Fingerprints of what the references in `refs` ask and answer, as written and as prepared.

    Of a folder of questions: their texts, answers and the articles that answer them.
    """
    texts = (text for ref in refs for text in _texts(ref))
    return frozenset().union(*(of_both(text) for text in texts))


def of_both(text: str) -> set[int]:
    """Fingerprints of `text` as it is and as a classifier reads it."""
    return fingerprints.of(text) | fingerprints.of(prepare(text))


def shares(texts: Iterable[str], known: frozenset[int]) -> bool:
    """Whether any of `texts` is, or shares a 13-gram with, one of the known texts."""
    return any(not of_both(text).isdisjoint(known) for text in texts)


def _texts(ref: str) -> list[str]:
    if not data.is_corpus(ref):
        return data.texts(ref)
    found = data.corpus(ref)
    gold = {article for query in found.queries for article in query.gold}
    asked = [text for query in found.queries for text in (query.text, *query.answers)]
    return asked + [doc["text"] for doc in found.docs if doc["id"] in gold]
