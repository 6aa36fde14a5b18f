"""What the ranker learns from, and how well it does on documents that it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from app.core.kinds import Corpus, Query
from app.core.language import detect, normalise
from app.core.messages import Message
from app.knowledge import followup, parts, ranker
from app.knowledge.learn import Lesson, learn
from app.knowledge.passages import MemoryIndex
from app.knowledge.ranker import FOLDS, Ranker
from app.knowledge.retrieve import UNFITTED, Knowledge, reordered
from app.knowledge.settings import RetrievalConfig
from app.knowledge.vectors import encode_cached
from app.models.encoder import Array, TextEncoder

LANGUAGES = ("en",)
"""Those that are learnt. On the demo's hundred Chinese questions, the only ones at hand, no ranker
came up to the first search, whose order stands for them."""


class Asked(NamedTuple):
    """A lesson with what is needed to score it."""

    lesson: Lesson
    views: list[Array]
    """The clues for each part of the question."""
    articles: list[str]
    """Of the candidates, as originals of translations."""
    wanted: tuple[str, ...]
    data: str
    language: str


class Remembering:
    """An encoder that has the vectors of some texts already."""

    def __init__(self, encoder: TextEncoder, texts: Sequence[str]) -> None:
        self.name, self.dim, self._encoder = encoder.name, encoder.dim, encoder
        self._known = dict(zip(texts, encode_cached(encoder, texts), strict=True))

    def encode(self, texts: Sequence[str]) -> Array:
        """As the encoder does."""
        if all(text in self._known for text in texts) and texts:
            return np.stack([self._known[text] for text in texts])
        return self._encoder.encode(texts)


def asked(
    data: str, found: Corpus, encoder: TextEncoder, weight: float, config: RetrievalConfig
) -> list[Asked]:
    """The answerable questions of `found`, each with the candidates of the first search."""
    queries = [query for query in found.queries if query.gold]
    wholes = [followup.whole(query.text, _history(query)) for query in queries]
    asks = [_parts(query) for query in queries]
    texts = [normalise(t) for w, own in zip(wholes, asks, strict=True) for t in (w, *own)]
    remembering = Remembering(encoder, texts)
    index = MemoryIndex(remembering).changed(found.docs)
    plain = Knowledge(index, config, UNFITTED, remembering)
    originals = {str(d["id"]): str(d.get("same_as") or d["id"]) for d in found.docs}
    clusters = {gold: ranker.cluster(query) for query in queries for gold in query.gold}
    return [
        _asked(data, plain, query, whole, originals, clusters, weight)
        for query, whole in zip(queries, wholes, strict=True)
    ]


def fitted(rows: Sequence[Asked], encoder: str, without: int | None = None) -> Ranker:
    """A ranker for the encoder of that name; `without` leaves out all of that fold's documents."""
    languages = {}
    for language in LANGUAGES:
        own = [row.lesson for row in rows if row.language == language]
        clusters = {c for lesson in own for c in [lesson.cluster, *lesson.clusters]}
        hidden = frozenset(c for c in clusters if ranker.fold(c) == without)
        languages[language] = learn(own, hidden=hidden)
    return Ranker(languages=languages, encoder=encoder)


def cross_fitted(rows: Sequence[Asked], encoder: str) -> tuple[list[Ranker], dict[str, Any]]:
    """The rankers of the folds; what they and the first search alone measure on unseen ones."""
    folds = [fitted(rows, encoder, without=fold) for fold in range(FOLDS)]
    first = [ranker.NONE] * FOLDS
    return folds, {"fitted": measured(rows, folds), "first_search": measured(rows, first)}


def measured(rows: Sequence[Asked], folds: Sequence[Ranker]) -> dict[str, dict[str, Any]]:
    """By set and language, each question put in order by the ranker of its fold."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys((row.data, row.language) for row in rows):
        own = [row for row in rows if (row.data, row.language) == name]
        ranks = [_found(row, folds[ranker.fold(row.lesson.cluster)]) for row in own]
        at = {f"recall@{k}": np.mean([np.mean(np.array(r) <= k) for r in ranks]) for k in (1, 5)}
        mrr = np.mean([1 / min(r) for r in ranks])
        scores = {key: round(float(value), 4) for key, value in (at | {"mrr": mrr}).items()}
        found[f"{name[0]} {name[1]}"] = {"n": len(own), **scores}
    return found


def _found(row: Asked, order: Ranker) -> list[float]:
    """The rank of each gold article; infinite where it was not brought up."""
    every = np.arange(len(row.articles))
    ordered = [view[:, -1] for view in row.views]
    if row.language in order.languages:
        ordered = [reordered(v[:, -1], every, order(v, row.language)) for v in row.views]
    by = np.argsort(-np.maximum.reduce(ordered), kind="stable")
    articles = list(dict.fromkeys(row.articles[place] for place in by))
    return [1.0 + articles.index(g) if g in articles else np.inf for g in row.wanted]


def _asked(
    data: str, knowledge: Knowledge, query: Query, whole: str,
    originals: Mapping[str, str], clusters: Mapping[str, str], weight: float,
) -> Asked:  # fmt: skip
    first = knowledge.rank(query.text, _history(query))
    rows, views = knowledge.evidence(first, whole, _parts(query))
    passages = [first.shelf.passages[row] for row in rows]
    articles = [originals[passage.article] for passage in passages]
    gold = np.array([article in query.gold for article in articles], dtype=bool)
    states = np.array([_states(p.text, query.facts) for p in passages], dtype=bool) & gold
    lesson = Lesson(
        ranker.cluster(query), np.maximum.reduce(views), gold, states if states.any() else gold,
        np.array([clusters.get(article, article) for article in articles]), weight,
    )  # fmt: skip
    return Asked(lesson, views, articles, tuple(query.gold), data, detect(query.text))


def _states(text: str, facts: Sequence[str]) -> bool:
    """Whether any spelling of a fact is in `text`; loosely, as it only chooses examples."""
    plain = text.casefold()
    return any(said.casefold() in plain for fact in facts for said in fact.split("|"))


def _parts(query: Query) -> list[str]:
    """What the question asks, where it asks several things."""
    asked = [] if query.history else parts.parts(query.text)
    return asked if len(asked) > 1 else []


def _history(query: Query) -> list[Message]:
    return [Message.model_validate(dict(turn)) for turn in query.history]
