"""What speaks for a passage, as numbers that a ranker weighs: words, phrases, meaning, place.

Computed for the few passages that the first search brought up. Each number is about 0 where nothing
matches and 1 where all does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from app.knowledge.split import Section, sentences
from app.knowledge.terms import terms
from app.knowledge.vectors import encode_cached
from app.knowledge.words import Rows, WordField
from app.models.encoder import Array, TextEncoder

NAMES = (
    "words", "words_head", "words_article", "words_sentence", "coverage", "coverage_article",
    "coverage_sentence", "rarest", "pairs", "letters", "near_text", "near_head", "first",
)  # fmt: skip
"""The columns. head: the title, or the heading; sentence: the best one; pairs: neighbouring words;
letters: runs of four inside a word, which survive typos and endings; near: cosines; first: what
the first search says, which Knowledge adds."""
OWN = len(NAMES) - 1
"""Columns that Clues gives."""
_RAREST = 2
_LETTERS = 4
_FLAT = 0.3
"""BM25's b for sentences: a long one is hardly less about its words."""
_LATIN = re.compile(r"[^\W_\u3400-\u9fff]+")


class Clues:
    """Of n sections, in their order."""

    def __init__(self, sections: Sequence[Section], encoder: TextEncoder) -> None:
        heads = [section.passage.title or section.heading for section in sections]
        cut = [sentences(section.passage.text) or [""] for section in sections]
        own = [terms(section.searched) for section in sections]
        articles: dict[str, list[str]] = {}
        for section, words in zip(sections, own, strict=True):
            articles.setdefault(section.passage.article, []).extend(words)
        places = {article: row for row, article in enumerate(articles)}
        self._article = np.array([places[s.passage.article] for s in sections], dtype=int)
        self._words = WordField(own)
        self._heads = WordField([terms(head) for head in heads])
        self._articles = WordField(list(articles.values()))
        self._pairs = WordField([_pairs(words) for words in articles.values()])
        self._letters = WordField([_letters(section.searched) for section in sections])
        self._sentences = WordField([terms(s) for each in cut for s in each], b=_FLAT)
        self._text_vectors = encode_cached(encoder, [section.searched for section in sections])
        self._head_vectors = encode_cached(encoder, heads)
        self._sentence_of = _starts(cut)

    def __call__(self, question: str, vector: Array, rows: Rows) -> Array:
        """(len(rows), OWN) float32. vector: the question's."""
        asked, chosen = terms(question), np.asarray(rows, dtype=int)
        if not len(chosen):
            return np.zeros((0, OWN), dtype=np.float32)
        articles = self._article[chosen]
        sentences_, firsts = _spread(self._sentence_of, chosen)
        found = np.column_stack([
            self._words.share(asked, chosen),
            self._heads.share(asked, chosen),
            self._articles.share(asked, articles),
            np.maximum.reduceat(self._sentences.share(asked, sentences_), firsts),
            self._words.coverage(asked, chosen),
            self._articles.coverage(asked, articles),
            np.maximum.reduceat(self._sentences.coverage(asked, sentences_), firsts),
            self._articles.coverage(self._articles.rarest(asked, _RAREST), articles),
            self._pairs.share(_pairs(asked), articles),
            self._letters.share(_letters(question), chosen),
            self._text_vectors[chosen] @ vector,
            self._head_vectors[chosen] @ vector,
        ])  # fmt: skip
        return found.astype(np.float32)


def _pairs(words: Sequence[str]) -> list[str]:
    return [f"{a} {b}" for a, b in pairwise(words)]


def _letters(text: str) -> list[str]:
    found = list[str]()
    for word in _LATIN.findall(text.lower()):
        whole = f"^{word}$"
        found += [whole[i : i + _LETTERS] for i in range(max(1, len(whole) - _LETTERS + 1))]
    return found


def _starts(groups: Sequence[Sequence[str]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where each group begins in their chain, and where the last one ends."""
    return np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int64)


def _spread(starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Members of the groups `rows`, one group after the other, and where each begins there."""
    lengths = starts[rows + 1] - starts[rows]
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return np.repeat(starts[rows] - firsts, lengths) + np.arange(lengths.sum()), firsts
