"""A test sample, and the line that its result leaves in samples.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import FiniteFloat

from app.core.config import Strict
from app.core.errors import InputError
from app.core.files import sha256_text


class Sample(NamedTuple):
    """One thing to ask of the product, with what is right."""

    id: str
    """Unique in its data set."""
    text: str
    """What a user would type; for recommend, the user's id."""
    gold: Any
    """What a right answer is: a label, article ids, the item held out. JSON values only."""
    slices: Mapping[str, str]
    """Name of a slice -> this sample's value, e.g. {"language": "zh"}."""
    source: Any = None
    """The record it was made from, for the task's own use."""
    cluster: str | None = None
    """Samples of one cluster are not independent (questions on one document): they are resampled
    together. None: this sample stands for itself."""


class Row(Strict):
    """One line of samples.jsonl: all that metrics read, and never a public data set's text."""

    id: str
    text_sha256: str
    gold: Any = None
    prediction: Any = None
    """What the product said; its wording only for the demo data, else the sha256 of it."""
    scores: dict[str, FiniteFloat]
    """Numbers of this sample; a score that does not apply to it is absent."""
    slices: dict[str, str]
    cluster: str | None = None
    error: str | None = None
    """Why this sample failed; it then has the worst scores, so that failing never pays."""


class Scored(NamedTuple):
    """What a task says of one output."""

    scores: Mapping[str, float]
    prediction: Mapping[str, Any]
    """JSON values, without running text."""
    text: str | None = None
    """The wording of the answer, kept for the demo data only."""


def row(sample: Sample, scored: Scored, *, public: bool, error: str | None = None) -> Row:
    """The line for `sample`. `public`: the data is somebody else's, so texts become hashes.

    Numbers are rounded to 6 digits: beyond them processors differ. Raises InputError for a number
    that is not finite.
    """
    for name, value in scored.scores.items():
        if not math.isfinite(value):
            raise InputError(f"the score {name} is {value}: expected a finite number")
    prediction = dict(scored.prediction)
    if scored.text is not None:
        field = {"text_sha256": sha256_text(scored.text)} if public else {"text": scored.text}
        prediction |= field
    _finite(prediction)
    return Row(
        id=sample.id,
        text_sha256=sha256_text(sample.text),
        gold=sample.gold,
        prediction=prediction,
        scores={name: round(float(value), 6) for name, value in scored.scores.items()},
        slices=dict(sample.slices),
        cluster=sample.cluster,
        error=error,
    )


def _finite(prediction: Mapping[str, Any]) -> None:
    """JSON knows no NaN: a file that holds one is read by Python and by nobody else."""
    try:
        json.dumps(prediction, allow_nan=False)
    except ValueError as error:
        raise InputError("the prediction holds a number that is not finite") from error
