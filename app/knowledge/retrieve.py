"""Search over help articles: BM25 and MiniLM fused, titles as a field, follow-ups resolved.

Fusing by ranks is worse than the better half (StackFAQ, plain RRF: recall@1 .818 where MiniLM alone
has .914), so scores are fused: a cosine, and BM25 as a share of its largest possible value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.core.errors import InputError
from app.core.language import detect, normalise
from app.core.messages import Message, Passage
from app.knowledge import followup
from app.knowledge.confidence import Confidence, features, load
from app.knowledge.parts import parts
from app.knowledge.passages import Audience, Doc, MemoryIndex, PassageIndex, fingerprint
from app.knowledge.shelf import Candidates, Ranking, Scores
from app.models.encoder import Array, TextEncoder

Mode = Literal["bm25", "dense", "hybrid"]
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class RetrievalConfig:
    """Weights of the fusion, chosen on the demo's train and dev questions, never on test."""

    bm25_weight: float = 0.3
    """English: share of BM25 in the fused score; the rest is the cosine."""
    bm25_weight_zh: float = 0.9
    """Chinese: MiniLM was trained on English and knows few Han characters."""
    title_weight: float = 0.9
    """A title's score counts this much beside a passage's; the larger of the two is taken."""
    part_weight: float = 0.6
    """Questions in several parts: share of the part; the rest is the whole question."""


class Knowledge:
    """Articles, searchable; made by `Knowledge.build`. Safe to use from several threads.

    Whoever does not name an audience searches what is public; see app.knowledge.passages.
    """

    def __init__(
        self,
        index: PassageIndex,
        config: RetrievalConfig,
        confidence: Confidence,
        encoder: TextEncoder | None = None,
    ) -> None:
        self._index = index
        self.encoder = encoder
        """What texts are embedded with, where the index lets others use it."""
        self._confidence = confidence
        self.config = config

    @classmethod
    def build(
        cls,
        docs: Iterable[Doc],
        encoder: TextEncoder,
        config: RetrievalConfig = RetrievalConfig(),
    ) -> Knowledge:
        """Index docs {id, text, title?, lang?, visibility?, url?}; vectors come from the cache.

        Raises InputError where there is no text that anybody may see.
        """
        index = MemoryIndex(encoder).changed(docs)
        if not index.candidates((), "en", "agents").passages:
            raise InputError("no public article with text: expected docs {id, text, visibility?}")
        return cls(index, config, load(), encoder)

    def over(self, docs: Iterable[Doc]) -> Knowledge:
        """The same over other articles; only those that differ are indexed anew."""
        wanted = {str(doc["id"]): doc for doc in docs}
        held = self._index.held()
        put = [doc for id_, doc in wanted.items() if held.get(id_) != fingerprint(doc)]
        index = self._index.changed(put, held.keys() - wanted.keys())
        return Knowledge(index, self.config, self._confidence, self.encoder)

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
        ranked = self.rank(question, history, mode, audience)
        best = np.argsort(-ranked.fused, kind="stable")[:k]
        return [ranked.passage(row) for row in best]

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
        found = features(ranking, ranking.shelf.rows[passages[0].id])
        return self._confidence(found, detect(question))

    @property
    def threshold(self) -> float:
        """The confidence below which a question is declined, as fitted."""
        return self._confidence.threshold

    def rank(
        self,
        question: str,
        history: Sequence[Message] = (),
        mode: Mode = "hybrid",
        audience: Audience = "public",
    ) -> Ranking:
        """The candidates in the question's language scored, for each part of the question."""
        language, whole = detect(question), followup.whole(question, history)
        asked = [] if history else parts(question)
        shelf = self._index.candidates([whole, *asked], language, audience)
        halves = self._scores(shelf, whole)
        fused = [self._fuse(halves, language, mode)]
        if len(asked) > 1:
            share = np.float32(self.config.part_weight)
            alone = [self._fuse(self._scores(shelf, part), language, mode) for part in asked]
            fused = [share * part + (1 - share) * fused[0] for part in alone]
        return Ranking(shelf, halves, tuple(fused))

    def _scores(self, shelf: Candidates, text: str) -> Scores:
        return shelf.scores(normalise(text), self.config.title_weight)

    def _fuse(self, scores: Scores, language: str, mode: Mode) -> Array:
        """(n,) float32: one score a passage."""
        chinese = language == "zh"
        share = self.config.bm25_weight_zh if chinese else self.config.bm25_weight
        weight = np.float32({"bm25": 1.0, "dense": 0.0, "hybrid": share}[mode])
        fused: Array = weight * scores.bm25 + (1 - weight) * scores.dense
        return fused
