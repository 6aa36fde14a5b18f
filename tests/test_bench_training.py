"""The training benches: what their arms share, and that each of them trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eval.bench import bench, train_chat, training
from eval.bench.training import Job
from eval.task import Request
from tests.helpers_models import tiny_llama
from tests.helpers_train import OLD_NAMES

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)


def test_speed_is_units_and_the_matmul_share_is_of_the_measured_rate() -> None:
    # 4 x 1e6 weights x 5,000 tokens are 20 GFLOP, in 2 s at 100 GFLOP/s a tenth of the rate
    job = Job(Path(), Path(), 300, tokens=5000, weights=10**6, dtype="float32", rate=100e9)
    found = training.outcome(job, 2.0, [1.0]).speeds
    assert found == {"train": 150.0, "matmul": pytest.approx(0.1)}


def test_weights_are_those_of_linear_layers_without_the_vocabularys_head(tmp_path: Path) -> None:
    from app.models.loading import causal_model

    model = causal_model(tiny_llama(tmp_path / "llama"), "float32")
    by_name = {
        name: p.numel() for name, p in model.named_parameters() if "_proj" in name and p.ndim == 2
    }
    assert training.linear_weights(model) == sum(by_name.values()) > 0


def test_chat_rows_are_drawn_by_seed_and_the_answer_stands_in_a_passage() -> None:
    rows = train_chat.rows("demo:support#train", 6)
    assert rows == train_chat.rows("demo:support#train", 6)
    for row in rows:
        (answer,) = row["completion"]
        assert answer["content"]
        assert answer["content"].split(". ")[0] in row["prompt"][-1]["content"]
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]


def test_likelihood_is_the_geometric_mean_over_the_answer(tmp_path: Path) -> None:
    from app.models.loading import causal_model, tokenizer

    folder = tiny_llama(tmp_path / "llama")
    model, loaded = causal_model(folder, "float32").eval(), tokenizer(folder)
    row = {"prompt": [{"role": "user", "content": "is it blue"}],
           "completion": [{"role": "assistant", "content": "yes, it is"}]}  # fmt: skip
    (found,) = train_chat.likelihoods(model, loaded, [row])
    ids = loaded.apply_chat_template([*row["prompt"], *row["completion"]])["input_ids"]
    start = len(loaded.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"])
    product = 1.0
    for place in range(start, len(ids)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
        product *= float(logits.softmax(-1)[ids[place]])
    assert found == pytest.approx(product ** (1 / (len(ids) - start)), rel=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what the peers warn of is theirs
@pytest.mark.parametrize(
    ("name", "limit"),
    [pytest.param("train-encoder", 16, marks=pytest.mark.realdata), ("train-chat", 2)],
)
def test_every_arm_trains_on_the_packaged_weights(
    name: str, limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("eval.bench.train_chat.DEV", 1)
    contest = bench(name).build(Request(limit=limit))
    assert [arm.name for arm in contest.arms] == ["product", "default", "tuned"]
    for arm in contest.arms:
        found = arm.run()
        assert all(value > 0 for value in found.speeds.values()), arm.name
        assert found.scores
        assert all(0 <= score <= 1 for score in found.scores), arm.name


def test_a_product_that_fails_ends_the_bench_with_its_sentence(tmp_path: Path) -> None:
    from app.core.errors import AppError

    job = Job(tmp_path, tmp_path / "none.jsonl", 1, 1, 1, "float32", 1.0)
    with pytest.raises(AppError, match=r"train.py ended with 2: .*"):
        training.product(job, {"task": "classification"}, lambda _: [])
