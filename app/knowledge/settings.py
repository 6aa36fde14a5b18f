"""How the search is set: weights of the fusion, chosen on train and dev questions, never on test.

The defaults are those of all-MiniLM-L6-v2; `python -m app.knowledge.fit` chooses for another
encoder and keeps its choice in confidence.json.
"""

from __future__ import annotations

from pydantic import Field

from app.core.config import Strict

LANGUAGES = ("en", "zh")
WORDS_DECIDE = 0.8
"""Share of BM25 from which on an encoder's cosine is taken to say little of a language."""


class RetrievalConfig(Strict):
    """Weights of the search."""

    bm25_weight: float = Field(0.3, ge=0, le=1)
    """English: share of BM25 in the fused score; the rest is the cosine."""
    bm25_weight_zh: float = Field(0.9, ge=0, le=1)
    """Chinese: MiniLM was trained on English and knows few Han characters."""
    title_weight: float = Field(0.9, ge=0, le=1)
    """A title's score counts this much beside a passage's; the larger of the two is taken."""
    part_weight: float = Field(0.6, ge=0, le=1)
    """Questions in several parts: share of the part; the rest is the whole question."""
    asked_weight: float = Field(0.5, ge=0, le=1)
    """Share of what the ways to ask say; the rest is the search. Of articles that carry them."""
    second_article: float = Field(0.04, ge=0)
    """An answer rests on a second article, too, where its score is within this of the first's."""
    second_asked: float = Field(0.2, ge=0)
    """The same for articles that carry ways to ask."""
    candidates: int = Field(30, ge=1)
    """Passages that are put in order by the ranker: so many of BM25, as many by both scores."""

    def words(self, language: str) -> float:
        """The share of BM25 in that language."""
        return self.bm25_weight_zh if language == "zh" else self.bm25_weight

    def mute(self) -> list[str]:
        """The languages that the encoder does not speak."""
        return [language for language in LANGUAGES if self.words(language) >= WORDS_DECIDE]
