"""Several labels a text, and numbers: what the tasks multilabel and regression learn and serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core import data
from app.core.errors import ConfigError, InputError, Mismatch
from app.core.files import read_json, write_jsonl
from app.core.textprep import prepare
from eval.harness import prepare as planned
from eval.harness import run as evaluated
from eval.task import Request
from eval.tasks import TASKS
from finetune.calibrate import f1_threshold
from tests.helpers_models import tiny_bert, tiny_gpt2, tiny_llama
from tests.helpers_train import OLD_NAMES, config, conversations, train

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)
LEARN: dict[str, Any] = {
    "loop__max_steps": 120, "optim__lr": 2e-2, "loop__eval_every": 40, "loop__save_every": 40,
    "loop__global_batch": 8, "loop__device_batch": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny random models of the shapes of BERT, GPT-2 and SmolLM2."""
    folder = tmp_path_factory.mktemp("models")
    makers = {"bert": tiny_bert, "gpt2": tiny_gpt2, "llama": tiny_llama}
    return {name: make(folder / name) for name, make in makers.items()}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are quicker, and the same each time, on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tagged(path: Path, n: int = 32) -> Path:
    """A multilabel file whose labels are words of the text; some rows have none."""
    rows = []
    for i in range(n):
        labels = [name for bit, name in enumerate(("great", "dull", "moving")) if i >> bit & 1]
        rows.append({"text": f"film {i} was {' and '.join(labels)}", "labels": labels})
    write_jsonl(path, rows)
    return path


def rated(path: Path, n: int = 24, level: float = 0.0, unit: float = 1.0) -> Path:
    """A regression file whose score is in one word of the text."""
    words = {"terrible": -3.0, "dull": -1.0, "good": 1.0, "wonderful": 3.0}
    rows = [
        {"text": f"film {i} was {word}", "score": level + unit * words[word]}
        for i in range(n)
        for word in [list(words)[i % 4]]
    ]
    write_jsonl(path, rows)
    return path


def served(run: Path, model: Path, load: str) -> Any:
    """What app.models.classifier loads from the adapter of a run."""
    from app.models import classifier
    from app.models.references import resolve

    return getattr(classifier, load)(resolve(str(model)), run / "adapter")


# multilabel


def test_the_f1_threshold_is_the_cut_with_the_best_f1() -> None:
    chances = np.array([0.9, 0.8, 0.7, 0.4, 0.2])
    gold = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    assert f1_threshold(chances, gold) == pytest.approx(0.3)  # 3 of 4 said, all found: 6 / 7
    assert f1_threshold(chances, np.zeros(5)) == 0.5
    assert f1_threshold(np.full(4, 0.3), np.array([1.0, 0, 0, 0])) < 0.3  # all or none
    poor = np.array([0.0, 0, 0, 0, 1])
    assert f1_threshold(chances, poor) < 0.2
    # with 90 of 100 right elsewhere, five answers for one that is right only cost: 180 / 201
    assert f1_threshold(chances, poor, hits=90, others=200) > 0.9


