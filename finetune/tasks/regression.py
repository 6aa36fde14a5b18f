"""Text -> a number, by the mean squared error of z-scores, on any encoder or decoder of the Hub.

The targets' mean and standard deviation in training lie in the head, so that what is trained, saved
and served says numbers on the scale of the data. The checkpoint with the least rmse on dev is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.core import data
from app.core.errors import InputError
from app.core.kinds import Rated
from app.core.release import Calibration
from finetune import samples, texts
from finetune.job import Job, Order


def build(order: Order) -> Job:
    """Read the data, load base and adapter, make the Trainer. Raises AppErrors for bad input."""
    found = samples.read(order.config, data.regression, lambda row: [row.text])
    start = texts.started(order, "regressor")
    head = texts.Head(
        kind="regressor",
        problem="regression",
        labels=[],
        target=lambda row: row.score,
        scores=scores,
        chosen_by="rmse",
        measured=lambda said, gold, _: (Calibration(temperature=1.0), scores(said, gold)),
        scale=None if start else scale(found.train),  # else that of the adapter
    )
    return texts.job(order, found, head)


def scale(rows: list[Rated]) -> tuple[float, float]:
    """(mean, standard deviation) of the scores. Raises InputError where all are the same."""
    given = np.array([row.score for row in rows])
    mean, std = float(given.mean()), float(given.std())
    if std <= 1e-9 * max(1.0, abs(mean)):
        raise InputError(
            f"all {len(rows)} training rows have the score {rows[0].score:g}: expected scores that "
            f"differ; does data.columns name the right column?"
        )
    return mean, std


def scores(said: Any, gold: Any) -> dict[str, float]:
    """rmse and pearson (0.0 where either does not vary). said: (n, 1); gold: (n,)."""
    told, wanted = np.asarray(said, np.float64)[:, 0], np.asarray(gold, np.float64)
    apart = [one - one.mean() for one in (told, wanted)]
    spread = float(np.prod([np.linalg.norm(one) for one in apart]))
    return {
        "rmse": float(np.sqrt(np.square(told - wanted).mean())),
        "pearson": float(apart[0] @ apart[1]) / spread if spread > 1e-12 else 0.0,
    }
