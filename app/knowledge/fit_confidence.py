"""How the confidence is fitted (app.knowledge.confidence): a part of `python -m app.knowledge.fit`.

A question counts as it came and, where nothing else tells what no answer looks like, once more
with its own articles taken away. Two logistic regressions each: that there is an answer, and that
what is found is right. The threshold for declining is the middle of those whose refusal F1 is
within TIE of the best; of a shop without ways to ask, where many answers say that they may be to
another question, of those whose right answers less the wrong ones are. How right the fit took
questions to be that it did not see is kept, so that the error that brief.yaml tolerates decides
which answers say that they may be to another question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from app.core import brief
from app.core.kinds import Corpus, Query
from app.core.messages import Message
from app.knowledge import confidence, lessons, ranker
from app.knowledge.confidence import Fitted, Weights, features
from app.knowledge.confidence import Held as Kept
from app.knowledge.retrieve import Knowledge
from app.knowledge.settings import LANGUAGES, WORDS_DECIDE, RetrievalConfig
from app.knowledge.shelf import Ranking

RIGHT = ("asked", "elsewhere", "known", "top")
"""What tells a right article from a wrong one, where articles carry ways to ask."""
ORDERED = ("cosine", "share", "margin")
"""What tells it where they carry none and the ranker puts them in order. The margin is what holds
from one shop to the next: without it no threshold keeps an error of 2 % over all sets."""
C = 0.5
TIE = 0.02
"""Well under the standard error of F1 on some hundred questions: less is no difference, and which
threshold is the very best of them is chance."""
Others = Mapping[str, Sequence["Sample"]]
"""Samples of other sets than the shop's own, by reference."""


class Sample(NamedTuple):
    """A question as it came, or with its own articles taken away."""

    query: Query
    found: dict[str, float]
    answerable: bool
    right: bool
    """The best passage is of a gold article."""
    as_asked: bool
    found_right: bool
    """An article that an answer would rest on is a gold one."""
    lacking: bool = False
    """The articles lack the form that the answer must have."""


class Fit(NamedTuple):
    """A language's logistic regression, with probabilities for questions it was not fitted on."""

    bias: float
    weights: dict[str, float]
    held_out: np.ndarray[Any, np.dtype[np.float64]]


class Held(NamedTuple):
    """n questions with what a fit says of them that did not see them; (n,) each."""

    chances: np.ndarray[Any, np.dtype[np.float64]]
    answerable: np.ndarray[Any, np.dtype[np.bool_]]
    right: np.ndarray[Any, np.dtype[np.bool_]]
    found_right: np.ndarray[Any, np.dtype[np.bool_]]


class Point(NamedTuple):
    """What a threshold does to questions as they were asked."""

    threshold: float
    refusal_f1: float
    error: float
    """Wrong article or no answer, among those answered."""
    answered: int
    gain: float
    """Right answers less wrong ones, a question."""


def fitted_on(
    drawn: Sequence[Sample], config: RetrievalConfig, others: Others | None = None
) -> tuple[Fitted, dict[str, Any]]:
    """Confidence from `samples`, and what it measures.

    others: samples of other sets, {} for none at hand; given, it is for the order of the ranker.
    """
    own, fits, told = _fitted(drawn, config, others)
    every = [*drawn, *(sample for each in (others or {}).values() for sample in each)]
    told["languages"] = {name: _quality(name, every, fits[name]) for name in fits}
    for name in others or {}:
        told[name] = as_a_stranger(name, drawn, config, others or {})
    return own, told


def as_a_stranger(
    name: str, drawn: Sequence[Sample], config: RetrievalConfig, others: Others
) -> dict[str, Any]:
    """What a fit that saw nothing of the set `name` makes of it: shares of its questions."""
    own, _, told = _fitted(drawn, config, {n: s for n, s in others.items() if n != name})
    certain = told["certain"]["from"]
    language = lessons.LANGUAGES[0]
    sure = np.array([own(sample.found, language) for sample in others[name]]) >= own.threshold
    right = np.array([own.rightness(sample.found, language) for sample in others[name]])
    plainly = sure & (right >= certain)
    asked = np.array([sample.answerable for sample in others[name]])
    wrong = ~np.array([sample.found_right for sample in others[name]])
    shares = {
        "answered": sure[asked],
        "plainly": plainly[asked],
        "wrong_of_plain": wrong[asked & plainly],
        "declined_without_article": ~sure[~asked],
        "plainly_without_article": plainly[~asked],
    }
    told_of = {k: round(float(v.mean()), 3) if len(v) else None for k, v in shares.items()}
    return {"n": int(asked.sum())} | told_of


