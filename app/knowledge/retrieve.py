"""Search over help articles: BM25 and MiniLM bring passages up, a small ranker puts them in order.

Fusing by ranks is worse than the better half (StackFAQ, plain RRF: recall@1 .818 where MiniLM alone
has .914), so scores are fused: a cosine, and BM25 as a share of its largest possible value. The
best go to the ranker: no fixed share is right for FAQs and for prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InputError
from app.core.language import detect, normalise
from app.core.messages import Message, Passage
from app.knowledge import confidence, followup, ranker, wanted
from app.knowledge.asked import Heard
from app.knowledge.confidence import Confidence, features
from app.knowledge.parts import parts
from app.knowledge.passages import Audience, Doc, MemoryIndex, PassageIndex, fingerprint
from app.knowledge.ranker import Ranker
from app.knowledge.settings import RetrievalConfig
from app.knowledge.shelf import Candidates, Ranking, Scores
from app.models.encoder import Array, HashEncoder, TextEncoder

Mode = Literal["bm25", "dense", "hybrid"]
_WORD = re.compile(r"[^\W_]")
_LONGEST_TITLE = 200


class Fitted(NamedTuple):
    """What `python -m app.knowledge.fit` makes."""

    order: Ranker
    confidence: Confidence


UNFITTED = Fitted(ranker.NONE, confidence.NONE)


def shipped() -> Fitted:
    """As it lies beside this file. Raises ConfigError or InputError where a file is not right."""
    return Fitted(ranker.load(), confidence.load())


class Knowledge:
    """Articles, searchable; made by `Knowledge.build`. Safe to use from several threads.

    Whoever does not name an audience searches what is public; see app.knowledge.passages.
    """

    def __init__(
        self,
        index: PassageIndex,
        config: RetrievalConfig,
        fitted: Fitted,
        encoder: TextEncoder | None = None,
    ) -> None:
        self._index = index
        self.encoder = encoder
        """What texts are embedded with, where the index lets others use it."""
        self.fitted = fitted
        self.config = config

    @classmethod
    def build(
        cls,
        docs: Iterable[Doc],
        encoder: TextEncoder,
        config: RetrievalConfig | None = None,
        fitted: Fitted | None = None,
    ) -> Knowledge:
        """Index docs, see app.knowledge.passages.Doc; vectors come from the cache.

        config: None is the one that `fitted` was made with, which by default is what is shipped.
        Raises InputError where there is no text that anybody may see.
        """
        known = fitted or shipped()
        own = config or known.confidence.retrieval
        mute = () if isinstance(encoder, HashEncoder) else own.mute()
        index = MemoryIndex(encoder, mute).changed(docs)
        if not index.candidates((), "en", "agents").passages:
            raise InputError("no public article with text: expected docs {id, text, visibility?}")
        return cls(index, own, known, encoder)

    def over(self, docs: Iterable[Doc]) -> Knowledge:
        """The same over other articles; only those that differ are indexed anew."""
        wanted = {str(doc["id"]): doc for doc in docs}
        held = self._index.held()
        put = [doc for id_, doc in wanted.items() if held.get(id_) != fingerprint(doc)]
        index = self._index.changed(put, held.keys() - wanted.keys())
        return Knowledge(index, self.config, self.fitted, self.encoder)

    def ordered(self, order: Ranker) -> Knowledge:
        """The same articles, put in order by another ranker."""
        fitted = self.fitted._replace(order=order)
        return Knowledge(self._index, self.config, fitted, self.encoder)

    def search(
        self,
        question: str,
        *,
        history: Sequence[Message] = (),
        k: int = 5,
        mode: Mode = "hybrid",
        audience: Audience = "public",
    ) -> list[Passage]:
        """At most `k` passages, best first; several may come from one article.

        For articles in order, take `dict.fromkeys(p.article for p in passages)`. A Chinese question
        searches the Chinese articles, where there are any. A question without a word finds nothing.
        """
        if not _WORD.search(question):
            return []
        return self.best(self.rank(question, history, mode, audience), question, k)

    @staticmethod
    def best(ranking: Ranking, question: str, k: int) -> list[Passage]:
        """At most `k` passages of `ranking`, as `search` gives them."""
        if not _WORD.search(question):
            return []
        by = np.argsort(-ranking.fused, kind="stable")[:k]
        return [ranking.passage(row) for row in by if np.isfinite(ranking.fused[row])]

    def titled(self, text: str) -> str | None:
        """The public article whose title `text` is, whatever case and space; None: it is none."""
        wanted = _plain(text)
        if not wanted or len(wanted) > _LONGEST_TITLE:
            return None
        for language in ("en", "zh"):
            for passage in self._index.candidates([text], language).passages:
                if _plain(passage.title) == wanted:
                    return passage.article
        return None

    def article(self, id_: str) -> list[Passage]:
        """The passages of a public article, in order; empty where there is none of this id."""
        wanted = id_.replace("-", " ")
        shelves = [self._index.candidates([wanted], language) for language in ("en", "zh")]
        found = {p.id: p for shelf in shelves for p in shelf.passages if p.article == id_}
        return list(found.values())

    def confidence(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        history: Sequence[Message] = (),
        audience: Audience = "public",
    ) -> float:
        """0..1: how likely the best of `passages`, as search returned them, answers `question`.

        0.0 without passages. Give the history and audience that were given to search.
        """
        if not passages:
            return 0.0
        ranking = self.rank(question, history, audience=audience)
        return self.sureness(ranking, question, ranking.shelf.rows[passages[0].id])

    def sureness(self, ranking: Ranking, question: str, row: int | None = None) -> float:
        """`confidence` that the passage in `row` (default: the best) of `ranking` answers."""
        return self.chances(ranking, question, row)[0]

    def chances(
        self, ranking: Ranking, question: str, row: int | None = None
    ) -> tuple[float, float]:
        """`sureness`, and how sure it is that what an answer would rest on is right."""
        if not len(ranking.fused):
            return 0.0, 0.0
        best = int(ranking.fused.argmax()) if row is None else row
        weights, language = self.fitted.confidence.of(ranking, best), detect(question)
        told = features(ranking, best, question, self.rests_on(ranking, best))
        sure, right = weights(told, language), weights.rightness(told, language)
        if self.lacks(ranking, question, best):
            return confidence.less(sure), confidence.less(right)
        return sure, right

    def rests_on(self, ranking: Ranking, row: int) -> list[str]:
        """The articles that an answer by the passage in `row` would rest on."""
        leading, own = ranking.leading(self.config), str(ranking.shelf.articles[row])
        return leading if own in leading else [own]

    def lacks(self, ranking: Ranking, question: str, row: int) -> bool:
        """Whether an answer would have to have a form (app.knowledge.wanted) that is nowhere in the
        articles that it would rest on."""
        own = np.flatnonzero(np.isin(ranking.shelf.articles, self.rests_on(ranking, row)))
        return wanted.lacks(question, "\n".join(ranking.shelf.passages[at].text for at in own))

    def rank(
        self,
        question: str,
        history: Sequence[Message] = (),
        mode: Mode = "hybrid",
        audience: Audience = "public",
    ) -> Ranking:
        """The candidates in the question's language scored, for each part of the question."""
        language, whole = detect(question), followup.whole(question, history)
        found = [] if history else parts(question)
        asked = found if len(found) > 1 else []
        shelf = self._index.candidates([whole, *found], language, audience)
        first = self._first(shelf, whole, asked, language, mode)
        orders = self.fitted.order.orders(language, self.encoder)
        if mode != "hybrid" or not shelf.passages:
            return first
        if orders:
            rows, views = self.evidence(first, whole, asked)
            given = [self.fitted.order(view, language) for view in views]
            pairs = zip(first.parts, given, strict=True)
            ordered = tuple(reordered(part, rows, order) for part, order in pairs)
            first = first._replace(parts=ordered, orders=tuple(_placed(rows, given, ordered)))
        return self._listened(first, question, whole, asked)

    def _listened(self, first: Ranking, question: str, whole: str, asked: Sequence[str]) -> Ranking:
        """The ranking with what the ways to ask say, where articles carry any.

        Of a follow-up, the turn before tells the article and the question itself the sentence. A
        question of several parts is answered where one of them is.
        """
        heard = [each for text in (whole, *asked) if (each := first.shelf.heard(normalise(text)))]
        if not heard:
            return first
        share = np.float32(self.config.asked_weight)
        known = self._mixed([each.rows for each in heard])
        parts = tuple(
            np.where(np.isnan(own), part, share * own + (1 - share) * part)
            for part, own in zip(first.parts, known, strict=True)
        )
        alone = first.shelf.heard(normalise(question)) if question != whole else None
        own = [heard[0]] if len(heard) == 1 else heard[1:]
        said = tuple(_together(each, alone) for each in own)
        together = heard[0]._replace(
            total=np.maximum.reduce([each.total for each in heard]),
            elsewhere=min(each.elsewhere for each in heard),
        )
        return first._replace(parts=parts, heard=together, said=said)

    def evidence(
        self, first: Ranking, whole: str, asked: Sequence[str]
    ) -> tuple[NDArray[np.intp], list[Array]]:
        """The rows that are put in order, and their clues (m, len(NAMES)) for each part."""
        rows = self._brought_up(first)
        clues = self._mixed([first.shelf.clues(normalise(text), rows) for text in (whole, *asked)])
        pairs = zip(clues, first.parts, strict=True)
        return rows, [np.column_stack([clue, part[rows]]) for clue, part in pairs]

    def _first(
        self, shelf: Candidates, whole: str, asked: Sequence[str], language: str, mode: Mode
    ) -> Ranking:
        """Every passage, by the fusion alone."""
        scores = [self._scores(shelf, text) for text in (whole, *asked)]
        fused = self._mixed([self._fuse(each, language, mode) for each in scores])
        return Ranking(shelf, scores[0], tuple(fused))

    def _mixed(self, found: Sequence[Array]) -> list[Array]:
        """Of the whole question and its parts: each part with its share of the whole."""
        share = np.float32(self.config.part_weight)
        return [share * part + (1 - share) * found[0] for part in found[1:]] or list(found)

    def _brought_up(self, first: Ranking) -> NDArray[np.intp]:
        """Rows for the ranker, in their order: the best of each part and of the words alone."""
        most = self.config.candidates
        if len(first.halves.bm25) <= most:
            return np.arange(len(first.halves.bm25))
        scores = (first.halves.bm25, *first.parts)
        best = [np.argsort(-half, kind="stable")[:most] for half in scores]
        return np.unique(np.concatenate(best))

    def _scores(self, shelf: Candidates, text: str) -> Scores:
        return shelf.scores(normalise(text), self.config.title_weight)

    def _fuse(self, scores: Scores, language: str, mode: Mode) -> Array:
        """(n,) float32: both halves of the first search."""
        share = self.config.words(language)
        weight = np.float32({"bm25": 1.0, "dense": 0.0, "hybrid": share}[mode])
        fused: Array = weight * scores.bm25 + (1 - weight) * scores.dense
        return fused


