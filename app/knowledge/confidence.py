"""How sure it is that the best passage answers: a logistic regression over the ranking.

The weights lie in confidence.json beside this file, fitted by `python -m app.knowledge.fit` on the
demo's train and dev questions, with the questions' own articles taken away as further ones without
an answer. With another encoder or other articles the number keeps its order, not its meaning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from app.core.config import Strict, parse
from app.core.files import read_json
from app.knowledge.shelf import Ranking
from app.knowledge.terms import terms

FILE = Path(__file__).with_name("confidence.json")


class Weights(Strict):
    """Of one language."""

    bias: float
    features: dict[str, float]
    """By the names that `features` gives."""


class Confidence(Strict):
    """Fitted weights and where they come from."""

    languages: dict[str, Weights]
    threshold: float
    """Below it the question is declined; chosen on dev, see `fitted`."""
    fitted: dict[str, object]
    """Provenance: data and encoder by sha256, retrieval config, n, AUROC and errors on dev."""

    def __call__(self, found: Mapping[str, float], language: str) -> float:
        """A number in 0..1 that rises with the chance that the question is answerable."""
        weights = self.languages.get(language) or self.languages["en"]
        logit = weights.bias + sum(w * found[name] for name, w in weights.features.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def load(path: Path = FILE) -> Confidence:
    """The fitted weights. Raises ConfigError or InputError where the file is not what it should be."""
    return parse(Confidence, read_json(path), str(path))


def features(ranking: Ranking, asked: str, best: int) -> dict[str, float]:
    """What speaks for the passage in row `best`. `asked`: the question with what it follows.

    cosine and share: what the two indexes say of it; margin: how far its fused score is above the
    best of the other articles (0 where there is none); coverage: share of the
    question's content words that stand in the passage or its title.
    """
    fused, articles = ranking.fused, ranking.shelf.articles
    others = fused[articles != articles[best]]
    passage = ranking.shelf.passages[best]
    wanted, there = set(terms(asked)), set(terms(f"{passage.title} {passage.text}"))
    return {
        "cosine": float(ranking.halves.dense[best]),
        "share": float(ranking.halves.bm25[best]),
        "margin": float(fused[best] - others.max()) if others.size else 0.0,
        "coverage": len(wanted & there) / max(1, len(wanted)),
    }
