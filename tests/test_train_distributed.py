"""Two processes under torchrun train as one does: the same curve, dev metrics and adapter.

All their runs are made by one launch (tests/train_many.py); the same runs by one process here.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from app.core.files import ROOT, read_json, sha256_file, write_jsonl
from app.core.records import read_rows
from tests.helpers_models import tiny_bert, tiny_llama
from tests.helpers_train import OLD_NAMES, config, config_tree, reviews, train, written

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.filterwarnings(OLD_NAMES)]
ROWS = 13
"""13 rows by 4: the last step of an epoch is partial, and so are the last rows of dev."""
FULL = {"adapter__method": "none", "optim__lr": 1e-3}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("classification", {}),
    "full": ("classification", FULL),
    "answers": ("sft", {}),
    "bf16": ("classification", {"model__dtype": "bfloat16"}),
    "dropout": ("classification", {"adapter__dropout": 0.2}),
    "stopped": ("classification", {"adapter__dropout": 0.2}),
    "fsdp-lora": ("classification", {}),
    "fsdp-full": ("classification", FULL),
    "fsdp-answers": ("sft", {}),
}
AT_ONCE = {"lora": 1}
"""Rows that each of two processes handles at once: accumulated; 2 where nothing is said."""
STOPPED = {"stopped": 5, "fsdp-lora": 5}
"""After so many steps, in the second epoch; then resumed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models and data; answers of very different lengths."""
    made = tmp_path_factory.mktemp("distributed")
    tiny_bert(made / "bert")
    tiny_llama(made / "llama")
    reviews(made / "classification.jsonl", ROWS)
    rng = random.Random(1)
    rows = [
        {"messages": [
            {"role": "user", "content": f"How long do refunds of order {i} take?"},
            {"role": "assistant", "content": "Refunds take working days. " * rng.choice((1, 6))},
        ]}
        for i in range(ROWS)
    ]  # fmt: skip
    write_jsonl(made / "sft.jsonl", rows)
    return made


def given(case: str, folder: Path) -> tuple[str, Path, Path]:
    """Task, model and data of a case."""
    task, _ = CASES[case]
    model = folder / ("llama" if task == "sft" else "bert")
    return task, model, folder / f"{task}.jsonl"


def settings(case: str, **changes: Any) -> dict[str, Any]:
    """What is set in the config of a case."""
    same = {"loop__max_steps": 7, "loop__eval_every": 4, "loop__save_every": 4,
            "model__dropout": 0.0, "run__name": case}  # fmt: skip
    return same | CASES[case][1] | changes


@pytest.fixture(scope="module")
def two(folder: Path) -> Callable[[str], Path]:
    """The run folder of a case, trained by two processes."""
    arguments = []
    for case in CASES:
        if case.startswith("fsdp") and "--fsdp" not in arguments:
            arguments.append("--fsdp")
        own = settings(case, loop__device_batch=AT_ONCE.get(case, 2))
        made = config_tree(*given(case, folder), folder / "two", **own)
        file = written(folder / f"{case}.yaml", made)
        arguments.append(f"{file}@{STOPPED[case]}" if case in STOPPED else str(file))
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
         "-m", "tests.train_many", *arguments],
        cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return lambda case: folder / "two" / case


@pytest.fixture(scope="module")
def one(folder: Path) -> Callable[..., Path]:
    """The run folder of a case, trained by this process."""

    def trained(case: str, **changes: Any) -> Path:
        own = settings(case, **changes)
        out = folder / f"one-{own.get('run__seed', 0)}"
        if not (out / case).is_dir():
            train(config(*given(case, folder), out, **own))
        return out / case

    return trained


def metrics(run: Path, name: str) -> list[float]:
    """The values of a metric, in order."""
    return [row[name] for row in read_rows(run / "metrics.jsonl") if name in row]


@pytest.mark.parametrize("case", ["lora", "full", "answers", "fsdp-lora", "fsdp-full",
                                  "fsdp-answers"])  # fmt: skip
def test_two_processes_have_the_curve_of_one(
    case: str, one: Callable[..., Path], two: Callable[[str], Path]
) -> None:
    alone, shared = one(case), two(case)
    assert len(metrics(alone, "loss")) == 7
    for name in ("loss", "eval_loss"):
        assert metrics(shared, name) == pytest.approx(metrics(alone, name), abs=1e-5)
    assert metrics(shared, "eval_accuracy") == metrics(alone, "eval_accuracy")
    dev = [read_json(run / "run.json")["dev"] for run in (alone, shared)]
    assert dev[1] == pytest.approx(dev[0], abs=1e-5)
    weights = [load_file(run / "adapter" / "adapter_model.safetensors") for run in (alone, shared)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert (tensor - weights[1][name]).abs().max() < 1e-5


def test_two_processes_share_the_batch(two: Callable[[str], Path]) -> None:
    assert read_json(two("full") / "run.json")["batch"] == {"processes": 2, "accumulated": 1}
    assert read_json(two("lora") / "run.json")["batch"] == {"processes": 2, "accumulated": 2}


def test_fsdp_is_what_spread_the_models(two: Callable[[str], Path]) -> None:
    checkpoint = max((two("fsdp-lora") / "checkpoints").iterdir())
    assert (checkpoint / "pytorch_model_fsdp.bin").is_file()
    assert not (checkpoint / "optimizer.pt").exists()


def test_in_bf16_two_processes_are_nearer_to_one_than_another_seed(
    one: Callable[..., Path], two: Callable[[str], Path]
) -> None:
    alone = metrics(one("bf16"), "loss")

    def apart(run: Path) -> float:
        return max(abs(x - y) for x, y in zip(alone, metrics(run, "loss"), strict=True))

    assert apart(two("bf16")) < apart(one("bf16", run__seed=4))


def test_two_processes_stopped_and_resumed_end_as_if_they_had_not_been(
    two: Callable[[str], Path],
) -> None:
    runs = [two(case) for case in ("dropout", "stopped")]
    for name in ("metrics.jsonl", "adapter/adapter_model.safetensors"):
        assert sha256_file(runs[0] / name) == sha256_file(runs[1] / name)
