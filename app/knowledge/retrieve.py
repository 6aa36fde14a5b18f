"""Search over help articles: BM25 and MiniLM fused, titles as a field, follow-ups resolved.

Fusing by ranks is worse than the better half (StackFAQ, plain RRF: recall@1 .818 where MiniLM alone
has .914), so scores are fused: a cosine, and BM25 as a share of its largest possible value.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from app.core.errors import InputError
from app.core.language import detect, normalise
from app.core.messages import Message, Passage
from app.knowledge import followup
from app.knowledge.confidence import Confidence, features, load
from app.knowledge.parts import parts
from app.knowledge.shelf import Ranking, Scores, Shelf
from app.knowledge.split import Section, split
from app.models.encoder import Array, TextEncoder

Mode = Literal["bm25", "dense", "hybrid"]
Audience = Literal["public", "agents"]
_SEES: dict[Audience, tuple[str, ...]] = {"public": ("public",), "agents": ("public", "agents")}
"""Visibilities that an audience may see; an unknown one is seen by nobody."""
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

    Each audience has indexes of its own: what it may not see is not in them, so it is neither found
    nor counted. Whoever does not name an audience searches what is public.
    """

    def __init__(
        self,
        shelves: Mapping[Audience, Mapping[str, Shelf]],
        encoder: TextEncoder,
        config: RetrievalConfig,
        confidence: Confidence,
    ) -> None:
        self._shelves = dict(shelves)
        self._encoder = encoder
        self._confidence = confidence
        self.config = config

    @classmethod
    def build(
        cls,
        docs: Iterable[Mapping[str, Any]],
        encoder: TextEncoder,
        config: RetrievalConfig = RetrievalConfig(),
    ) -> Knowledge:
        """Index docs {id, text, title?, lang?, visibility?, url?}; vectors come from the cache.

        Raises InputError where there is no text that anybody may see.
        """
        encode = lru_cache(maxsize=1024)(lambda text: encoder.encode([text])[0])
        found = [(doc.get("visibility") or "public", s) for doc in docs for s in split(doc)]
        shelves: dict[Audience, Mapping[str, Shelf]] = {}
        for audience, seen in _SEES.items():
            if audience == "public" or any(visibility == audience for visibility, _ in found):
                sections = [section for visibility, section in found if visibility in seen]
                shelves[audience] = _by_language(sections, encoder, encode)
            else:
                shelves[audience] = shelves["public"]
        if not any(shelf.passages for shelf in shelves["agents"].values()):
            raise InputError("no public article with text: expected docs {id, text, visibility?}")
        return cls(shelves, encoder, config, load())

    def over(self, docs: Iterable[Mapping[str, Any]]) -> Knowledge:
        """The same over other articles; texts that are in the cache are not embedded again."""
        return Knowledge.build(docs, self._encoder, self.config)

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
        """All passages in the question's language scored, for each part of the question."""
        shelf, language = self._shelf(question, audience), detect(question)
        halves = self._scores(shelf, followup.whole(question, history))
        fused = [self._fuse(halves, language, mode)]
        asked = [] if history else parts(question)
        if len(asked) > 1:
            share = np.float32(self.config.part_weight)
            alone = [self._fuse(self._scores(shelf, part), language, mode) for part in asked]
            fused = [share * part + (1 - share) * fused[0] for part in alone]
        return Ranking(shelf, halves, tuple(fused))

    def _shelf(self, question: str, audience: Audience) -> Shelf:
        """The passages in the question's language, else those in the other."""
        shelves = self._shelves[audience]
        return shelves.get(detect(question)) or next(iter(shelves.values()))

    def _scores(self, shelf: Shelf, text: str) -> Scores:
        return shelf.scores(normalise(text), self.config.title_weight)

    def _fuse(self, scores: Scores, language: str, mode: Mode) -> Array:
        """(n,) float32: one score a passage."""
        chinese = language == "zh"
        share = self.config.bm25_weight_zh if chinese else self.config.bm25_weight
        weight = np.float32({"bm25": 1.0, "dense": 0.0, "hybrid": share}[mode])
        fused: Array = weight * scores.bm25 + (1 - weight) * scores.dense
        return fused


def _by_language(
    sections: Iterable[Section], encoder: TextEncoder, encode: Callable[[str], Array]
) -> dict[str, Shelf]:
    """A shelf for each language; an empty one where there is nothing."""
    found: dict[str, list[Section]] = defaultdict(list)
    for section in sections:
        found[section.passage.lang].append(section)
    return {lang: Shelf(s, encoder, encode) for lang, s in (found or {"en": []}).items()}
