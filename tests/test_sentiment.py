"""The classifier that is served: calibrated, checked against its record, honest where not sure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import Mismatch, NotFound, WeightsMissing
from app.core.files import ROOT, sha256_file
from app.core.release import ADAPTER_FILE, Calibration, Engine, Release
from app.core.textprep import prepare
from app.sentiment.classifier import PROMPT_VERSION, ScriptedSentiment, Sentiment, softmax

LABELS = ["negative", "positive"]
TEXTS = ["the film is wonderful and moving", "the plot is dull", "", "a waste of time " * 60]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights."""
    from tests.helpers_models import tiny_bert

    return tiny_bert(tmp_path_factory.mktemp("base"))


@pytest.fixture
def released(base: Path, tmp_path: Path) -> Path:
    """A release folder with an adapter on it."""
    return make_release(base, tmp_path / "sentiment")


def make_release(body: Path, folder: Path, **changes: object) -> Path:
    import torch

    from app.models import adapters
    from app.models.classifier import build
    from app.models.lora import attach_lora
    from app.models.references import resolve

    weights = resolve(str(body))
    torch.manual_seed(3)
    model, _ = build(weights, LABELS)
    tuned = attach_lora(model, rank=4)
    card = adapters.Card(
        kind="classifier", base=weights.record(), prompt_version=PROMPT_VERSION, labels=LABELS
    )
    adapters.save(tuned, folder, card)
    release = Release(
        feature="sentiment",
        id="sentiment-1",
        created="2026-01-01T00:00:00Z",
        mode="model",
        base=weights.record(),
        adapter_sha256=sha256_file(folder / ADAPTER_FILE),
        prompt_version=PROMPT_VERSION,
        labels=LABELS,
        calibration=Calibration(temperature=2.0, thresholds={"not_sure": 0.6}),
        engines=[Engine(engine="transformers", dtype="float32")],
    )
    release.model_copy(update=changes).save(folder)
    return folder


def test_probabilities_sum_to_one_and_the_label_is_the_likeliest(released: Path) -> None:
    for found in Sentiment.load(released).predict(TEXTS):
        assert list(found.probabilities) == LABELS
        assert sum(found.probabilities.values()) == pytest.approx(1.0)
        assert found.score == max(found.probabilities.values()) == found.probabilities[found.label]


def test_a_text_is_prepared_and_its_company_changes_nothing(released: Path) -> None:
    model = Sentiment.load(released)
    raw = "it does n't work -lrb- at all -rrb-"
    [alone] = model.predict([raw])
    together = model.predict([*TEXTS, raw])[-1]
    [prepared] = model.predict([prepare(raw)])
    assert together.score == pytest.approx(alone.score, abs=1e-5)
    assert prepared.score == alone.score


def test_no_texts_give_no_predictions(released: Path) -> None:
    assert Sentiment.load(released).predict([]) == []


def test_the_temperature_divides_the_logits_and_never_changes_the_label(
    base: Path, released: Path
) -> None:
    cold = Sentiment.from_adapter(released, str(base), LABELS, Calibration(temperature=1.0))
    warm = Sentiment.load(released)  # temperature 2
    for one, two in zip(cold.predict(TEXTS), warm.predict(TEXTS), strict=True):
        assert one.label == two.label
        odds = [np.log(p.probabilities["positive"] / p.probabilities["negative"])
                for p in (one, two)]  # fmt: skip
        assert odds[1] == pytest.approx(odds[0] / 2, abs=1e-4)


def test_softmax_stays_finite_for_large_logits() -> None:
    rows = softmax(np.array([[1000.0, -1000.0], [0.0, 0.0]], dtype=np.float32), 0.5)
    assert rows.tolist() == [[1.0, 0.0], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("text", "thresholds", "not_sure"),
    [
        ("the film is wonderful", {}, False),
        ("the film is wonderful", {"not_sure": 1.01}, True),
        ("  ", {}, True),  # nothing was said
        ("很好喝", {"not_sure": 0.0}, True),  # Chinese was never measured
        ("很好喝", {"not_sure_zh": 0.0}, False),
    ],
)
def test_it_says_when_it_is_not_sure(
    base: Path, released: Path, text: str, thresholds: dict[str, float], not_sure: bool
) -> None:
    calibration = Calibration(temperature=1.0, thresholds=thresholds)
    model = Sentiment.from_adapter(released, str(base), LABELS, calibration)
    assert model.predict([text])[0].not_sure is not_sure


def test_a_changed_adapter_is_refused_by_its_hash(released: Path) -> None:
    with (released / ADAPTER_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(Mismatch, match=r"sha256 .* release.json says .* rollback"):
        Sentiment.load(released)


def test_an_adapter_of_another_preparation_is_refused(base: Path, tmp_path: Path) -> None:
    folder = make_release(base, tmp_path / "old", prompt_version="sentiment/0")
    with pytest.raises(Mismatch, match=r"prompt sentiment/0, this code renders sentiment/\d"):
        Sentiment.load(folder)


def test_labels_in_another_order_than_the_logits_are_refused(base: Path, tmp_path: Path) -> None:
    folder = make_release(base, tmp_path / "swapped", labels=LABELS[::-1])
    with pytest.raises(Mismatch, match="negative, positive, its record says positive, negative"):
        Sentiment.load(folder)


def test_another_base_under_the_same_name_is_refused(released: Path, tmp_path: Path) -> None:
    from tests.helpers_models import tiny_bert

    other = tiny_bert(tmp_path / "other", seed=1)
    with pytest.raises(Mismatch, match="sha256"):
        Sentiment.from_adapter(released, str(other), LABELS, Calibration(temperature=1.0))


def test_a_base_that_is_nowhere_is_named(base: Path, tmp_path: Path) -> None:
    from app.models.references import resolve

    gone = resolve(str(base)).record().model_copy(update={"ref": "acme/gone"})
    folder = make_release(base, tmp_path / "gone", base=gone)
    with pytest.raises(WeightsMissing, match="acme/gone"):
        Sentiment.load(folder)


def test_a_folder_without_a_release_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"expected release\.json"):
        Sentiment.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "label", "not_sure"),
    [
        ("What a lovely kettle, I love it!", "positive", False),
        ("It is not good.", "negative", False),
        ("I didn't like the lid; it leaks and is useless", "negative", False),
        ("不好喝", "negative", False),
        ("很好喝，喜欢", "positive", False),
        ("It is a kettle.", "negative", True),
        ("", "negative", True),
    ],
)
def test_the_word_list_counts_good_and_bad_words(text: str, label: str, not_sure: bool) -> None:
    [found] = ScriptedSentiment().predict([text])
    assert (found.label, found.not_sure) == (label, not_sure)
    assert sum(found.probabilities.values()) == pytest.approx(1.0)


def test_importing_the_classifier_loads_no_torch(python: str) -> None:
    code = "import sys, app.sentiment.classifier; print('torch' in sys.modules)"
    done = subprocess.run(
        [python, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "False", done.stderr
