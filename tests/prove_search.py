"""How long a search takes over ten thousand passages, with the encoder that is served.

The passages are synthetic: four sentences of the demo's English articles each, drawn with a seed,
so that every word of a question is in hundreds of them, which is hard for BM25. Their vectors are
drawn too (a dot product takes as long whatever it multiplies); the questions are the demo's own,
each new, and embedded by the released encoder.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from app.core.data import corpus
from app.knowledge import ranker
from app.knowledge.retrieve import Knowledge
from app.knowledge.split import sentences
from app.models.encoder import Array, TextEncoder

PASSAGES, SEED = 10_000, 7
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


class Drawn:
    """Vectors of many texts at once are drawn; a question alone is embedded."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.name, self.dim = f"drawn beside {encoder.name}", encoder.dim

    def encode(self, texts: Sequence[str]) -> Array:
        """(n, dim) float32, rows of length 1."""
        if len(texts) == 1:
            return self._encoder.encode(texts)
        drawn = np.random.default_rng(SEED).standard_normal((len(texts), self.dim))
        found: Array = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        return found


def docs(count: int) -> list[dict[str, Any]]:
    """`count` articles of one passage each."""
    english = [doc for doc in corpus("demo:support").docs if doc.get("lang", "en") == "en"]
    known = [sentence for doc in english for sentence in sentences(doc["text"].replace("#", ""))]
    draw = random.Random(SEED)
    return [
        {
            "id": f"a{number}",
            "title": f"{draw.choice(english)['title']} {number}",
            "text": " ".join(draw.sample(known, 4)).replace("\n", " "),
            "lang": "en",
        }
        for number in range(count)
    ]


def search(
    times: int, passages: int = PASSAGES, encoder: TextEncoder | None = None
) -> dict[str, Any]:
    """Milliseconds of `times` searches, one after the other; the first ten are not counted.

    On one thread, so that the processor time (cpu), which other work on the machine changes less,
    is what a search takes on a machine of its own.
    """
    if encoder is None:
        import torch

        from app.models.load import resolve, text_encoder

        torch.set_num_threads(1)
        encoder = text_encoder(resolve(ENCODER))
    began = time.perf_counter()
    drawn = Drawn(encoder)
    ranks = ranker.load().model_copy(update={"encoder": drawn.name})  # its work is timed too
    knowledge = Knowledge.build(docs(passages), drawn).ordered(ranks)
    built = time.perf_counter() - began
    asked = [query.text for query in corpus("demo:support").queries if query.lang == "en"]
    taken, worked = [], []
    with threadpool_limits(1):  # numpy's own threads
        for question in asked[: times + 10]:
            began, cpu = time.perf_counter(), time.process_time()
            found = knowledge.search(question, k=3)
            taken.append(1000 * (time.perf_counter() - began))
            worked.append(1000 * (time.process_time() - cpu))
            assert found
    taken, worked = taken[10:], worked[10:]
    return {
        "passages": len(knowledge.rank(asked[0]).shelf.passages),
        "questions": len(taken),
        "median_ms": round(median(taken), 1),
        "median_cpu_ms": round(median(worked), 1),
        "p95_ms": round(quantiles(taken, n=20)[-1], 1),
        "build_s": round(built, 1),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "cores": os.cpu_count(),
    }
