"""Intents: which it is, whether it is any, its threshold, and the task that measures all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import InputError
from app.core.kinds import OUT_OF_SCOPE, Labelled
from app.models.encoder import HashEncoder
from app.support.intents import Intent, Intents, Judged
from app.support.scope import SHRINK, Known
from eval.samples import Sample
from eval.tasks import TASKS
from tests.helpers_eval import assert_failing_never_pays, prepared, run, values, write_lines

KNOWN = {
    "refund": ["I want my money back", "when is my refund coming", "refund this order please"],
    "track": ["where is my parcel", "track my parcel", "has the parcel left yet"],
}
STRANGE = ["who won the match", "sing me a song", "what is the capital of Peru"]


def rows(split: str) -> list[dict[str, Any]]:
    """Every example, and questions that belong nowhere."""
    known = [(text, label) for label, texts in KNOWN.items() for text in texts]
    return [
        {"id": f"{split}{n}", "text": text, "label": label, "split": split}
        for n, (text, label) in enumerate([*known, *((text, OUT_OF_SCOPE) for text in STRANGE)])
    ]


def labelled(split: str = "train") -> list[Labelled]:
    return [Labelled(row["id"], row["text"], row["label"]) for row in rows(split)]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A file of three splits with the same rows."""
    return write_lines(tmp_path / "i.jsonl", rows("train") + rows("dev") + rows("test")) + "#test"


@pytest.mark.parametrize("learn", [Intents.of_examples, Intents.of_centroids])
def test_what_is_like_the_examples_is_their_intent(learn: Any) -> None:
    model = learn(HashEncoder(), labelled())
    said = model.predict(["my refund, my money", "where is the parcel now"])
    assert [intent.label for intent in said] == ["refund", "track"]
    assert model.labels == ["refund", "track"]  # what is out of scope has no centroid


def test_the_score_is_the_cosine_to_the_mean_of_the_examples() -> None:
    encoder = HashEncoder()
    model = Intents.of_centroids(encoder, labelled())
    mean = encoder.encode(KNOWN["track"]).mean(axis=0)
    expected = float(encoder.encode(["track my parcel"])[0] @ mean / np.linalg.norm(mean))
    assert model.predict(["track my parcel"])[0].score == pytest.approx(expected, abs=1e-6)


def test_what_is_like_no_example_fits_less() -> None:
    model = Intents.of_examples(HashEncoder(), labelled())
    known = [intent.score for intent in model.predict([t for own in KNOWN.values() for t in own])]
    assert max(intent.score for intent in model.predict(STRANGE)) < min(known)


def test_the_fit_is_the_relative_mahalanobis_distance() -> None:
    random = np.random.default_rng(7)
    vectors = np.concatenate([random.normal(size=(50, 3)), random.normal(size=(50, 3)) + 4])
    classes = np.repeat([0, 1], 50)
    known, asked = Known(vectors, classes), np.array([[4.0, 4.0, 4.0], [30.0, -30.0, 0.0]])

    def distances(residuals: Any, middles: Any) -> Any:
        cov = np.cov(residuals.T, bias=True)
        cov = (1 - SHRINK) * cov + SHRINK * np.trace(cov) / 3 * np.eye(3)
        away = asked[:, None] - middles[None]
        return np.einsum("nkd,de,nke->nk", away, np.linalg.inv(cov), away)

    means = np.stack([vectors[classes == c].mean(axis=0) for c in (0, 1)])
    nearest = distances(vectors - means[classes], means).min(axis=1)
    whole = distances(vectors, vectors.mean(axis=0)[None])[:, 0]
    assert known.fit(asked) == pytest.approx(whole - nearest)
    assert known.fit(asked)[0] > known.fit(asked)[1]


def test_without_a_threshold_everything_is_in_scope() -> None:
    model = Intents.of_examples(HashEncoder(), labelled())
    assert all(intent.in_scope for intent in model.predict(STRANGE))
    assert model.predict([]) == []


def test_the_threshold_loses_at_most_the_allowed_share_of_dev() -> None:
    scores = {f"t{i}": i / 100 for i in range(40)}

    def of(texts: Any) -> Judged:
        return Judged.of_scores(np.array([[scores[text], -1.0] for text in texts]))

    dev = [Labelled(text, text, "a") for text in scores]
    model = Intents(["a", "b"], of).fitted([*dev, Labelled("o", "t0", OUT_OF_SCOPE)])
    assert model.threshold == 0.01  # the second of forty: 5 % of those to come lie below
    assert sum(not intent.in_scope for intent in model.predict(list(scores))) == 1
    assert Intents(["a", "b"], of).fitted(dev[:10]).threshold == -np.inf  # too few to say


def test_what_cannot_be_fitted_is_refused() -> None:
    one = [Labelled("1", "where is it", "track")]
    with pytest.raises(InputError, match=r"two intents or more, found \['track'\]"):
        Intents.of_examples(HashEncoder(), one)
    model = Intents.of_examples(HashEncoder(), labelled())
    with pytest.raises(InputError, match="dev examples"):
        model.fitted([Labelled("1", "sing", OUT_OF_SCOPE)])


