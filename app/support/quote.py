"""What to quote: whole sentences of the best articles, the facts first, in few words.

Help articles put the fact in the first sentence of a paragraph and the reason behind it, so first
sentences are taken before others of equal passages, and no sentence without the one before it,
which it may lean on. The text is the article's, word for word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.core.messages import Passage
from app.knowledge.shelf import Ranking
from app.knowledge.split import joined, sentences, word_count
from app.knowledge.terms import terms


@dataclass(frozen=True)
class QuoteConfig:
    """How much is quoted, chosen on the demo's train and dev questions, never on test."""

    max_words: int = 100
    """Of all sentences together; the best one of an article is quoted however long it is."""
    first_sentence: float = 0.1
    """Added to the score of a paragraph's first sentence."""
    shared_words: float = 0.3
    """Added in proportion to the content words of the question that a sentence has."""
    depth: float = 0.4
    """A sentence is left out that scores this much below the best one of its article."""
    asked: float = 0.6
    """Added in proportion to what the ways to ask say for a sentence (app.knowledge.asked)."""


class Quoted(NamedTuple):
    """Sentences of one passage, in reading order."""

    passage: Passage
    text: str


def render(quoted: Sequence[Quoted]) -> list[str]:
    """The pieces of the answer's text: a paragraph a passage; titles where two articles speak."""
    titled = len({q.passage.article for q in quoted}) > 1
    pieces, last = list[str](), None
    for q in quoted:
        heading = q.passage.title if titled and q.passage.article != last else ""
        gap = "" if last is None else "\n\n" if heading else "\n"
        colon = "：" if q.passage.lang == "zh" else ":"
        pieces.append(f"{gap}{heading}{colon}\n{q.text}" if heading else f"{gap}{q.text}")
        last = q.passage.article
    return pieces


class _Candidate(NamedTuple):
    score: float
    row: int
    order: int
    text: str


def quote(
    ranking: Ranking,
    asked: str,
    articles: Sequence[str],
    config: QuoteConfig = QuoteConfig(),
) -> list[Quoted]:
    """Passages with the sentences to quote, those of the best article first.

    asked: the question with what it follows, as it was ranked; articles: what the answer rests on,
    best first (Ranking.leading).
    """
    candidates = _candidates(ranking, articles, set(terms(asked)), config)
    chosen = _fill(candidates, articles, ranking, config)
    rows = sorted({c.row for c in chosen}, key=lambda row: _place(ranking, articles, row))
    return [
        Quoted(
            ranking.passage(row),
            joined([c.text for c in sorted(chosen, key=lambda c: c.order) if c.row == row]),
        )
        for row in rows
    ]


def _candidates(
    ranking: Ranking, articles: Sequence[str], asked: set[str], config: QuoteConfig
) -> list[_Candidate]:
    """Every sentence of `articles`, best first."""
    fused, found = ranking.fused, list[_Candidate]()
    heard = ranking.heard.sentences if ranking.heard else {}
    for row in map(int, np.flatnonzero(np.isin(ranking.shelf.articles, articles))):
        for order, text in enumerate(sentences(ranking.shelf.passages[row].text)):
            shared = len(asked & set(terms(text))) / max(1, len(asked))
            extra = config.shared_words * shared + config.first_sentence * (order == 0)
            extra += config.asked * heard.get((row, order), 0.0)
            found.append(_Candidate(float(fused[row]) + extra, row, order, text))
    return sorted(found, key=lambda c: -c.score)


def _fill(
    candidates: Sequence[_Candidate], articles: Sequence[str], ranking: Ranking, config: QuoteConfig
) -> list[_Candidate]:
    """Of each article the best that fit into its share of the words, each with the sentences before
    it, which it may lean on."""
    by_place = {(c.row, c.order): c for c in candidates}
    chosen: dict[tuple[int, int], _Candidate] = {}
    for article in articles:
        own = [c for c in candidates if ranking.shelf.articles[c.row] == article]
        left, lowest = config.max_words // len(articles), own[0].score - config.depth
        for best in own:
            before = [(best.row, order) for order in range(best.order + 1)]
            more = {place: by_place[place] for place in before if place not in chosen}
            words = sum(word_count(c.text) for c in more.values())
            if best is own[0] or (best.score >= lowest and words <= left):
                chosen |= more
                left -= words
    return list(chosen.values())


def _place(ranking: Ranking, articles: Sequence[str], row: int) -> tuple[int, float]:
    return articles.index(ranking.shelf.passages[row].article), -float(ranking.fused[row])
