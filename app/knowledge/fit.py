"""Fit what retrieval is set by: `python -m app.knowledge.fit [DATA] [ENCODER]`.

DATA is demo:support by default, ENCODER the one that is in use: a model reference of any sentence
encoder (app.models.sentence_files), which from then on is what support is evaluated with, and
served with once such a release is promoted. A multilingual one makes Chinese a matter of meaning.

Chooses the weights of the search, fits the ranker on DATA and, where they are at hand, StackFAQ and
SQuAD 2.0, prints what it
measures on documents left out of the fit, and writes ranker.json (fitted on all) and
ranker_folds.json; then the confidence, on rankings of folds that never saw the question. Reads the
train and dev questions of DATA only. Run it again whenever articles or questions change.

Confidence is fitted three times (app.knowledge.fit_confidence): for articles as they are, with
their ways to ask, and without, where the ranker puts them in order, and where it does not. The
second has questions of the public sets, too, since a shop without ways to ask may be like none of
these: what is told of each of those is of a fit that saw nothing of the whole set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.core.data import corpus, data_dir, parse_ref, sha256_of
from app.core.errors import InputError
from app.core.files import write_text
from app.core.kinds import Corpus
from app.knowledge import confidence, lessons, ranker
from app.knowledge.confidence import FILE, Confidence
from app.knowledge.fit_confidence import Sample, fitted_on, history, originals_of, samples
from app.knowledge.retrieve import UNFITTED, Knowledge
from app.knowledge.settings import RetrievalConfig
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
BETTER = 0.02
"""Of the mean reciprocal rank: a weight stays as it is where no other is better by more."""
LEAST_QUESTIONS, LEAST_TOPICS = 30, 10
"""Fewer teach chance: each of ten folds leaves some topics out."""
STRANGERS = 200
"""Questions of each public set beside the shop's own hundreds."""


def main(data: str = "demo:support", encoder_ref: str | None = None) -> None:
    """Choose, fit and write; print what was tried."""
    from app.models.load import resolve, text_encoder

    before = confidence.load()
    check_enough(data)
    weights = resolve(encoder_ref or before.encoder)
    found = corpus(data)
    seen = Corpus(found.docs, [query for query in found.queries if query.split != "test"])
    encoder = text_encoder(weights)
    bare = Corpus([_without_questions(doc) for doc in seen.docs], seen.queries)
    knowledge = Knowledge.build(bare.docs, encoder, before.retrieval, UNFITTED)
    knowledge.config = chosen(knowledge, bare, {"en": GRID, "zh": GRID_ZH})
    order(data, bare, encoder, weights.sha256, knowledge.config)
    bare_samples = samples(knowledge, bare, hide=True)
    plain, of_plain = fitted_on(bare_samples, knowledge.config)
    others = {name: strangers(name, encoder, knowledge.config) for name in at_hand()}
    ordered, of_ordered = fitted_on(bare_samples, knowledge.config, others)
    listening = Knowledge.build(seen.docs, encoder, knowledge.config, UNFITTED)
    if carries_questions(listening, seen):
        listening.config = chosen(listening, seen, {"en": GRID_ASKED})
        heard = samples(listening, seen, hide=False)
        asked, of_asked = fitted_on(heard, listening.config)
    else:
        asked, of_asked = plain, {"note": "no article of DATA carries ways to ask"}
    record = {
        "by": "python -m app.knowledge.fit",
        "data": data,
        "data_sha256": sha256_of(data),
        "encoder_sha256": weights.sha256,
        "splits": "train and dev; every number on questions of topics left out of the fit",
        "plain": of_plain,
        "ordered": of_ordered,
        "asked": of_asked,
    }
    found_ = Confidence(
        encoder=weights.ref, retrieval=listening.config, plain=plain, ordered=ordered, asked=asked,
        fitted=record,
    )  # fmt: skip
    _write_compact(FILE, found_.model_dump(mode="json"))
    print(f"wrote {FILE.name}: {record}")


def check_enough(data: str) -> None:
    """Raise InputError where DATA has too few questions to fit on, before anything is written."""
    seen = [q for q in corpus(data).queries if q.split != "test"]
    answered = [q for q in seen if q.gold]
    topics = {ranker.cluster(q) for q in answered}
    if len(answered) < LEAST_QUESTIONS or len(topics) < LEAST_TOPICS:
        raise InputError(
            f"{data}: expected at least {LEAST_QUESTIONS} answerable questions over "
            f"{LEAST_TOPICS} topics in the splits train and dev, found {len(answered)} over "
            f"{len(topics)}; name a `split` for each question of queries.jsonl (without one it is "
            "a test question, which nothing is fitted on), or write more"
        )


def _without_questions(doc: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in doc.items() if name != "questions"}


def strangers(name: str, encoder: TextEncoder, config: RetrievalConfig) -> list[Sample]:
    """Questions of another set, the same each time, over its documents without ways to ask.

    Of those whose articles were taken away, one in four counts as asked: a fifth of what is asked
    of a shop has no answer in its articles.
    """
    found = corpus(name)
    docs = [_without_questions(doc) for doc in found.docs]
    asked = sorted((q for q in found.queries if q.gold), key=lambda query: ranker.drawn(query.id))
    knowledge = Knowledge.build(docs, encoder, config, UNFITTED)
    drawn = samples(knowledge, Corpus(docs, asked[:STRANGERS]), hide=True)
    hidden = [sample for sample in drawn if not sample.as_asked]
    counted = {id(sample) for sample in hidden[::4]}
    return [s._replace(as_asked=True) if id(s) in counted else s for s in drawn]


def carries_questions(knowledge: Knowledge, seen: Corpus) -> bool:
    """Whether the ways to ask have a say in any question."""
    return any(knowledge.rank(query.text).heard for query in seen.queries[:1])


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


def reciprocal_ranks(knowledge: Knowledge, seen: Corpus, language: str) -> Any:
    """(n,) 1 / rank of the first gold article, of the answerable questions."""
    originals = originals_of(seen)
    ranks = []
    for query in seen.queries:
        if query.gold and query.lang == language:
            ranking = knowledge.rank(query.text, history(query))
            order = ranking.shelf.articles[np.argsort(-ranking.fused, kind="stable")]
            articles = list(dict.fromkeys(originals[article] for article in order))
            ranks.append(1 + min(articles.index(g) for g in query.gold if g in articles))
    return 1 / np.array(ranks)


if __name__ == "__main__":
    import argparse

    from app.core.errors import guarded

    parser = argparse.ArgumentParser(prog="python -m app.knowledge.fit", description=__doc__)
    parser.add_argument("data", nargs="?", default="demo:support", help="such as file:FOLDER")
    parser.add_argument("encoder", nargs="?", help="reference of a sentence encoder")
    told = parser.parse_args()
    guarded(lambda: main(told.data, told.encoder))
