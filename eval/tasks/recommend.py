"""recommend: does the item that a customer took next stand high among all they had not taken?

Data: interactions. Each customer's last new item, by time, is held out; the system is fitted on
the rest and ranks the whole catalogue without what the customer has (no sampled negatives:
Krichene and Rendle 2020). Customers with fewer than two items are not asked. Where ratings are
explicit (any above 1), 4 and more count as taken. Slices by the length of the history and by
whether the item is cold. Systems: popular, itemknn, ease, content, hybrid.

What it does not show: the system knows what other customers took later (leave-last-out is no split
of time), and items of the same basket as the one held out stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from app.core import data as references
from app.core.errors import InputError
from app.core.kinds import Interactions
from eval import engines
from eval.metrics import coverage, mrr, ndcg, recall
from eval.samples import Sample, Scored
from eval.task import Data, Request, System, Task, no_adapter

LIKED = 4.0
KEPT = 20
"""Items of a ranking that samples.jsonl keeps."""
SHORT, LONG = 2, 8
"""Items: up to SHORT is a short history, from LONG on a long one."""
COLD = 5
"""An item that at most so many others took is cold."""


def read(ref: str) -> Data:
    """A sample a customer; the source is what the system may learn from."""
    from app.recommend.split import leave_last_out

    found = references.interactions(ref)
    taken = _taken(found.ratings)
    train, held = leave_last_out(taken)
    if not held:
        raise InputError(f"{ref}: no customer took two different items, so none can be held out")
    known = Counter(row["user"] for row in train)
    times = Counter(row["item"] for row in train)
    samples = [_sample(user, item, known[user], times[item]) for user, item in held.items()]
    catalogue = sorted({row["item"] for row in [*found.items, *taken]})
    described = {row["item"] for row in found.items}
    # An item that nobody else took is on sale all the same: it must be there to be ranked.
    bare = [{"item": i, "title": i, "text": ""} for i in catalogue if i not in described]
    return Data(
        samples,
        {"catalogue": catalogue},
        Interactions([dict(row) for row in train], found.items + bare),
    )


def build(request: Request, data: Data) -> System:
    """The recommender, fitted on the training part."""
    from app.recommend import systems
    from app.serving.features import RECOMMENDER

    no_adapter("recommend", request)
    served = engines.released("recommend")
    encoder, record = engines.encoder(request.model, served.base if served else None)
    name = request.system or (served.mode if served else RECOMMENDER)
    recommender = systems.build(name, encoder)
    recommender.fit(data.source.ratings, data.source.items)
    k = len(data.context["catalogue"])

    def predict(samples: Sequence[Sample]) -> list[list[str]]:
        return [[s.item for s in recommender.recommend(sample.source, k)] for sample in samples]

    return System(name, predict, {"model": record, "options": {"recommender": name}})


def score(sample: Sample, ranked: list[str] | None) -> Scored:
    """Where the held-out item stands; a failure shows nothing."""
    shown, gold = ranked or [], [sample.gold]
    scores = {
        "ndcg@10": ndcg.ndcg(shown, gold),
        "recall@20": recall.recall(shown, gold, 20),
        "mrr": mrr.reciprocal_rank(shown, gold),
    }
    return Scored(scores, {"items": shown[:KEPT]})


def _taken(ratings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    explicit = any(row["rating"] > 1 for row in ratings)
    return [row for row in ratings if not explicit or row["rating"] >= LIKED]


def _sample(user: str, gold: str, known: int, times: int) -> Sample:
    length = "short" if known <= SHORT else "long" if known >= LONG else "medium"
    item = "cold" if times <= COLD else "warm"
    return Sample(user, user, gold, {"history": length, "item": item}, user)


TASK = Task(
    name="recommend",
    summary="does the next item that a customer took stand high in the ranking?",
    data="demo:orders",
    metrics=(ndcg.METRIC, recall.metric(20), mrr.METRIC, coverage.METRIC),
    systems=("popular", "itemknn", "ease", "content", "hybrid"),
    packages=("app/recommend",),
    read=read,
    build=build,
    score=score,
)
