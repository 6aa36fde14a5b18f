"""What a plan counts, times and advises; and that its estimate agrees with finished runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from torch.utils.data import DataLoader

from app.core.brief import Limits
from app.core.errors import ConfigError, InputError
from app.core.files import ROOT, read_json, write_jsonl
from finetune.plan import timing
from finetune.plan.advice import Wanted, advise
from finetune.plan.costs import Batch, Shape, flops, memory
from finetune.plan.timing import Timed
from finetune.units import clock, scaled, size
from tests.helpers_models import tiny_bert, tiny_llama
from tests.helpers_train import (
    OLD_NAMES,
    config,
    config_tree,
    conversations,
    reviews,
    train,
    written,
)

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)
MODEL = Shape(
    total=1200, trained=100, working=1000, weight_bytes=2400, layers=2, hidden=8, vocabulary=0,
    value_bytes=2, adapter_bytes=10, kept_heads=0, through=True,
)  # fmt: skip
LIMITS = Limits.model_validate({})


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are quicker on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# by formula


def test_training_a_whole_model_takes_six_n_a_token_and_twelve_for_each_pair() -> None:
    whole = MODEL._replace(trained=1000)
    assert flops(whole, tokens=10, pairs=0) == 6 * 1000 * 10
    assert flops(whole, tokens=0, pairs=7) == 12 * 2 * 8 * 7


def test_frozen_weights_save_their_gradients_and_a_frozen_body_the_way_back() -> None:
    assert flops(MODEL, tokens=10, pairs=0) == (4 * 1000 + 2 * 100) * 10
    assert flops(MODEL._replace(through=False), tokens=10, pairs=0) == 2 * 1000 * 10


def test_two_passes_are_twice_the_work() -> None:
    assert flops(MODEL, 10, 5, passes=2) == 2 * flops(MODEL, 10, 5)


@pytest.mark.parametrize(("name", "states"), [("adamw", 2), ("adadelta", 2), ("sgd", 1)])
def test_memory_is_weights_gradients_states_and_what_the_way_back_needs(
    name: str, states: int
) -> None:
    found = memory(MODEL, Batch(rows=2, tokens=6, pairs=18, asked=0), name)
    assert found[:3] == (2400, 400, 400 * states)
    assert found.activations == 6 * 8 * 2 * 17 * 2 + 6 * 10
    assert found.total == sum(found)


def test_kept_scores_and_logits_add_to_the_activations() -> None:
    batch = Batch(rows=2, tokens=6, pairs=18, asked=4)
    plain = memory(MODEL, batch, "sgd", momentum=0.0)
    assert plain.optimiser == 0
    scores = memory(MODEL._replace(kept_heads=3), batch, "sgd").activations
    assert scores - plain.activations == 18 * 3 * 2 * 3 * 4
    logits = memory(MODEL._replace(vocabulary=50), batch, "sgd").activations
    assert logits - plain.activations == 4 * 50 * (2 + 8)


# time


def test_time_goes_by_steps_and_tokens() -> None:
    timed = [Timed(n, 0.2 + 0.001 * n) for n in (100, 300, 500, 900)]
    found = timing.estimate(timing.seconds(timed, steps=50, tokens=20_000))
    assert found.value == pytest.approx(50 * 0.2 + 20_000 * 0.001)
    assert found.low == pytest.approx(found.value, rel=1e-6)  # no noise, no interval


def test_steps_of_one_length_are_counted_by_their_tokens() -> None:
    found = timing.seconds([Timed(100, 1.0), Timed(100, 3.0)], steps=4, tokens=800)
    assert found[0] == pytest.approx(8 * 2.0)


def test_the_interval_of_an_estimate_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        tokens = rng.integers(200, 2000, 24)
        taken = (0.1 + 0.001 * tokens) * rng.normal(1, 0.1, 24)
        timed = [Timed(int(n), float(s)) for n, s in zip(tokens, taken, strict=True)]
        found = timing.estimate(timing.seconds(timed, steps=100, tokens=110_000))
        held += found.low <= 0.1 * 100 + 0.001 * 110_000 <= found.high
    assert held >= 50  # of 60; 57 are meant, and a bootstrap of 24 is a little narrow


def test_nothing_timed_takes_no_time() -> None:
    assert not timing.seconds([], steps=3, tokens=9).any()


# batches


def test_all_steps_are_counted_and_the_largest_is_timed_first() -> None:
    from finetune.plan.probe import rounds

    lengths = [3, 9, 4, 5, 6]
    batches = [{"input_ids": torch.ones(2, n, dtype=torch.int64)} for n in lengths]
    loader: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    found = rounds(loader, accumulate=2)
    assert (found.steps, found.rows, found.tokens) == (3, 10, 2 * sum(lengths))
    assert found.pairs == 2 * sum(n * n for n in lengths)
    assert found.largest.tokens == 18
    assert [batch["input_ids"].shape[1] for batch in found.chosen[0]] == [3, 9]


def test_tokens_of_paired_answers_are_counted_together() -> None:
    from finetune.plan.counts import counted

    one = torch.ones(2, 3, dtype=torch.int64)
    assert counted({"chosen_input_ids": one, "rejected_input_ids": one}).tokens == 12
    labels = torch.tensor([[-100, 5, 6], [-100, -100, 7]])
    assert counted({"input_ids": one, "labels": labels}).asked == 3


# the probe


def terms(**changes: Any) -> Any:
    from finetune.plan.plan import Terms

    return Terms(LIMITS, **({"budget_s": 1.0, "table": Path("none.jsonl")} | changes))


def test_a_plan_of_a_classifier_counts_times_and_writes_nothing(tmp_path: Path) -> None:
    from finetune.plan.plan import plan
    from finetune.plan.text import text

    model = tiny_bert(tmp_path / "bert")
    made = config("classification", model, reviews(tmp_path / "r.jsonl"), tmp_path / "runs",
                  loop__max_steps=60)  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    found = plan(made, terms(price_per_hour=2.0))
    assert sorted(tmp_path.rglob("*")) == before
    assert found["data"]["steps"] == 60
    assert (found["data"]["epochs"], found["data"]["labels"]) == (10.0, 2)
    assert 0 < found["parameters"]["trained"] < found["parameters"]["total"]
    assert found["time"]["dev"]["looks"] == 30
    assert found["time"]["run"]["low"] <= found["time"]["run"]["value"] < 60
    assert found["cost"]["run"] == pytest.approx(found["time"]["whole"]["value"] / 3600 * 2)
    assert found["memory"]["measured_peak"] > found["memory"]["formula"] > 0
    said = text(found)
    assert "trained of" in said
    assert "95 of 100 resamples" in said
    assert "no finished runs yet" in said


def test_a_plan_of_a_chat_model_with_accumulated_batches(tmp_path: Path) -> None:
    from finetune.plan.plan import plan

    model = tiny_llama(tmp_path / "llama")
    made = config("sft", model, conversations(tmp_path / "c.jsonl"), tmp_path / "runs",
                  loop__max_steps=6, loop__device_batch=2)  # fmt: skip
    found = plan(made, terms())
    assert found["time"]["probed_steps"] >= 1
    assert (found["data"]["steps"], found["data"]["labels"]) == (6, 0)
    assert found["time"]["dev"]["each"] > 0


def rows_of(task: str) -> list[dict[str, Any]]:
    """A dozen rows of a task, as short as they may be."""
    words = ("great", "dull")
    makers: dict[str, Any] = {
        "regression": lambda i: {"text": f"film {i} was {words[i % 2]}", "score": i % 5 - 2},
        "multilabel": lambda i: {"text": f"film {i} was {words[i % 2]}", "labels": [words[i % 2]]},
        "reader": lambda i: {
            "question": f"how long do refunds of {i} take?", "answers": [f"{i} days"],
            "context": f"refunds take {i} days, returns are free",
        },
        "preference": lambda i: {
            "prompt": [{"role": "user", "content": f"how long do refunds of {i} take?"}],
            "chosen": f"{i} days", "rejected": "who knows",
        },
    }  # fmt: skip
    return [makers[task](i) for i in range(12)]


def with_cls(folder: Path) -> Path:
    """A tiny BERT whose tokenizer begins with [CLS], as a reader needs it."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(folder)
    marks = [(name, loaded.convert_tokens_to_ids(name)) for name in ("[CLS]", "[SEP]")]
    loaded.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    loaded.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("task", ["regression", "multilabel", "reader", "preference"])
