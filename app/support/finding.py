"""What the articles have on a question: one search a turn, and which others could be meant.

A question that leans on the turn before is searched for alone, too.

Who sends the title of an article, by typing or by a button, has chosen it: the question before is
then answered from that article alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from app.core.language import detect
from app.core.messages import Message, Passage
from app.knowledge import followup
from app.knowledge.confidence import Confidence, Fitted, features
from app.knowledge.retrieve import Knowledge
from app.knowledge.shelf import Ranking

OFFERED = 3
"""Other articles that are offered, at most."""
LOOKED_AT = 30
"""Passages, the best, among which they are looked for."""


class Near(NamedTuple):
    """An article that could be meant."""

    id: str
    title: str


class Found(NamedTuple):
    """What a search brought."""

    question: str
    """With what it follows, as it was ranked."""
    ranking: Ranking
    passages: list[Passage]
    """The best, best first; none for a question without a word."""
    sure: float
    """0..1, that the best of them answers; 1 where the customer chose the article."""
    right: float
    """0..1, that `articles` are the right ones; 1 as above, 0 where there are two readings."""
    confidence: Confidence
    """What that is measured by."""
    articles: list[str]
    """One or two, that an answer rests on, best first."""
    other: str | None = None
    """The article that is meant if the question was understood wrongly: with or without the turn
    before."""

    @property
    def weights(self) -> Fitted:
        """Those of the best passage."""
        return self.confidence.of(self.ranking)

    def near(self, threshold: float | None, cited: Collection[str] = ()) -> list[Near]:
        """Articles with a title that are not `cited`, best first, for the customer to choose from:
        each by itself half as likely to answer as what is answered at all, which `threshold` says
        (None: as fitted)."""
        found: dict[str, Near] = {}
        if self.other and self.other not in cited:
            titles = [p.title for p in self.ranking.shelf.passages if p.article == self.other]
            if any(titles):
                found[self.other] = Near(self.other, titles[0])
        fused, language = self.ranking.fused, detect(self.question)
        for row in map(int, np.argsort(-fused, kind="stable")[:LOOKED_AT]):
            passage = self.ranking.shelf.passages[row]
            if not np.isfinite(fused[row]) or not passage.title or passage.article in cited:
                continue
            weights = self.confidence.of(self.ranking, row)
            told = features(self.ranking, row, self.question, [passage.article])
            least = (weights.threshold if threshold is None else threshold) / 2
            if weights(told, language) >= least:
                found.setdefault(passage.article, Near(passage.article, passage.title))
            if len(found) == OFFERED:
                break
        return list(found.values())


def find(
    knowledge: Knowledge,
    asked: str,
    turns: Sequence[Message],
    most: int,
    certain: Callable[[Found], float] = lambda _: 1.0,
) -> Found:
    """Search for `asked` as it follows `turns`; `most`: passages that are given back.

    certain: how right a find has to be to stand without a hedge. A question that seems to lean on
    the turn before ("... when will it ship?") is answered alone where that is so certain, and no
    less likely right than with what was said before. Where the two mean different articles, neither
    is certain, and the other one is offered. What that gains and costs on train and dev is printed
    by tests/test_followup_readings.py. Of too few words, none stands alone.
    """
    chosen = knowledge.titled(asked)
    within = _within(knowledge, chosen, asked, turns, most) if chosen is not None else None
    if within is not None:
        return within
    found = _search(knowledge, asked, turns, most)
    if found.question == asked or followup.few(asked):
        return found
    alone = _search(knowledge, asked, (), most)
    if alone.right < certain(alone):
        return found
    better, left = (alone, found) if alone.right >= found.right else (found, alone)
    if better.articles[:1] == left.articles[:1]:
        return better
    return better._replace(right=0.0, other=next(iter(left.articles), None))


def _search(knowledge: Knowledge, asked: str, turns: Sequence[Message], most: int) -> Found:
    ranking = knowledge.rank(asked, turns)
    passages = knowledge.best(ranking, asked, most)
    chances = knowledge.chances(ranking, asked) if passages else (0.0, 0.0)
    return _found(knowledge, followup.whole(asked, turns), ranking, passages, chances)


def _found(
    knowledge: Knowledge,
    whole: str,
    ranking: Ranking,
    passages: list[Passage],
    chances: tuple[float, float],
) -> Found:
    leading = ranking.leading(knowledge.config) if passages else []
    return Found(whole, ranking, passages, *chances, knowledge.fitted.confidence, leading)


def _within(
    knowledge: Knowledge, article: str, asked: str, turns: Sequence[Message], most: int
) -> Found | None:
    """The last question that is not itself a title, asked of `article` alone.

    None where the article is in another language than its title, and so out of the search.
    """
    question, before = asked, list[Message]()
    for place in reversed(range(len(turns))):
        said = turns[place]
        if said.role == "user" and knowledge.titled(said.content) is None:
            question, before = said.content, list(turns[:place])
            break
    ranking = knowledge.rank(question, before).only(article)
    if not np.isfinite(ranking.fused).any():  # a title of the other language
        question, before = asked, []
        ranking = knowledge.rank(question).only(article)
    passages = knowledge.best(ranking, question, most)
    whole = followup.whole(question, before)
    return _found(knowledge, whole, ranking, passages, (1.0, 1.0)) if passages else None