def _fitted(
    drawn: Sequence[Sample], config: RetrievalConfig, others: Others | None
) -> tuple[Fitted, dict[str, Fit], dict[str, Any]]:
    heard = "asked" in drawn[0].found
    names = {name: _features(config, name, heard=heard) for name in LANGUAGES}
    if others is not None:
        names = dict.fromkeys(lessons.LANGUAGES, ORDERED)
        drawn = [*drawn, *(sample for each in others.values() for sample in each)]
    drawn = [sample for sample in drawn if sample.query.lang in names]
    fits = {name: fit(_of(name, drawn), names[name]) for name in names}
    rights = fits_of_right(drawn, names, heard=heard)
    held, held_right = held_out(drawn, fits), held_out(drawn, rights)
    point = choose(curve(held), "refusal_f1" if others is None else "gain")
    kept = Kept(
        chances=[round(float(chance), 4) for chance in held_right.chances],
        wrong=[bool(wrong) for wrong in ~held_right.found_right],
    )
    own = Fitted(
        languages=_weights(fits), right=_weights(rights), threshold=round(point.threshold, 3),
        held=kept,
    )  # fmt: skip
    rate = brief.read().feature("support").max_error
    certain = own.certain(rate)
    told = {
        "threshold": point._asdict(),
        "certain": {
            "error": rate, "from": certain,
            "answers": round(float(np.mean(held_right.chances >= certain)), 3),
        },
    }  # fmt: skip
    return own, fits, told


def fits_of_right(
    drawn: Sequence[Sample], names: Mapping[str, Sequence[str]], *, heard: bool
) -> dict[str, Fit]:
    """By language, whether the articles found are right ones.

    Where articles carry ways to ask, what they say means the same in every language, and one fit
    on all questions is better on unseen topics: at an error of 2 % it is certain of 0.64 of them,
    a fit for each language of 0.63, the chance that there is an answer of 0.43.
    """
    if not heard:
        return {name: fit(_of(name, drawn), own, right=True) for name, own in names.items()}
    every = fit(drawn, RIGHT, right=True)
    languages = np.array([sample.query.lang for sample in drawn])
    return {n: every._replace(held_out=every.held_out[languages == n]) for n in names}


def _weights(fits: Mapping[str, Fit]) -> dict[str, Weights]:
    return {name: Weights(bias=round(f.bias, 4), features=f.weights) for name, f in fits.items()}


def _features(config: RetrievalConfig, language: str, *, heard: bool) -> tuple[str, ...]:
    """What the confidence goes by: where articles carry ways to ask, by those, else by the search,
    but not by a cosine that says little of the language."""
    if heard:
        return ("asked", "elsewhere", "known")
    return ("share",) if config.words(language) >= WORDS_DECIDE else ("cosine", "share")


def samples(knowledge: Knowledge, seen: Corpus, *, hide: bool) -> list[Sample]:
    """Each question as asked and, to `hide`, where it has an answer once more without its articles
    (whose ways to ask would still be known)."""
    originals = originals_of(seen)
    drawn = []
    for query in seen.queries:
        blind = knowledge.ordered(ranker.without(query))
        ranking = blind.rank(query.text, history(query))
        gold = np.array([originals[a] in query.gold for a in ranking.shelf.articles])
        leading = {originals[article] for article in ranking.leading(knowledge.config)}
        found_right = bool(leading & set(query.gold))
        asked = _sample(blind, query, ranking, gold, as_asked=True, found_right=found_right)
        lacking = blind.lacks(ranking, query.text, int(ranking.fused.argmax()))
        drawn.append(asked._replace(lacking=lacking))
        if gold.any() and hide:
            hidden = ranking._replace(
                parts=tuple(np.where(gold, -np.inf, part) for part in ranking.parts)
            )
            drawn.append(_sample(blind, query, hidden, gold, as_asked=False, found_right=False))
    return drawn


