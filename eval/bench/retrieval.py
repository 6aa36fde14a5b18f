"""retrieval: from help articles to an index, and from a question to the article that answers it.

Arms: the product (`Knowledge.build` and `Knowledge.search`, as the chat calls them) and two ways to
do it with sentence-transformers on the same weights folder, in eval.bench.retrieval_peers.
Measures: `query`, the median time of single questions, one after the other, each new to the arm;
`index`, documents a second, from texts to an index that can be searched. Models are loaded before.
The product keeps vectors between starts: here each run has a cache of its own.
Data: data:squad2_small's paragraphs where they are at hand, else the demo's articles; questions
with a gold article that follow no other, and the documents that answer one of them.
Quality: recall@1 over articles.
"""

from __future__ import annotations

import inspect
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from app.core import data as references
from app.core.errors import InputError
from eval import engines
from eval.bench.base import PRODUCT, Arm, Bench, Contest, Measure, Outcome
from eval.metrics.recall import recall
from eval.questions import Originals
from eval.samples import Sample
from eval.stats import SEED, Groups
from eval.task import Request
from eval.tasks import retrieval as task

if TYPE_CHECKING:
    from app.models.encoder import TextEncoder

QUESTIONS = 300
"""Enough for a median; with their documents, some 15 s a run, 21 runs a setting."""
PUBLIC = "squad2_small"

Docs = Sequence[Mapping[str, Any]]
Search = Callable[[str], Sequence[str]]
"""Question -> ids of the articles found, best first."""
Index = Callable[[Docs], Search]


class Work(NamedTuple):
    """What every arm does once a round."""

    docs: Docs
    asked: Sequence[Sample]
    originals: Originals


def build(request: Request) -> Contest:
    """Read the data; load the three models, all from the folder that the product serves from."""
    from app.models.encoder import SentenceEncoder
    from app.models.load import resolve, text_encoder
    from app.models.loading import quiet
    from app.support.build import default_encoder
    from eval.bench import retrieval_peers as peers

    ref = request.data or _default()
    work = read(ref, request.limit)
    served = engines.released("support")
    base = served.encoder if served else None
    weights = resolve(base.ref, sha256=base.sha256) if base else resolve(default_encoder())
    with quiet():
        encoder, default = text_encoder(weights), peers.Default(weights.folder)
        assert isinstance(encoder, SentenceEncoder)
        batch = int(inspect.signature(encoder.encode).parameters["batch_size"].default)
        tuned = peers.Tuned(weights.folder, encoder.dtype, batch)
    does = f"Knowledge.build and search: {encoder.dtype}, batch {batch}, by length; bm25s"
    arms = [
        arm(PRODUCT, does, product_index(encoder), work),
        arm("default", default.does, default.index, work),
        arm("tuned", tuned.does, tuned.index, work),
    ]
    line = f"{len(work.docs)} documents of {ref} indexed, {len(work.asked)} questions asked."
    data = {"ref": ref, "sha256": references.sha256_of(ref), "limit": request.limit}
    identity = {"data": data, "model": weights.record().model_dump(exclude_none=True)}
    return Contest(arms, line, _clusters(work.asked), identity)


def read(ref: str, limit: int | None) -> Work:
    """A seeded draw of questions, and their documents. Raises InputError where none is alone."""
    found = task.read(ref)
    alone = [sample for sample in found.samples if not sample.source.history]
    if not alone:
        raise InputError(f"{ref}: every question follows another, expected some that stand alone")
    wanted = min(limit or QUESTIONS, QUESTIONS, len(alone))
    asked = random.Random(SEED).sample(alone, wanted)
    originals = Originals(found.source.docs)
    gold = {article for sample in asked for article in sample.gold}
    docs = [doc for doc in found.source.docs if set(originals([str(doc["id"])])) & gold]
    return Work(docs, asked, originals)


def _default() -> str:
    public = (references.data_dir() / PUBLIC).is_dir()
    return f"data:{PUBLIC}" if public else "demo:support"


def product_index(encoder: TextEncoder) -> Index:
    """The product's index, with the number of passages that the chat asks for."""
    from app.knowledge.retrieve import Knowledge
    from app.support.chat import SHOWN

    def index(docs: Docs) -> Search:
        with _new_cache():
            knowledge = Knowledge.build(docs, encoder)
        return lambda question: [p.article for p in knowledge.search(question, k=SHOWN)]

    return index


def arm(name: str, does: str, index: Index, work: Work) -> Arm:
    """All arms are timed by the same lines."""

    def run() -> Outcome:
        began = time.perf_counter()
        search = index(work.docs)
        indexing = time.perf_counter() - began
        taken, scores = [], []
        for sample in work.asked:
            began = time.perf_counter()
            found = search(sample.text)
            taken.append(time.perf_counter() - began)
            scores.append(recall(work.originals(found), sample.gold, 1))
        speeds = {"query": median(taken) * 1000, "index": len(work.docs) / indexing}
        return Outcome(speeds, scores)

    return Arm(name, does, run)


@contextmanager
def _new_cache() -> Iterator[None]:
    """FRONTDESK_CACHE is an empty folder meanwhile, so that no vector is there already."""
    kept = os.environ.get("FRONTDESK_CACHE")
    with tempfile.TemporaryDirectory(prefix="frontdesk-bench-cache-") as folder:
        os.environ["FRONTDESK_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("FRONTDESK_CACHE")
            if kept is not None:
                os.environ["FRONTDESK_CACHE"] = kept


def _clusters(asked: Sequence[Sample]) -> Groups | None:
    """The number of each question's cluster; None where each stands for itself."""
    names = [sample.cluster for sample in asked]
    if None in names:
        return None
    return np.asarray(np.unique([str(name) for name in names], return_inverse=True)[1], np.int64)


BENCH = Bench(
    name="retrieval",
    peer="sentence-transformers, BM25 and reciprocal rank fusion",
    measures=(
        Measure("query", "ms", False),
        Measure("index", "documents/s", True),
    ),
    quality="recall@1",
    needs={"sentence_transformers": "sentence-transformers", "rank_bm25": "rank-bm25"},
    packages=("app/knowledge",),
    build=build,
)