# the task


def test_the_task_learns_from_train_and_dev_and_asks_the_named_split(data: str) -> None:
    found = run("intents", model="scripted", data=data)
    assert found.report.n == 9
    assert values(found)["in_scope_accuracy"] == 1.0  # test repeats train here
    assert values(found)["auroc"] > 0.9
    assert found.report.provenance.settings["thresholds"] == {}  # six texts are too few for one
    assert found.report.provenance.system == "regression"
    again = run("intents", model="scripted", system="centroids", data=data)
    assert again.report.provenance.system == "centroids"


def test_failing_never_pays(data: str) -> None:
    assert_failing_never_pays(prepared("intents", model="scripted", data=data))


def test_a_text_out_of_scope_is_right_where_it_is_left_alone() -> None:
    score = TASKS["intents"].score
    strange, known = (Sample("x", "text", gold, {}) for gold in (OUT_OF_SCOPE, "track"))
    assert score(strange, Intent("track", 0.2, False)).scores == {
        "accuracy": 1.0, "oos": 1.0, "in_scope_score": 0.2
    }  # fmt: skip
    lost = score(known, Intent("track", 0.2, False)).scores
    assert (lost["accuracy"], lost["in_scope_accuracy"]) == (0.0, 1.0)
    assert score(strange, Intent("track", 0.7, True)).scores["accuracy"] == 0.0


@pytest.mark.parametrize("split", ["", "#train", "#dev"])
def test_what_is_learnt_from_cannot_be_the_test(data: str, split: str) -> None:
    with pytest.raises(InputError, match=r"name the one to test on, e\.g\. file:.*#test"):
        run("intents", model="scripted", data=data.removesuffix("#test") + split)


def test_an_intent_without_examples_is_named(tmp_path: Path) -> None:
    test = [{"text": "hello", "label": "greet", "split": "test"}]
    data = write_lines(tmp_path / "i.jsonl", rows("train") + rows("dev") + test)
    with pytest.raises(InputError, match="no training example has the intents greet"):
        run("intents", model="scripted", data=f"{data}#test")


def test_without_a_dev_split_a_tenth_of_train_is_held_out(tmp_path: Path) -> None:
    train = [
        {"text": f"{word} number {n}", "label": word, "split": "train"}
        for word in ("track", "refund")
        for n in range(60)
    ]
    test = [{"text": "track it", "label": "track", "split": "test"}]
    data = write_lines(tmp_path / "i.jsonl", [*train, *test])
    lessons = TASKS["intents"].read(f"{data}#test").source
    assert 4 <= len(lessons.dev) <= 24
    assert len(lessons.train) + len(lessons.dev) == 120
    assert not {row.text for row in lessons.train} & {row.text for row in lessons.dev}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: an untrained classifier of track, refund and oos on a tiny BERT."""
    import torch

    from app.core.files import write_json
    from app.models import adapters
    from app.models.classifier import build
    from app.models.lora import attach_lora
    from app.models.references import resolve
    from app.sentiment.classifier import PROMPT_VERSION
    from tests.helpers_models import tiny_bert

    folder = tmp_path_factory.mktemp("runs") / "one"
    weights = resolve(str(tiny_bert(tmp_path_factory.mktemp("base"))))
    torch.manual_seed(3)
    labels = [OUT_OF_SCOPE, "refund", "track"]
    model, _ = build(weights, labels)
    card = adapters.Card(
        kind="classifier", base=weights.record(), prompt_version=PROMPT_VERSION, labels=labels
    )
    sha256 = adapters.save(attach_lora(model, rank=4), folder / "adapter", card)
    write_json(folder / "run.json", {"labels": labels, "adapter_sha256": sha256})
    return folder


def test_a_trained_classifier_never_names_out_of_scope_as_the_likeliest_intent(
    run_folder: Path, data: str
) -> None:
    found = run("intents", adapter=run_folder / "adapter", data=data)
    assert found.report.provenance.system == "lora"
    assert {row.prediction["nearest"] for row in found.rows} <= {"refund", "track"}
    assert all(0 <= row.scores["in_scope_score"] <= 1 for row in found.rows)


@pytest.mark.realdata
def test_clinc150_and_banking77_are_read() -> None:
    clinc = TASKS["intents"].read("data:clinc150#test")
    assert (len(clinc.samples), len(clinc.source.train), len(clinc.source.dev)) == (
        5500, 15100, 3100
    )  # fmt: skip
    assert sum(sample.gold == OUT_OF_SCOPE for sample in clinc.samples) == 1000
    banking = TASKS["intents"].read("data:banking77#test")
    assert len(banking.samples) == 3080
    assert len(banking.source.train) + len(banking.source.dev) == 10003
