"""Fit what retrieval is set by: `python -m app.knowledge.fit [DATA] [ENCODER]`.

DATA is demo:support by default, ENCODER the one that is in use: a model reference of any sentence
encoder (app.models.sentence_files), which from then on is what support is evaluated with, and
served with once such a release is promoted. A multilingual one makes Chinese a matter of meaning.

Chooses the weights of the search, fits the ranker on DATA and, where they are at hand, StackFAQ and
SQuAD 2.0, prints what it
measures on documents left out of the fit, and writes ranker.json (fitted on all) and
ranker_folds.json; then the confidence, on rankings of folds that never saw the question. Reads the
train and dev questions of DATA only. Run it again whenever articles or questions change.

Confidence is fitted twice: for articles as they are, with their ways to ask, and without; each time
that there is an answer, and that what is found is right. The threshold for declining is the middle
of those whose refusal F1 is within F1_TIE of the best.
How right the fit took questions to be that it did not see is kept, so that the error that
brief.yaml tolerates decides which answers say that they may be to another question
(app.knowledge.confidence).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from app.core import brief
from app.core.data import corpus, data_dir, parse_ref, sha256_of
from app.core.files import write_text
from app.core.kinds import Corpus, Query
from app.core.messages import Message
from app.knowledge import confidence, lessons, ranker
from app.knowledge.confidence import FILE, Confidence, Fitted, Weights, features
from app.knowledge.confidence import Held as Kept
from app.knowledge.retrieve import UNFITTED, Knowledge
from app.knowledge.settings import LANGUAGES, WORDS_DECIDE, RetrievalConfig
from app.knowledge.shelf import Ranking
from app.models.encoder import TextEncoder

GRID = {
    "bm25_weight": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    "title_weight": (0.0, 0.8, 0.9, 1.0),
    "part_weight": (0.0, 0.3, 0.6, 1.0),
}
GRID_ZH = {"bm25_weight_zh": (0.5, 0.7, 0.8, 0.9, 1.0)}
GRID_ASKED = {"asked_weight": (0.0, 0.3, 0.4, 0.5, 0.7, 0.9)}
WEIGHT, PUBLIC = 2.0, {"data:stackfaq": 5.0, "data:squad2_small": 1.0}
"""How much a question counts, so that no set loses: a hundred of the shop's beside thousands."""
RIGHT = ("asked", "elsewhere", "known", "top")
"""What tells a right article from a wrong one, where articles carry ways to ask."""
BETTER = 0.02
"""Of the mean reciprocal rank: a weight stays as it is where no other is better by more."""
C = 0.5
F1_TIE = 0.02
"""Well under the standard error of F1 on some hundred questions: less is no difference, and which
threshold is the very best of them is chance."""


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


def main(data: str = "demo:support", encoder_ref: str | None = None) -> None:
    """Choose, fit and write; print what was tried."""
    from app.models.load import resolve, text_encoder

    before = confidence.load()
    weights = resolve(encoder_ref or before.encoder)
    found = corpus(data)
    seen = Corpus(found.docs, [query for query in found.queries if query.split != "test"])
    encoder = text_encoder(weights)
    bare = Corpus([_without_questions(doc) for doc in seen.docs], seen.queries)
    knowledge = Knowledge.build(bare.docs, encoder, before.retrieval, UNFITTED)
    knowledge.config = chosen(knowledge, bare, {"en": GRID, "zh": GRID_ZH})
    order(data, bare, encoder, weights.sha256, knowledge.config)
    plain, of_plain = fitted_on(knowledge, bare, hide=True)
    listening = Knowledge.build(seen.docs, encoder, knowledge.config, UNFITTED)
    if carries_questions(listening, seen):
        listening.config = chosen(listening, seen, {"en": GRID_ASKED})
        asked, of_asked = fitted_on(listening, seen, hide=False)
    else:
        asked, of_asked = plain, {"note": "no article of DATA carries ways to ask"}
    record = {
        "by": "python -m app.knowledge.fit",
        "data": data,
        "data_sha256": sha256_of(data),
        "encoder_sha256": weights.sha256,
        "splits": "train and dev; every number on questions of topics left out of the fit",
        "plain": of_plain,
        "asked": of_asked,
    }
    found_ = Confidence(
        encoder=weights.ref, retrieval=listening.config, plain=plain, asked=asked, fitted=record
    )
    _write_compact(FILE, found_.model_dump(mode="json"))
    print(f"wrote {FILE.name}: {record}")