@pytest.mark.parametrize("shape", ["bert", "gpt2", "llama"])
def test_multilabel_learns_and_serves_on_every_shape(
    shape: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    path = tagged(tmp_path / "tags.jsonl")
    run = train(config("multilabel", models[shape], path, tmp_path, **LEARN))
    record = read_json(run / "run.json")
    assert record["labels"] == ["dull", "great", "moving"]
    assert record["dev"]["micro_f1"] > 0.8  # which of the 24 rows it misses hangs on the processor
    loaded = served(run, models[shape], "load_multilabel")
    rows = data.multilabel(f"file:{path}")
    said = loaded.logits([prepare(row.text) for row in rows]) >= 0
    gold = np.array([[label in row.labels for label in loaded.labels] for row in rows])
    assert (said == gold).mean() > 0.8


def test_labels_with_enough_dev_rows_get_thresholds_of_their_own() -> None:
    from app.core.release import Calibration
    from finetune.tasks import multilabel

    gold = np.zeros((200, 3))
    gold[:100, 0], gold[50:150, 1], gold[:3, 2] = 1, 1, 1
    logits = np.where(gold == 1, 1.0, -1.0) + np.array([-2.0, 2.0, 0.0])  # `high` lies above
    logits += np.random.default_rng(0).normal(0, 0.1, gold.shape)
    names, even = ["low", "high", "rare"], Calibration(temperature=1.0)
    found, dev = multilabel.measured(logits, gold, even, names)
    shared = multilabel.common(logits, gold)
    assert found.thresholds["rare"] == shared
    assert found.thresholds["low"] < shared or found.thresholds["high"] > shared
    assert dev["micro_f1"] > multilabel.scores(logits, gold, shared)["micro_f1"]
    few, _ = multilabel.measured(logits[:9], gold[:9], even, names)
    assert few.thresholds == {}


def test_an_unknown_label_and_labels_as_many_as_rows_are_refused(tmp_path: Path) -> None:
    from finetune.tasks.multilabel import _labels

    rows = data.multilabel(f"file:{tagged(tmp_path / 'tags.jsonl')}")
    strange = rows[0]._replace(id="d7", labels=("grate",))
    with pytest.raises(InputError, match=r"row d7 has the label 'grate'. Did you mean 'great'\?"):
        _labels(rows, [strange], None)
    with pytest.raises(InputError, match="found 3 labels in 3 rows"):
        _labels(rows[5:8], [], None)
    with pytest.raises(InputError, match="expected one label or more"):
        _labels([rows[0], rows[8]], [], None)


def test_multilabel_rows_are_read_from_lists_and_from_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,labels\nfine,b|a|b\nnothing,\n")
    assert [row.labels for row in data.multilabel(f"file:{tmp_path / 'a.csv'}")] == [("b", "a"), ()]
    write_jsonl(
        tmp_path / "b.jsonl", [{"text": "fine", "labels": ["a"]}, {"text": "x", "labels": 3}]
    )
    with pytest.raises(InputError, match=r"b.jsonl:2: expected a list of 'labels', found 3"):
        data.multilabel(f"file:{tmp_path / 'b.jsonl'}")


# regression


@pytest.mark.parametrize("shape", ["bert", "gpt2", "llama"])
def test_regression_learns_and_serves_on_the_scale_of_the_data(
    shape: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    path = rated(tmp_path / "r.jsonl", level=500.0, unit=40.0)
    run = train(config("regression", models[shape], path, tmp_path, **LEARN))
    dev = read_json(run / "run.json")["dev"]
    assert dev["pearson"] > 0.9
    assert dev["rmse"] < 40.0  # the scores spread by 89 around 500
    rows = data.regression(f"file:{path}")
    said = served(run, models[shape], "load_regressor").scores([prepare(row.text) for row in rows])
    errors = said - np.array([row.score for row in rows])
    assert float(np.sqrt(np.square(errors).mean())) == pytest.approx(dev["rmse"], rel=1e-3)


def test_the_scale_of_the_scores_changes_nothing_in_training(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    runs = {}
    for unit in (1.0, 1000.0):
        (tmp_path / str(unit)).mkdir()
        path = rated(tmp_path / str(unit) / "r.jsonl", level=7 * unit, unit=unit)
        run = train(config("regression", models["bert"], path, tmp_path / str(unit)))
        runs[unit] = read_json(run / "run.json")["dev"]
    assert runs[1000.0]["rmse"] == pytest.approx(1000 * runs[1.0]["rmse"], rel=1e-4)
    assert runs[1000.0]["pearson"] == pytest.approx(runs[1.0]["pearson"], abs=1e-4)


def test_regression_scores_are_those_of_the_definition() -> None:
    from finetune.tasks.regression import scores

    found = scores(np.array([[1.0], [2.0], [3.0]]), np.array([2.0, 2.0, 5.0]))
    assert found["rmse"] == pytest.approx((5 / 3) ** 0.5)
    assert found["pearson"] == pytest.approx(3 / (2**0.5 * 6**0.5))
    assert scores(np.ones((3, 1)), np.array([1.0, 2.0, 3.0]))["pearson"] == 0.0


def test_scores_that_are_all_the_same_or_no_numbers_are_refused(tmp_path: Path) -> None:
    from finetune.tasks.regression import scale

    path = rated(tmp_path / "same.jsonl", unit=0.0, level=2.0)
    with pytest.raises(InputError, match="all 24 training rows have the score 2"):
        scale(data.regression(f"file:{path}"))
    (tmp_path / "nan.jsonl").write_text('{"text": "a", "score": 1}\n{"text": "b", "score": NaN}\n')
    with pytest.raises(InputError, match=r"nan.jsonl:2: expected a number in 'score', found nan"):
        data.regression(f"file:{tmp_path / 'nan.jsonl'}")


def test_a_regressor_is_no_classifier_and_goes_on_as_a_regressor_alone(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    path = rated(tmp_path / "r.jsonl", level=300.0)
    run = train(config("regression", models["bert"], path, tmp_path / "a", **LEARN))
    with pytest.raises(Mismatch, match="is for regressor, expected a classifier's"):
        served(run, models["bert"], "load_classifier")
    going_on = {"adapter__init_from": str(run), "optim__lr": 1e-9}
    again = train(config("regression", models["bert"], path, tmp_path / "b", **going_on))
    before, after = (read_json(r / "run.json")["dev"]["rmse"] for r in (run, again))
    assert after == pytest.approx(before, rel=1e-3)
    with pytest.raises(Mismatch, match="is a regressor's, task multilabel trains a multilabel"):
        train(config("multilabel", models["bert"], tagged(tmp_path / "t.jsonl"), tmp_path / "c",
                     **going_on))  # fmt: skip


def test_eval_measures_a_trained_regressor_on_the_scale_of_its_raters(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    path = rated(tmp_path / "r.jsonl")
    run = train(config("regression", models["bert"], path, tmp_path, **LEARN))
    fresh = {"terrible": -3.9, "wonderful": 3.9, "good": 1.0}
    rows = [{"text": f"a book that was {word}", "score": fresh[word]} for word in fresh]
    write_jsonl(tmp_path / "fresh.jsonl", rows)
    request = Request(f"file:{tmp_path / 'fresh.jsonl'}", adapter=run / "adapter")
    report, samples = evaluated(planned(TASKS["regression"], request))
    assert {metric.name for metric in report.metrics} == {"rmse", "pearson"}
    assert report.provenance.system == "regressor"
    assert not any(sample.error for sample in samples)
    said = [sample.scores["said"] for sample in samples]
    assert all(-4.0 <= one <= 4.0 for one in said)
    assert len(set(said)) == 3


@pytest.mark.parametrize("method", ["head", "none"])
def test_a_head_alone_and_all_weights_keep_the_scale_too(
    method: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    path = rated(tmp_path / "r.jsonl", level=300.0, unit=20.0)
    changes = {"adapter__method": method, "optim__lr": 1e-3}
    run = train(config("regression", models["bert"], path, tmp_path, **changes))
    rows = data.regression(f"file:{path}")
    said = served(run, models["bert"], "load_regressor").scores([prepare(row.text) for row in rows])
    errors = said - np.array([row.score for row in rows])
    dev = read_json(run / "run.json")["dev"]
    assert float(np.sqrt(np.square(errors).mean())) == pytest.approx(dev["rmse"], rel=1e-3)
    assert dev["rmse"] < 100.0  # never trained, 300 of the mean come from the scale


# what all tasks refuse


def test_texts_longer_than_the_model_reads_are_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    path = rated(tmp_path / "r.jsonl")
    chats = conversations(tmp_path / "c.jsonl")
    for task, shape, most in (("regression", "bert", 512), ("regression", "gpt2", 512),
                              ("regression", "llama", 1024), ("sft", "llama", 1024)):  # fmt: skip
        rows = chats if task == "sft" else path
        made = config(task, models[shape], rows, tmp_path, data__max_tokens=most + 1)
        with pytest.raises(ConfigError, match=f"{most + 1}, .* reads {most} tokens at most"):
            built(made, tmp_path)


def test_r_drop_is_refused_where_it_does_nothing(tmp_path: Path, models: dict[str, Path]) -> None:
    made = config("regression", models["bert"], rated(tmp_path / "r.jsonl"), tmp_path,
                  optim__rdrop=1.0)  # fmt: skip
    with pytest.raises(ConfigError, match=r"optim\.rdrop is for classification"):
        built(made, tmp_path)


def test_a_single_row_is_refused(tmp_path: Path, models: dict[str, Path]) -> None:
    write_jsonl(tmp_path / "one.jsonl", [{"text": "fine", "score": 1.0}])
    made = config("regression", models["bert"], tmp_path / "one.jsonl", tmp_path)
    with pytest.raises(InputError, match="expected two training rows or more, found 1"):
        built(made, tmp_path)


def test_a_label_for_each_row_is_refused(tmp_path: Path, models: dict[str, Path]) -> None:
    write_jsonl(tmp_path / "n.jsonl", [{"text": f"film {n}", "label": f"id {n}"} for n in range(5)])
    made = config("classification", models["bert"], tmp_path / "n.jsonl", tmp_path)
    with pytest.raises(InputError, match="found 5 labels in 5 rows"):
        built(made, tmp_path)


@pytest.mark.parametrize("shape", ["bert", "gpt2", "llama"])
def test_dropout_of_zero_leaves_nothing_to_chance(
    shape: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    import torch

    for share, same in ((0.0, True), (0.5, False)):
        made = config("regression", models[shape], rated(tmp_path / "r.jsonl"), tmp_path,
                      model__dropout=share)  # fmt: skip
        trainer = built(made, tmp_path).trainer
        batch = next(iter(trainer.get_train_dataloader()))
        model = trainer.model.train()
        one, two = (model(**batch).logits for _ in range(2))
        assert torch.equal(one, two) is same


def built(made: Any, folder: Path) -> Any:
    """The job of a run that has not begun."""
    from finetune.job import Order
    from finetune.runs import RunFolder
    from finetune.tasks import TASKS as TRAINED

    return TRAINED[made.task](Order(made, RunFolder(folder / "r", {}, ours=False), 1))