def test_a_plan_is_made_of_other_tasks_too(tmp_path: Path, task: str) -> None:
    from finetune.plan.plan import plan

    write_jsonl(tmp_path / "rows.jsonl", rows_of(task))
    model = (tiny_llama if task == "preference" else tiny_bert)(tmp_path / "model")
    model = with_cls(model) if task == "reader" else model
    found = plan(config(task, model, tmp_path / "rows.jsonl", tmp_path / "runs"), terms())
    assert found["work"]["flops"] > 0
    assert found["time"]["run"]["value"] > 0
    assert found["time"]["dev"]["each"] > 0


def test_all_weights_and_a_head_alone_are_planned_too(tmp_path: Path) -> None:
    from finetune.plan.plan import plan

    model, data = tiny_bert(tmp_path / "bert"), reviews(tmp_path / "r.jsonl")
    trained = {}
    for method in ("none", "lora", "head"):
        made = config("classification", model, data, tmp_path / "runs", adapter__method=method)
        found = plan(made, terms())
        trained[method] = found["parameters"]["trained"]
        total = found["parameters"]["total"]
        if method == "none":
            assert trained[method] == total
    assert trained["none"] > trained["lora"] > trained["head"] == 2 * 32 + 2


def test_what_a_run_refuses_its_plan_refuses(tmp_path: Path) -> None:
    from finetune.plan.plan import plan

    model = tiny_bert(tmp_path / "bert")
    made = config("classification", model, reviews(tmp_path / "r.jsonl"), tmp_path / "runs",
                  loop__device_batch=3)  # fmt: skip
    with pytest.raises(ConfigError, match="global_batch 4 is not a multiple"):
        plan(made, terms())
    made = config("classification", model, tmp_path / "no.jsonl", tmp_path / "runs")
    with pytest.raises(InputError, match=r"no\.jsonl"):
        plan(made, terms())