def _without_questions(doc: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in doc.items() if name != "questions"}


def carries_questions(knowledge: Knowledge, seen: Corpus) -> bool:
    """Whether the ways to ask have a say in any question."""
    return any(knowledge.rank(query.text).heard for query in seen.queries[:1])


def fitted_on(knowledge: Knowledge, seen: Corpus, *, hide: bool) -> tuple[Fitted, dict[str, Any]]:
    """Confidence for `knowledge`, and what it measures; hide: see `samples`."""
    drawn = samples(knowledge, seen, hide=hide)
    heard = "asked" in drawn[0].found
    names = {name: _features(knowledge.config, name, heard=heard) for name in LANGUAGES}
    fits = {name: fit(_of(name, drawn), names[name]) for name in LANGUAGES}
    rights = fits_of_right(drawn, names, heard=heard)
    held, held_right = held_out(drawn, fits), held_out(drawn, rights)
    point = choose(curve(held))
    kept = Kept(
        chances=[round(float(chance), 4) for chance in held_right.chances],
        wrong=[bool(wrong) for wrong in ~held_right.found_right],
    )
    own = Fitted(
        languages=_weights(fits), right=_weights(rights), threshold=round(point.threshold, 3),
        held=kept,
    )  # fmt: skip
    rate = brief.read().features["support"].max_error
    certain = own.certain(rate)
    told = {
        "threshold": point._asdict(),
        "certain": {
            "error": rate, "from": certain,
            "answers": round(float(np.mean(held_right.chances >= certain)), 3),
        },
        "languages": {name: _quality(name, drawn, fits[name]) for name in fits},
    }  # fmt: skip
    return own, told


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


def order(
    data: str, seen: Corpus, encoder: TextEncoder, encoder_sha256: str, config: RetrievalConfig
) -> None:
    """Fit the ranker and write it, with what cross-fitting measured."""
    rows = lessons.asked(data, seen, encoder, WEIGHT, config)
    public = at_hand()
    for name, weight in public.items():
        rows += lessons.asked(name, corpus(name), encoder, weight, config)
    folds, measured = lessons.cross_fitted(rows, encoder.name)
    for order_, found in measured.items():
        for name, numbers in found.items():
            print(f"{name}, {order_}, documents left out of the fit: {numbers}")
    record = {
        "by": "python -m app.knowledge.fit",
        "data_sha256": {name: sha256_of(name) for name in (data, *public)},
        "encoder_sha256": encoder_sha256,
        "cross_fitted": measured,
    }
    shipped = lessons.fitted(rows, encoder.name).model_copy(update={"fitted": record})
    _write_compact(ranker.FILE, shipped.model_dump(mode="json"))
    _write_compact(ranker.FOLDS_FILE, {"folds": [fold.model_dump(mode="json") for fold in folds]})
    ranker.load.cache_clear()
    ranker.folds.cache_clear()


def at_hand() -> dict[str, float]:
    """The sets of PUBLIC that are here, with their weights; says which are not."""
    found = {n: w for n, w in PUBLIC.items() if (data_dir() / parse_ref(n).name).is_dir()}
    if left := PUBLIC.keys() - found.keys():
        print(f"not in {data_dir()}, so not learnt from: {', '.join(sorted(left))}")
    return found


def _write_compact(path: Path, found: Any) -> None:
    """A thousand weights are not read by eye."""
    write_text(path, json.dumps(found, ensure_ascii=False) + "\n")


