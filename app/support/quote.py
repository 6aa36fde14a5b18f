"""What to quote: whole sentences of the best articles, the facts first, in few words.

Help articles put the fact in the first sentence of a paragraph and the reason behind it, so first
sentences are taken before others of equal passages, and no sentence without the one before it,
which it may lean on. The text is the article's, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.core.messages import Passage
from app.knowledge.shelf import Ranking
from app.knowledge.split import joined, sentences, word_count
from app.knowledge.terms import terms

_GOES_ON = re.compile(r"(?:that|this|these|those|it|they)\b|(?:这|那|它|其)", re.IGNORECASE)
"""How a sentence begins that goes on from the one before."""


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
    jobs, words, left = _jobs(ranking, articles), set(terms(asked)), config.max_words
    chosen: dict[tuple[int, int], _Candidate] = {}
    for number, (article, part) in enumerate(jobs):
        candidates = _candidates(ranking, article, part, words, config)
        left -= _fill(chosen, candidates, left // (len(jobs) - number), config)
    rows = sorted({row for row, _ in chosen}, key=lambda row: _place(ranking, articles, row))
    return [
        Quoted(
            ranking.passage(row), joined([chosen[at].text for at in sorted(chosen) if at[0] == row])
        )
        for row in rows
    ]


def _jobs(ranking: Ranking, articles: Sequence[str]) -> list[tuple[str, int]]:
    """Articles with the part of the question that each answers, in the order of the parts: each has
    its own sentences, also where one article answers two."""
    leads = [(lead, part) for part, lead in enumerate(ranking.leads) if lead in articles]
    behind = [article for article in articles if article not in dict(leads)]
    return leads + [(article, _part(ranking, article)) for article in behind]


def _part(ranking: Ranking, article: str) -> int:
    """The part of the question that `article` has most for."""
    own = ranking.shelf.articles == article
    return int(np.argmax([part[own].max() for part in ranking.parts]))


def _candidates(
    ranking: Ranking, article: str, part: int, asked: set[str], config: QuoteConfig
) -> list[_Candidate]:
    """Every sentence of `article`, the best for that part of the question first."""
    fused, found = ranking.parts[part], list[_Candidate]()
    said = ranking.said[part] if ranking.said else {}
    for row in map(int, np.flatnonzero(ranking.shelf.articles == article)):
        for order, text in enumerate(sentences(ranking.shelf.passages[row].text)):
            shared = len(asked & set(terms(text))) / max(1, len(asked))
            extra = config.shared_words * shared + config.first_sentence * (order == 0)
            extra += config.asked * said.get((row, order), 0.0)
            found.append(_Candidate(float(fused[row]) + extra, row, order, text))
    return sorted(found, key=lambda c: -c.score)


def _fill(
    chosen: dict[tuple[int, int], _Candidate],
    candidates: Sequence[_Candidate],
    most: int,
    config: QuoteConfig,
) -> int:
    """Add the best that fit into `most` words, each with the sentences before it, which it may lean
    on; then what goes on from them. Returns the words that were added."""
    left, by_place, best = most, {(c.row, c.order): c for c in candidates}, candidates[0]
    good = [c for c in candidates if c.score >= best.score - config.depth]
    for candidate in [*good, *_going_on(good, by_place)]:
        before = [(candidate.row, order) for order in range(candidate.order + 1)]
        more = {place: by_place[place] for place in before if place not in chosen}
        words = sum(word_count(c.text) for c in more.values())
        if words <= left or candidate is best:
            chosen |= more
            left -= words
    return most - left


def _going_on(
    good: Sequence[_Candidate], by_place: Mapping[tuple[int, int], _Candidate]
) -> list[_Candidate]:
    """The sentences behind `good` that begin as one that goes on from another does."""
    behind = [by_place.get((c.row, c.order + 1)) for c in good]
    return [c for c in behind if c and _GOES_ON.match(c.text)]


def _place(ranking: Ranking, articles: Sequence[str], row: int) -> tuple[int, float]:
    return articles.index(ranking.shelf.passages[row].article), -float(ranking.fused[row])
