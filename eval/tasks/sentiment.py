"""sentiment: does the classifier read the mood of a text as people labelled it?

Data: classification rows (text, label). The call is Sentiment.predict, as the page makes it.
Slices by language and length. Without options the released adapter; --adapter DIR takes a run's,
with labels, base and temperature as its run.json records them; --system base is the base without
fine-tuning, frozen under a linear head fitted on the split `train` of the same data; --model
scripted is a word list without weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.core import data as references
from app.core import textprep
from app.core.errors import InputError
from app.core.files import release_dir
from app.core.kinds import Labelled
from app.core.language import detect
from app.core.release import Base, Calibration
from eval import engines, prompts, runs
from eval.metrics import accuracy, ece, macro_f1
from eval.samples import Sample, Scored
from eval.task import Data, Request, System, Task

if TYPE_CHECKING:
    from app.sentiment.classifier import Prediction, ScriptedSentiment, Sentiment
    from eval.probe import LinearProbe

    Classifier = Sentiment | ScriptedSentiment | LinearProbe
    Built = tuple[Classifier, System]

BATCH = 64
SHORT, LONG = 10, 25
"""Words: up to SHORT is short, above LONG is long."""


def read(ref: str, columns: Mapping[str, str] | None = None) -> Data:
    """Samples of a classification data reference; with `columns` they are its context."""
    rows = references.classification(ref, columns)
    return Data([_sample(row) for row in rows], {"columns": columns} if columns else {}, ref)


def build(request: Request, data: Data) -> System:
    """The classifier under test. Raises InputError for data with labels that it cannot say."""
    model, found = _base(request, data) if request.system == "base" else classifier(request)
    _known_labels(data, model.labels)
    return found


def classifier(request: Request) -> Built:
    """The classifier that `request` names, and the system that asks it."""
    if request.model == "scripted":
        return _scripted()
    if request.adapter is not None:
        return _from_run(request)
    if request.model is None:
        return _released()
    raise InputError(
        f"--model {request.model}: a base model has no sentiment of its own; name an adapter "
        "with --adapter runs/NAME/adapter, or take --model scripted"
    )


def score(sample: Sample, said: Prediction | None) -> Scored:
    """Right or wrong, with the confidence; a failure is wrong and sure of it."""
    if said is None:
        return Scored({"accuracy": 0.0, "confidence": 1.0}, {"label": None})
    scores = {"accuracy": accuracy.accuracy(sample.gold, said.label), "confidence": said.score}
    return Scored(scores, {"label": said.label, "not_sure": said.not_sure})


def slices(text: str) -> dict[str, str]:
    """Language and length of a text."""
    words = len(text.split())
    length = "short" if words <= SHORT else "long" if words > LONG else "medium"
    return {"language": detect(text), "length": length}


def _sample(row: Labelled) -> Sample:
    return Sample(row.id, row.text, row.label, slices(row.text))


def _asking(model: Classifier) -> Callable[[Sequence[Sample]], list[Prediction]]:
    return lambda samples: model.predict([sample.text for sample in samples])


def _scripted() -> Built:
    from app.sentiment.classifier import ScriptedSentiment

    model = ScriptedSentiment()
    return model, System("scripted", _asking(model), {"model": {"ref": "scripted"}}, BATCH)


def _released() -> Built:
    from app.sentiment.classifier import Sentiment

    folder = release_dir() / "sentiment"
    model = Sentiment.load(folder)
    served = model.release
    assert served is not None
    identity = _identity(served.base, served.calibration, served.prompt_version)
    identity |= {"release": served.id, "adapter": runs.adapter(folder)}
    return model, System("released", _asking(model), identity, BATCH)


def _from_run(request: Request) -> Built:
    from app.models.adapters import read_card
    from app.sentiment.classifier import PROMPT_VERSION, Sentiment

    folder = request.adapter
    assert folder is not None
    found = runs.adapter(folder)
    run, card = runs.record(folder), read_card(folder)
    calibration, labels = runs.calibration(run, folder), runs.labels(run, folder)
    model = Sentiment.from_adapter(folder, request.model or card.base.ref, labels, calibration)
    identity = _identity(card.base, calibration, PROMPT_VERSION) | {"adapter": found}
    return model, System("lora", _asking(model), identity, BATCH)


def _base(request: Request, data: Data) -> Built:
    from eval.probe import LinearProbe

    if request.adapter is not None:
        raise InputError("--system base has no adapter: leave --adapter out")
    train = str(references.parse_ref(data.source)._replace(split="train"))
    encoder, record = engines.encoder(request.model, None)
    model = LinearProbe(encoder, references.classification(train, request.columns))
    identity = {
        "model": record,
        "prompt": prompts.identity(f"sentiment/{textprep.VERSION}"),
        "settings": {"head": f"logistic regression on {train}"},
    }
    return model, System("base", _asking(model), identity, BATCH)


def _identity(base: Base, calibration: Calibration, prompt: str) -> dict[str, Any]:
    return {
        "model": engines.record(base),
        "prompt": prompts.identity(prompt),
        "settings": calibration.model_dump(),
    }


def _known_labels(data: Data, labels: Sequence[str]) -> None:
    unknown = sorted({sample.gold for sample in data.samples} - set(labels))
    if unknown:
        raise InputError(
            f"the data has the labels {', '.join(unknown)}; "
            f"the classifier knows {', '.join(labels)}"
        )


TASK = Task(
    name="sentiment",
    summary="does the classifier read the mood of a text as people labelled it?",
    data="demo:reviews#test",
    metrics=(accuracy.METRIC, macro_f1.METRIC, ece.METRIC),
    systems=("base",),
    packages=("app/sentiment",),
    read=read,
    build=build,
    score=score,
    fields=("text", "label"),
)
