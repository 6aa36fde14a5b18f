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
from app.knowledge.settings import RetrievalConfig
from app.knowledge.shelf import Ranking

FILE = Path(__file__).with_name("confidence.json")


class Weights(Strict):
    """Of one language."""

    bias: float
    features: dict[str, float]
    """By the names that `features` gives."""


class Confidence(Strict):
    """Fitted weights and where they come from."""

    encoder: str = ""
    """Model reference of the encoder that it was fitted with."""
    retrieval: RetrievalConfig = RetrievalConfig()
    """How the search was set."""
    languages: dict[str, Weights]
    threshold: float
    """Below it the question is declined; chosen on dev, see `fitted`."""
    fitted: dict[str, object]
    """Provenance: data and encoder by sha256, n, AUROC and errors on dev."""

    def __call__(self, found: Mapping[str, float], language: str) -> float:
        """A number in 0..1 that rises with the chance that the question is answerable."""
        weights = self.languages.get(language) or self.languages["en"]
        logit = weights.bias + sum(w * found[name] for name, w in weights.features.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


NONE = Confidence(languages={}, threshold=0.0, fitted={})
"""Before anything was fitted; cannot be asked."""


def load(path: Path = FILE) -> Confidence:
    """The fitted weights. Raises ConfigError or InputError where the file is not right."""
    return parse(Confidence, read_json(path), str(path))


def features(ranking: Ranking, best: int) -> dict[str, float]:
    """What speaks for the passage in row `best`: what each index says of it.

    Margin to the next article, coverage of the question's words and its length added nothing on
    questions of topics left out of the fit.
    """
    return {
        "cosine": float(ranking.halves.dense[best]),
        "share": float(ranking.halves.bm25[best]),
    }