def chosen(
    knowledge: Knowledge, seen: Corpus, grids: Mapping[str, Mapping[str, Sequence[float]]]
) -> RetrievalConfig:
    """Of each weight in turn the best value, by language, or the one in use; prints all."""
    own = knowledge.config
    for language, names in grids.items():
        for name, values in names.items():
            tried = {v: _mrr(knowledge, own, {name: v}, seen, language) for v in values}
            used = float(getattr(own, name))
            best = max(tried, key=lambda value: tried[value])
            kept = used if tried[best] - tried.get(used, 0.0) <= BETTER else best
            own = own.model_copy(update={name: kept})
            told = ", ".join(f"{value} {mrr:.3f}" for value, mrr in tried.items())
            print(f"{language} {name}: mrr {told}; taken: {kept}")
    return own


def _mrr(
    knowledge: Knowledge, own: RetrievalConfig, change: dict[str, Any], seen: Corpus, language: str
) -> float:
    knowledge.config = own.model_copy(update=change)
    return float(reciprocal_ranks(knowledge, seen, language).mean())


def _features(config: RetrievalConfig, language: str, *, heard: bool) -> tuple[str, ...]:
    """What the confidence goes by: where articles carry ways to ask, by those, else by the search,
    but not by a cosine that says little of the language."""
    if heard:
        return ("asked", "elsewhere", "known")
    return ("share",) if config.words(language) >= WORDS_DECIDE else ("cosine", "share")


def reciprocal_ranks(knowledge: Knowledge, seen: Corpus, language: str) -> Any:
    """(n,) 1 / rank of the first gold article, of the answerable questions."""
    originals = _originals(seen)
    ranks = []
    for query in seen.queries:
        if query.gold and query.lang == language:
            ranking = knowledge.rank(query.text, _history(query))
            order = ranking.shelf.articles[np.argsort(-ranking.fused, kind="stable")]
            articles = list(dict.fromkeys(originals[article] for article in order))
            ranks.append(1 + min(articles.index(g) for g in query.gold if g in articles))
    return 1 / np.array(ranks)


def samples(knowledge: Knowledge, seen: Corpus, *, hide: bool) -> list[Sample]:
    """Each question as asked and, to `hide`, where it has an answer once more without its articles
    (whose ways to ask would still be known)."""
    originals = _originals(seen)
    drawn = []
    for query in seen.queries:
        unseen = knowledge.ordered(ranker.without(query))
        ranking = unseen.rank(query.text, _history(query))
        gold = np.array([originals[a] in query.gold for a in ranking.shelf.articles])
        leading = {originals[article] for article in ranking.leading(knowledge.config)}
        found_right = bool(leading & set(query.gold))
        asked = _sample(unseen, query, ranking, gold, as_asked=True, found_right=found_right)
        lacking = unseen.lacks(ranking, query.text, int(ranking.fused.argmax()))
        drawn.append(asked._replace(lacking=lacking))
        if gold.any() and hide:
            hidden = ranking._replace(
                parts=tuple(np.where(gold, -np.inf, part) for part in ranking.parts)
            )
            drawn.append(_sample(unseen, query, hidden, gold, as_asked=False, found_right=False))
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
    topics = [sample.query.topic for sample in own]
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
    chances, answerable, right, _ = held
    points = []
    for threshold in np.unique(chances.round(3)):
        declined = chances < threshold
        caught = int(np.sum(declined & ~answerable))
        f1 = 2 * caught / max(1, int(declined.sum() + np.sum(~answerable)))
        answered = int(np.sum(~declined))
        error = float(np.mean(~right[~declined])) if answered else 0.0
        points.append(Point(float(threshold), round(f1, 3), round(error, 3), answered))
    return points


def choose(points: Sequence[Point]) -> Point:
    """The threshold by the rule above."""
    best = max(point.refusal_f1 for point in points)
    as_good = [point for point in points if point.refusal_f1 >= best - F1_TIE]
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


def _originals(seen: Corpus) -> dict[str, str]:
    return {doc["id"]: str(doc.get("same_as") or doc["id"]) for doc in seen.docs}


def _history(query: Query) -> list[Message]:
    return [Message.model_validate(dict(turn)) for turn in query.history]


if __name__ == "__main__":
    import sys

    from app.core.errors import guarded

    guarded(lambda: main(*sys.argv[1:3]))