# advice


def line(recipe: str, seed: int, value: float, **changes: Any) -> dict[str, Any]:
    """A line of the table as the queue writes it, shortened to what advice reads."""
    return {
        "kind": "run", "recipe": recipe, "recipe_key": recipe, "seed": seed, "set": "sst2",
        "task": "classification", "model": "m", "method": "lora", "rank": 8, "rows": 7000,
        "labels": 2, "wall_s": 600, "cpu_s": 900, "metric": {"value": value},
        "test": {"metric": "accuracy"},
        "serving": {"p95_ms": 20.0, "mean_ms": 10.0, "peak_bytes": 2**29},
    } | changes  # fmt: skip


def measured(recipe: str, *values: float, **changes: Any) -> list[dict[str, Any]]:
    return [line(recipe, seed, value, **changes) for seed, value in enumerate(values)]


LORA = measured("lora8", 0.880, 0.884, 0.882)
FULL = measured("full", 0.883, 0.887, 0.885, cpu_s=2000, method="none", rank=None)
HEAD = measured("head", 0.80, 0.80, 0.80, cpu_s=100, method="head", rank=None)
WANTED = Wanted("classification", 2, 6000, LIMITS)


def test_of_recipes_that_are_as_good_the_cheapest_is_advised() -> None:
    found = advise([*LORA, *FULL, *HEAD], WANTED)
    assert found["take"] == "lora8"
    assert found["within_limits"] == ["lora8", "full", "head"]
    assert "within its interval over seeds (0.885)" in found["sentences"][0]


