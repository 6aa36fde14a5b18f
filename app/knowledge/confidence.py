"""How sure it is that the articles answer, and that the right one was found: logistic regressions.

The weights lie in confidence.json beside this file, fitted by `python -m app.knowledge.fit` on the
demo's train and dev questions: one set for articles that carry ways to ask (app.knowledge.asked),
one for those that carry none and are put in order by the ranker, on questions of public sets, too,
and one for those that are not. With another encoder or other articles the number keeps its order,
not its meaning.

These are two matters: of a question about the shop's returns in words that nobody foresaw it is
certain that an article answers, and uncertain which. Where no article answers, as often as not, a
question is declined. Where the article found may be a wrong one, an answer says that it may not be
what was meant: below the threshold that keeps the error of all other answers within the rate that
brief.yaml states, on questions that the fit did not see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from app.core.abstain import for_error
from app.core.config import Strict, parse
from app.core.files import read_json
from app.knowledge.settings import RetrievalConfig
from app.knowledge.shelf import Ranking

FILE = Path(__file__).with_name("confidence.json")
LACKING = 3.7
"""Taken off the log odds of an answer whose form the articles lack: the logarithm of how much
oftener they lack it where they do not answer (17 of 155 ways to ask against 4 of 1,502)."""


class Weights(Strict):
    """Of one language."""

    bias: float
    features: dict[str, float]
    """By the names that `features` gives."""


class Held(Strict):
    """How right the fit took questions to be that it did not see, as they were asked."""

    chances: list[float]
    wrong: list[bool]
    """Whether none of the articles that an answer would rest on is a right one."""


class Fitted(Strict):
    """For articles with ways to ask, or without."""

    languages: dict[str, Weights]
    """That an article answers."""
    right: dict[str, Weights]
    """That the articles found are right ones."""
    threshold: float
    """Below it the question is declined."""
    held: Held

    def __call__(self, found: Mapping[str, float], language: str) -> float:
        """A number in 0..1 that rises with the chance that the question is answerable."""
        return _chance(self.languages, found, language)

    def rightness(self, found: Mapping[str, float], language: str) -> float:
        """The same for the chance that an answer rests on a right article."""
        return _chance(self.right, found, language)

    def certain(self, error: float) -> float:
        """From which rightness on at most `error` of the answers rest on no right article; 1, which
        only a customer's own choice reaches, where that cannot be kept."""
        return min(1.0, _kept_within(tuple(self.held.chances), tuple(self.held.wrong), error))


class Confidence(Strict):
    """Fitted weights and where they come from."""

    encoder: str = ""
    """Model reference of the encoder that it was fitted with."""
    retrieval: RetrievalConfig = RetrievalConfig()
    """How the search was set."""
    plain: Fitted
    ordered: Fitted
    """Where the ranker put the articles in order."""
    asked: Fitted
    """Where the article in question carries ways to ask."""
    fitted: dict[str, object]
    """Provenance: data and encoder by sha256, n, AUROC and errors on dev."""

    def of(self, ranking: Ranking, row: int | None = None) -> Fitted:
        """The set that goes with the passage in `row` (default: the best)."""
        if not _unheard(ranking, row):
            return self.asked
        return self.ordered if ranking.orders else self.plain


def _chance(by: Mapping[str, Weights], found: Mapping[str, float], language: str) -> float:
    weights = by.get(language) or by["en"]
    logit = weights.bias + sum(w * found[name] for name, w in weights.features.items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


_NOTHING = Fitted(languages={}, right={}, threshold=0.0, held=Held(chances=[], wrong=[]))
NONE = Confidence(plain=_NOTHING, ordered=_NOTHING, asked=_NOTHING, fitted={})
"""Before anything was fitted; cannot be asked."""


def load(path: Path = FILE) -> Confidence:
    """The fitted weights. Raises ConfigError or InputError where the file is not right."""
    return parse(Confidence, read_json(path), str(path))


def less(chance: float) -> float:
    """`chance` where the articles lack the form that an answer must have (app.knowledge.wanted)."""
    odds = chance / max(1e-9, 1 - chance) * math.exp(-LACKING)
    return odds / (1 + odds)


@lru_cache(maxsize=64)
def _kept_within(chances: tuple[float, ...], wrong: tuple[bool, ...], error: float) -> float:
    return for_error(chances, wrong, error)


def features(
    ranking: Ranking, best: int, question: str, articles: Iterable[str]
) -> dict[str, float]:
    """What speaks for the passage in row `best`: what each index says of it, or, where articles
    carry ways to ask, what those say of it and of there being no answer, and how much of the
    question's words are known of `articles`, which an answer would rest on; and the whole score.

    Coverage of the question's words by the passage and its length added nothing on questions of
    topics left out of the fit; nor did the indexes, or the ranker's margin, beside the ways to ask.
    """
    if ranking.heard is None or _unheard(ranking, best):
        halves = ranking.halves
        found = {"cosine": float(halves.dense[best]), "share": float(halves.bm25[best])}
        return found | ({"margin": ranking.margin(best)} if ranking.orders else {})
    return {
        "asked": float(ranking.heard.total[best]),
        "elsewhere": ranking.heard.elsewhere,
        "known": ranking.shelf.known(question, articles),
        "top": float(ranking.fused[best]),
    }


def _unheard(ranking: Ranking, row: int | None) -> bool:
    """Whether the article carries no ways to ask."""
    if ranking.heard is None or not len(ranking.fused):
        return True
    best = int(ranking.fused.argmax()) if row is None else row
    return not math.isfinite(ranking.heard.total[best])
