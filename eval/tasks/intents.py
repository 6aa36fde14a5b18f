"""intents: is a message understood as what it asks for, and what the shop does not do as such?

Data: classification rows of a named split, whose label `oos` means out of scope, such as
data:clinc150#test, data:banking77#test (all in scope), file:PATH#test with a column `split`. The
system learns from the split `train` of the same data; its threshold is fitted on `dev`, or on a
tenth of train where there is no dev. The call is Intents.predict. Slices by length. Systems, of a
frozen encoder, which --model names: regression (default) and centroids; --adapter DIR takes a
trained classifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from app.core import data as references
from app.core.errors import InputError
from app.core.kinds import OUT_OF_SCOPE, Labelled
from app.core.public_sets import held_out
from eval import engines, runs
from eval.metrics import accuracy, auroc, in_scope_accuracy, oos_recall
from eval.samples import Sample, Scored
from eval.task import Data, Request, System, Task
from eval.tasks import sentiment

if TYPE_CHECKING:
    from app.support.intents import Intent, Intents

BATCH = 64
REGRESSION = "regression"


class Lessons(NamedTuple):
    """What the system may learn from."""

    train: list[Labelled]
    dev: list[Labelled]


def read(ref: str, columns: Mapping[str, str] | None = None) -> Data:
    """Samples of the named split; the source is train and dev. `columns` are the context."""
    parsed = references.parse_ref(ref)
    if parsed.split in (None, "train", "dev"):
        raise InputError(
            f"{ref}: intents learn from the splits train and dev: name the one to test on, "
            f"e.g. {parsed._replace(split='test')}"
        )
    rows = references.classification(ref, columns)
    train = references.classification(str(parsed._replace(split="train")), columns)
    dev_ref = str(parsed._replace(split="dev"))
    if references.has_split(dev_ref):
        lessons = Lessons(train, references.classification(dev_ref, columns))
    else:
        held = [row for row in train if held_out(row.text)]
        lessons = Lessons([row for row in train if not held_out(row.text)], held)
    context = {"columns": columns} if columns else {}
    return Data([_sample(row) for row in rows], context, lessons)


def build(request: Request, data: Data) -> System:
    """The classifier under test. Raises InputError for intents that it has not learnt."""
    model, name, identity = _adapter(request) if request.adapter else _frozen(request, data)
    unknown = {s.gold for s in data.samples} - {OUT_OF_SCOPE, *model.labels}
    if unknown:
        raise InputError(f"no training example has the intents {', '.join(sorted(unknown)[:9])}")
    model = model.fitted(data.source.dev)

    def predict(samples: Sequence[Sample]) -> list[Intent]:
        return model.predict([sample.text for sample in samples])

    fitted = {"in_scope": round(model.threshold, 6)} if isfinite(model.threshold) else {}
    identity |= {"settings": {"thresholds": fitted}}
    return System(name, predict, identity, BATCH)


def score(sample: Sample, said: Intent | None) -> Scored:
    """Right intent, right decision; a failure is wrong, and wrong about the scope as can be."""
    oos = sample.gold == OUT_OF_SCOPE
    if said is None:
        decided, label, fits = None, None, 1.0 if oos else -1.0
    else:
        decided, label, fits = (
            (said.label if said.in_scope else OUT_OF_SCOPE),
            said.label,
            said.score,
        )
    scores = {"accuracy": accuracy.accuracy(sample.gold, decided)}
    scores |= {"oos": float(oos), "in_scope_score": fits}
    if not oos:
        scores["in_scope_accuracy"] = accuracy.accuracy(sample.gold, label)
    return Scored(scores, {"label": decided, "nearest": label})


def _frozen(request: Request, data: Data) -> tuple[Intents, str, dict[str, Any]]:
    from app.support.intents import Intents

    served = engines.released("support")
    encoder, record = engines.encoder(request.model, served.encoder if served else None)
    name = request.system or REGRESSION
    learn = Intents.of_examples if name == REGRESSION else Intents.of_centroids
    return learn(encoder, data.source.train), name, {"model": record, "options": {"mode": name}}


def _adapter(request: Request) -> tuple[Intents, str, dict[str, Any]]:
    from app.models.adapters import read_card
    from app.support.intents import Intents

    folder = request.adapter
    assert folder is not None
    if request.system is not None:
        raise InputError(f"--system {request.system} takes no --adapter")
    found = runs.adapter(folder)
    run, card = runs.record(folder), read_card(folder)
    labels, calibration = runs.labels(run, folder), runs.calibration(run, folder)
    model = Intents.of_adapter(folder, request.model or card.base.ref, labels, calibration)
    return model, "lora", {"model": engines.record(card.base), "adapter": found}


def _sample(row: Labelled) -> Sample:
    return Sample(row.id, row.text, row.label, {"length": sentiment.slices(row.text)["length"]})


TASK = Task(
    name="intents",
    summary="is a message understood, and what the shop does not do told apart?",
    data="data:clinc150#test",
    metrics=(in_scope_accuracy.METRIC, oos_recall.METRIC, auroc.METRIC, accuracy.METRIC),
    systems=(REGRESSION, "centroids"),
    packages=("app/support", "app/knowledge", "app/sentiment"),
    read=read,
    build=build,
    score=score,
    fields=("text", "label"),
)
