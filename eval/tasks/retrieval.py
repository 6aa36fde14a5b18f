"""retrieval: does the search over help articles bring up the one that answers?

Data: a retrieval folder, or data:stackfaq, data:squad2_small. The call is Knowledge.search, with
the turns before the question as the chat passes them. Passages roll up to their articles, first
occurrence first; a translation (`same_as`) is the article itself. A public question is put to the
ranker of the fold that never saw its document (`ranker_folds.json`), as the shipped one learnt from
these sets; the demo's train and dev questions taught it too, its test questions did not. Questions
without a gold article are not asked. Slices by language, kind and topic. Systems: bm25, dense,
hybrid (what the chat uses); --model names the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core import data as references
from app.core.errors import InputError
from eval import engines, questions
from eval.metrics import mrr, ndcg, recall
from eval.samples import Sample, Scored
from eval.task import Data, Request, System, Task, no_adapter

DEPTH = 50
"""Passages asked for: enough for ten articles."""
KEPT = 10
"""Articles of a ranking that count; mrr is cut there."""


def read(ref: str) -> Data:
    """The answerable questions; the source is the corpus."""
    corpus = references.corpus(ref)
    originals = questions.Originals(corpus.docs)
    asked = [query for query in corpus.queries if query.gold]
    if not asked:
        raise InputError(f"{ref}: no question has a gold article, so there is nothing to find")
    return Data(questions.samples(ref, asked, originals), {}, corpus)


def build(request: Request, data: Data) -> System:
    """The index over the data's articles."""
    from app.knowledge.retrieve import Knowledge
    from eval import unseen

    no_adapter("retrieval", request)
    served = engines.released("support")
    encoder, record = engines.encoder(request.model, served.encoder if served else None)
    knowledge = Knowledge.build(data.source.docs, encoder)
    originals = questions.Originals(data.source.docs)
    mode = request.system or "hybrid"
    learnt = unseen.learnt(request.data or TASK.data)

    def search(sample: Sample) -> list[str]:
        history = questions.history(sample)
        asked = unseen.of_fold(knowledge, unseen.fold(sample)) if learnt else knowledge
        found = asked.search(sample.text, history=history, k=DEPTH, mode=mode)  # type: ignore[arg-type]
        return originals(passage.article for passage in found)[:KEPT]

    options = {"mode": mode} | (unseen.OPTIONS if learnt else {})

    def predict(samples: Sequence[Sample]) -> list[list[str]]:
        return [search(sample) for sample in samples]

    return System(mode, predict, {"model": record, "options": options})


def score(sample: Sample, ranked: list[str] | None) -> Scored:
    """Where the gold articles stand in `ranked`; a failure found nothing."""
    found = ranked or []
    scores = {f"recall@{k}": recall.recall(found, sample.gold, k) for k in (1, 5)}
    scores["mrr"] = mrr.reciprocal_rank(found, sample.gold)
    scores["ndcg@10"] = ndcg.ndcg(found, sample.gold)
    return Scored(scores, {"articles": found})


TASK = Task(
    name="retrieval",
    summary="does search bring up the article that answers the question?",
    data="demo:support#test",
    metrics=(mrr.METRIC, recall.metric(1), recall.metric(5), ndcg.METRIC),
    systems=("bm25", "dense", "hybrid"),
    packages=("app/knowledge",),
    read=read,
    build=build,
    score=score,
)