def test_a_better_one_is_taken_whatever_it_costs() -> None:
    better = measured("full", 0.93, 0.932, 0.931, cpu_s=9000)
    assert advise([*LORA, *better], WANTED)["take"] == "full"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (WANTED._replace(limits=LIMITS.model_copy(update={"p95_ms": 5})), "limits.p95_ms 5"),
        (WANTED._replace(limits=LIMITS.model_copy(update={"memory_gb": 0.25})), "memory_gb 0.25"),
        (WANTED._replace(price_per_hour=500.0), "limits.cost_per_1000 0.5"),  # 1,000 take 10 s
        (WANTED._replace(max_hours=0.1), "--max-hours 0.1"),
        (WANTED._replace(max_hours=0.3, speed=3.0), "--max-hours 0.3"),
    ],
)
def test_what_breaks_a_limit_is_left_out_with_the_limit_named(wanted: Wanted, why: str) -> None:
    found = advise(LORA, wanted)
    assert found["take"] is None
    assert why in found["sentences"][1]


@pytest.mark.parametrize(
    "wanted",
    [WANTED._replace(task="sft"), WANTED._replace(labels=77), WANTED._replace(rows=200)],
)
def test_data_that_the_table_does_not_know_gets_no_advice(wanted: Wanted) -> None:
    found = advise(LORA, wanted)
    assert found["take"] is None
    assert "the table has nothing like" in found["sentences"][0]
    assert "sst2: classification, 7,000 rows, 2 labels" in found["sentences"][0]


def test_tries_of_learning_rates_are_no_measurements() -> None:
    found = advise([one | {"kind": "grid"} for one in LORA], WANTED)
    assert "no finished runs yet" in found["sentences"][0]


# units


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.42, "0.4 s"), (45, "45 s"), (366, "6.1 min"), (8640, "2.4 h")]
)
def test_times_are_said_as_one_reads_them(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_sizes_and_counts_have_a_unit() -> None:
    assert (size(3 * 2**29), size(2**20), size(4332)) == ("1.50 GB", "1.0 MB", "4.2 kB")
    assert (scaled(1_230_000_000), scaled(12)) == ("1.23 G", "12 ")


# as a command


@pytest.mark.slow
def test_the_estimate_agrees_with_the_finished_run(tmp_path: Path, python: str) -> None:
    """On the real MiniLM: within a factor of two, other work on the machine included."""
    tree = config_tree(
        "classification", Path("x"), reviews(tmp_path / "r.jsonl", 400), tmp_path / "runs",
        loop__max_steps=60, loop__global_batch=16, loop__device_batch=16, loop__eval_every=30,
        loop__save_every=30, optim__lr=1e-4, model__dtype="auto",
        model__path="sentence-transformers/all-MiniLM-L6-v2",
    )  # fmt: skip
    path = written(tmp_path / "c.yaml", tree)
    done = subprocess.run(
        [python, "-m", "finetune", "plan", "--config", str(path), "--json", "--seconds", "20"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    estimate = json.loads(done.stdout)["time"]["run"]["value"]
    seconds = read_json(train(config_from(tree)) / "run.json")["seconds"]
    assert seconds / 2 < estimate < seconds * 2


def config_from(tree: dict[str, Any]) -> Any:
    from app.core.config import parse
    from finetune.config import TrainConfig

    return parse(TrainConfig, tree, "test")


def test_a_config_that_is_wrong_ends_with_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "finetune", "plan", "--config", str(tmp_path / "no.yaml")],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: no config file")
    assert len(done.stderr.splitlines()) == 1
