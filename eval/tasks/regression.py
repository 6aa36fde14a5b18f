"""regression: does the intensity of a text follow how good or bad people found it?

Data: regression rows (text, score from -4 to 4), or a part of data:vader_icwsm2014 (amazon, nyt,
tweets), each text rated by twenty people, where the sentences of one review or article are a
cluster. The call is Sentiment.predict, as the page makes it; measured is its `intensity`, which is
thin: it says how sure, not how strong. --adapter DIR takes a run's classifier likewise, or its
regressor (Intensity.predict), trained on such scores. The released classifier saw the texts of
amazon and tweets as two classes, so that nyt is the part to measure on. Slices by language and
length; options as for sentiment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.core import data as references
from app.core.errors import InputError
from app.core.kinds import Rated
from eval import engines, prompts, runs
from eval.metrics import pearson, rmse
from eval.samples import Sample, Scored
from eval.task import Data, Request, System, Task
from eval.tasks import sentiment

if TYPE_CHECKING:
    from pathlib import Path

    from app.models.adapters import Card


def read(ref: str, columns: Mapping[str, str] | None = None) -> Data:
    """Samples of a regression data reference; with `columns` they are its context.

    Raises InputError for scores beyond the scale.
    """
    rows = references.regression(ref, columns)
    for row in rows:
        if not rmse.LOWEST <= row.score <= rmse.HIGHEST:
            raise InputError(
                f"{ref}: row {row.id} has the score {row.score:g}; expected {rmse.LOWEST:g} (very "
                f"bad) to {rmse.HIGHEST:g} (very good): rescale the column"
            )
    reviews = references.parse_ref(ref).name == "vader_icwsm2014"
    samples = [_sample(row, row.id.rpartition("_")[0] if reviews else "") for row in rows]
    return Data(samples, {"columns": columns} if columns else {})


def build(request: Request, data: Data) -> System:  # noqa: ARG001
    """The regressor or classifier under test. Raises InputError where it gives no intensity."""
    if request.adapter is not None:
        from app.models.adapters import read_card

        card = read_card(request.adapter)
        if card.kind == "regressor":
            return _regressor(request, request.adapter, card)
    model, system = sentiment.classifier(request)
    if {"positive", "negative"} - set(model.labels):
        raise InputError(
            f"the classifier knows {', '.join(model.labels)}; intensity needs positive and negative"
        )
    return system._replace(
        predict=lambda samples: [said.intensity for said in system.predict(samples)]
    )


def score(sample: Sample, intensity: float | None) -> Scored:
    """The error of one intensity; a failure is at the far end of the scale."""
    far = rmse.LOWEST if sample.gold >= 0 else rmse.HIGHEST
    told = far if intensity is None else intensity
    scores = {"rmse": rmse.error(sample.gold, intensity), "gold": sample.gold, "said": told}
    return Scored(scores, {"intensity": None if intensity is None else round(intensity, 6)})


def _regressor(request: Request, folder: Path, card: Card) -> System:
    from app.sentiment.intensity import Intensity

    model = Intensity.from_adapter(folder, request.model or card.base.ref)
    identity = {
        "model": engines.record(card.base),
        "prompt": prompts.identity(card.prompt_version),
        "adapter": runs.adapter(folder),
    }

    def ask(samples: Sequence[Sample]) -> list[float]:
        return model.predict([sample.text for sample in samples])

    return System("regressor", ask, identity, sentiment.BATCH)


def _sample(row: Rated, cluster: str) -> Sample:
    slices = sentiment.slices(row.text)
    return Sample(row.id, row.text, row.score, slices, cluster=cluster or None)


TASK = Task(
    name="regression",
    summary="does the intensity of a text's mood follow how strongly people felt it?",
    data="data:vader_icwsm2014#nyt",
    metrics=(rmse.METRIC, pearson.METRIC),
    systems=(),
    packages=("app/sentiment",),
    read=read,
    build=build,
    score=score,
    fields=("text", "score"),
)