def fit(own: Sequence[Sample], names: Sequence[str], *, right: bool = False) -> Fit:
    """Answerable or not, by the features `names`; held out by topic. right: found rightly or not,
    instead."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.array([[sample.found[name] for name in names] for sample in own])
    y = np.array([sample.found_right if right else sample.answerable for sample in own])
    topics = [ranker.cluster(sample.query) for sample in own]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C))
    folds = GroupKFold(min(10, len(set(topics))))
    held_out = cross_val_predict(model, x, y, groups=topics, cv=folds, method="predict_proba")
    scaler, regression = (step for _, step in model.fit(x, y).steps)
    slopes = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - slopes @ scaler.mean_)
    weights = {name: round(float(w), 4) for name, w in zip(names, slopes, strict=True)}
    return Fit(bias, weights, held_out[:, 1])


def held_out(drawn: Sequence[Sample], fits: Mapping[str, Fit]) -> Held:
    """Of the questions of all languages, as they were asked."""
    rows = [
        (
            confidence.less(p) if sample.lacking else p,
            sample.answerable,
            sample.right,
            sample.found_right,
        )
        for language, f in fits.items()
        for p, sample in zip(f.held_out, _of(language, drawn), strict=True)
        if sample.as_asked
    ]
    return Held(*(np.array(column) for column in zip(*rows, strict=True)))


def curve(held: Held) -> list[Point]:
    """What each threshold would do."""
    chances, answerable, right, found_right = held
    points = []
    for threshold in np.unique(chances.round(3)):
        declined = chances < threshold
        caught = int(np.sum(declined & ~answerable))
        f1 = 2 * caught / max(1, int(declined.sum() + np.sum(~answerable)))
        answered = int(np.sum(~declined))
        error = float(np.mean(~right[~declined])) if answered else 0.0
        gain = float(np.mean(np.where(declined, 0, np.where(found_right, 1, -1))))
        told = (round(f1, 3), round(error, 3), answered, round(gain, 3))
        points.append(Point(float(threshold), *told))
    return points


def choose(points: Sequence[Point], by: Literal["refusal_f1", "gain"] = "refusal_f1") -> Point:
    """The threshold by the rule above."""
    values = [getattr(point, by) for point in points]
    as_good = [p for p, value in zip(points, values, strict=True) if value >= max(values) - TIE]
    return as_good[len(as_good) // 2]


def _sample(
    knowledge: Knowledge,
    query: Query,
    ranking: Ranking,
    gold: Any,
    *,
    as_asked: bool,
    found_right: bool,
) -> Sample:
    best = int(ranking.fused.argmax())
    answerable = bool(query.gold) and as_asked
    right = answerable and bool(gold[best])
    told = features(ranking, best, query.text, knowledge.rests_on(ranking, best))
    return Sample(query, told, answerable, right, as_asked, found_right)


def _quality(language: str, drawn: Sequence[Sample], fitted: Fit) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    own = _of(language, drawn)
    asked = np.array([sample.as_asked for sample in own])
    answerable = np.array([sample.answerable for sample in own])
    return {
        "questions": int(asked.sum()),
        "answerable": int(answerable.sum()),
        "articles_taken_away": int(np.sum(~asked)),
        "auroc_as_asked": round(float(roc_auc_score(answerable[asked], fitted.held_out[asked])), 3),
        "auroc_all": round(float(roc_auc_score(answerable, fitted.held_out)), 3),
    }


def _of(language: str, drawn: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in drawn if sample.query.lang == language]


def originals_of(seen: Corpus) -> dict[str, str]:
    """Of each article the one that it translates, or itself."""
    return {doc["id"]: str(doc.get("same_as") or doc["id"]) for doc in seen.docs}


def history(query: Query) -> list[Message]:
    """The turns before the question."""
    return [Message.model_validate(dict(turn)) for turn in query.history]
