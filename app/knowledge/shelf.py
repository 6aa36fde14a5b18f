"""The passages of one language with their indexes: text and title are fields of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.messages import Passage
from app.knowledge.asked import Heard, asked_index
from app.knowledge.clues import Clues
from app.knowledge.index import Bm25Index, DenseIndex
from app.knowledge.known import KnownWords
from app.knowledge.settings import RetrievalConfig
from app.knowledge.split import Section
from app.knowledge.words import Rows
from app.models.encoder import Array, TextEncoder


class Scores(NamedTuple):
    """What the two indexes say of each passage for one question; (n,) each."""

    bm25: Array
    dense: Array


class Candidates(Protocol):
    """n passages that a question is scored against, none of them twice."""

    @property
    def passages(self) -> Sequence[Passage]:
        """In the order of the scores."""
        ...

    @property
    def rows(self) -> Mapping[str, int]:
        """The row of each passage by its id."""
        ...

    @property
    def articles(self) -> NDArray[Any]:
        """(n,) ids of the articles that the passages are of."""
        ...

    def scores(self, question: str, title_weight: float) -> Scores:
        """Both scores of every passage, about 0 where nothing matches and 1 where all does."""
        ...

    def clues(self, question: str, rows: Rows) -> Array:
        """(len(rows), app.knowledge.clues.OWN): what the ranker weighs beside the scores."""
        ...

    def heard(self, question: str) -> Heard | None:
        """What the ways to ask say of every passage; None where no article carries any."""
        ...

    def known(self, question: str, articles: Iterable[str]) -> float:
        """0..1: how much of the question's words `articles`, or ways to ask them, have."""
        ...


class Shelf:
    """n sections of one language, scored as the larger of text and (weighted) title."""

    def __init__(
        self,
        sections: Sequence[Section],
        encoder: TextEncoder,
        encode: Callable[[str], Array],
        *,
        speaks: bool = True,
        before: Shelf | None = None,
    ) -> None:
        """speaks: whether the encoder knows the language; before: the shelf that this follows."""
        self.sections = list(sections)
        self.passages = [section.passage for section in sections]
        self.rows = {passage.id: row for row, passage in enumerate(self.passages)}
        self.articles = np.array([passage.article for passage in self.passages])
        texts = [section.searched for section in sections]
        titles = [section.passage.title for section in sections]
        self._bm25, self._bm25_titles = Bm25Index(texts), Bm25Index(titles)
        self._dense, self._dense_titles = DenseIndex(texts, encoder), DenseIndex(titles, encoder)
        self._clues, self._known = Clues(sections, encoder), KnownWords(sections)
        language = sections[0].passage.lang if sections else ""
        known = before.asked if before else None
        self.asked = asked_index(sections, encoder if speaks else None, language, known)
        self._encode = encode

    def heard(self, question: str) -> Heard | None:
        """See Candidates.heard."""
        return self.asked(question, self._encode(question)) if self.asked else None

    def known(self, question: str, articles: Iterable[str]) -> float:
        """See Candidates.known."""
        return self._known(question, articles)

    def clues(self, question: str, rows: Rows) -> Array:
        """See Candidates.clues."""
        return self._clues(question, self._encode(question), rows)

    def scores(self, question: str, title_weight: float) -> Scores:
        """Both indexes' scores of every passage."""
        vector = self._encode(question)
        words, titles = self._bm25.scores(question), self._bm25_titles.scores(question)
        near, near_titles = self._dense.scores_of(vector), self._dense_titles.scores_of(vector)
        return Scores(
            _field_max(words, titles, title_weight), _field_max(near, near_titles, title_weight)
        )


def _field_max(text: Array, title: Array, title_weight: float) -> Array:
    """The larger field; a crumb of the text's score orders passages under one winning title."""
    best: Array = np.maximum(text, np.float32(title_weight) * title) + np.float32(1e-3) * text
    return best


FAR = 10.0
"""The ranker's scores are logarithms: ten apart is one to twenty thousand."""


class Ranking(NamedTuple):
    """The scores of n passages for one question."""

    shelf: Candidates
    halves: Scores
    """Of the whole question."""
    parts: tuple[Array, ...]
    """(n,) fused scores for each part of the question; one where it asks one thing."""
    heard: Heard | None = None
    """What the ways to ask say of the whole question."""
    said: tuple[Mapping[tuple[int, int], float], ...] = ()
    """By (row, sentence), what they say of sentences, for each part of the question."""
    orders: tuple[Array, ...] = ()
    """(n,) what the ranker gives the passages that it put in order, -inf for the others, for each
    part of the question; none where there is no ranker."""

    @property
    def fused(self) -> Array:
        """(n,): the best that any part of the question gives a passage."""
        best: Array = np.maximum.reduce(self.parts)
        return best

    @property
    def leads(self) -> list[str]:
        """The best article for each part of the question."""
        return [str(self.shelf.articles[int(part.argmax())]) for part in self.parts]

    def leading(self, config: RetrievalConfig) -> list[str]:
        """The articles that an answer rests on, one or two: the best for each part of the question,
        else, where that is one, the best and one close behind it for any part."""
        leads = list(dict.fromkeys(self.leads))
        if len(leads) > 1:
            return leads[:2]
        behind = np.maximum.reduce([part - part.max() for part in self.parts])
        near = config.second_article if self.heard is None else config.second_asked
        for row in np.argsort(-behind, kind="stable"):
            article = str(self.shelf.articles[row])
            if article not in leads:
                return [*leads, article] if -behind[row] <= near else leads
        return leads

    def margin(self, row: int) -> float:
        """How far the ranker puts the article of `row` before the best other, or, below 0, behind
        it, for the part of the question that it is best for; FAR at most."""
        own = self.shelf.articles == self.shelf.articles[row]
        found = [-FAR]
        for part, order in zip(self.parts, self.orders, strict=True):
            seen = np.where(np.isfinite(part), order, -np.inf)
            best, other = (seen[rows].max(initial=-np.inf) for rows in (own, ~own))
            if np.isfinite(best):
                found.append(min(FAR, float(best - other)))
        return max(found)

    def only(self, article: str) -> Ranking:
        """The same with every other article out of the question: -inf."""
        own = self.shelf.articles == article
        return self._replace(
            parts=tuple(np.where(own, part, np.float32(-np.inf)) for part in self.parts)
        )

    def passage(self, row: int) -> Passage:
        """The passage in `row`, with its score."""
        return self.shelf.passages[row].model_copy(update={"score": float(self.fused[row])})