def _placed(
    rows: NDArray[np.intp], given: Sequence[Array], parts: Sequence[Array]
) -> Iterable[Array]:
    """What the ranker gave `rows`, each in its place among all."""
    for order, part in zip(given, parts, strict=True):
        placed = np.full_like(part, -np.inf)
        placed[rows] = order
        yield placed


def _together(heard: Heard, alone: Heard | None) -> Mapping[tuple[int, int], float]:
    """What is said of sentences by either."""
    if alone is None:
        return heard.sentences
    return {place: max(at, alone.sentences[place]) for place, at in heard.sentences.items()}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def reordered(scores: Array, rows: NDArray[np.intp], order: Array) -> Array:
    """`scores` with those of `rows` dealt out anew, best first, so that they keep their scale.

    A millionth less for each place, so that equal scores keep the order too; rows that are equal in
    `order` (to five decimals) and in score stay equal, wherever they stand.
    """
    order, own = np.round(order, 5), scores[rows]
    by = np.lexsort((-own, -order))
    same = (np.diff(order[by]) == 0) & (np.diff(own[by]) == 0)
    place = np.maximum.accumulate(np.where(np.r_[False, same], 0, np.arange(len(by))))
    dealt = np.sort(own)[::-1] - np.float32(1e-6) * np.arange(len(by), dtype=np.float32)
    out = scores.copy()
    out[rows[by]] = dealt[place]
    return out
