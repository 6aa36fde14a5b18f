"""Optimisers against their formulas, L1, clipping, schedules, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from app.core.config import parse
from app.core.errors import ConfigError
from app.core.files import read_json
from app.core.records import read_rows
from finetune import engine
from finetune.config import Optim
from finetune.optim import chosen, penalise
from tests.helpers_models import tiny_bert
from tests.helpers_train import OLD_NAMES, StopAfter, config, reviews, train

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)
LR, DECAY, GRADIENTS = 0.1, 0.2, (0.5, -0.3)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT."""
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are quicker, and the same each time, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# one weight, two steps, by hand


def sgd(w: float) -> float:
    """v = 0.9 v + (g + decay w); w = w - lr v."""
    v = 0.0
    for g in GRADIENTS:
        v = 0.9 * v + g + DECAY * w
        w -= LR * v
    return w


def adam(w: float) -> float:
    """m and v of g + decay w, corrected for their start at zero."""
    m = v = 0.0
    for step, gradient in enumerate(GRADIENTS, 1):
        g = gradient + DECAY * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= LR * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return w


def adamw(w: float) -> float:
    """As adam, but the weight shrinks by itself and the moments never see the decay."""
    m = v = 0.0
    for step, g in enumerate(GRADIENTS, 1):
        w *= 1 - LR * DECAY
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= LR * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return w


def adadelta(w: float) -> float:
    """Steps as large as the root mean square of the steps before, over that of the gradients."""
    squares = steps = 0.0
    for gradient in GRADIENTS:
        g = gradient + DECAY * w
        squares = 0.9 * squares + 0.1 * g * g
        step = math.sqrt(steps + 1e-6) / math.sqrt(squares + 1e-6) * g
        steps = 0.9 * steps + 0.1 * step * step
        w -= LR * step
    return w


@pytest.mark.parametrize("by_hand", [sgd, adam, adamw, adadelta], ids=lambda f: f.__name__)
def test_two_steps_are_those_of_the_formula(by_hand: Callable[[float], float]) -> None:
    optim = parse(Optim, {"name": by_hand.__name__, "lr": LR}, "test")
    weight = torch.nn.Parameter(torch.tensor([1.5]))
    kind, own = chosen(optim)
    optimiser = kind([{"params": [weight], "weight_decay": DECAY}], **own)
    for gradient in GRADIENTS:
        weight.grad = torch.tensor([gradient])
        optimiser.step()
    assert weight.item() == pytest.approx(by_hand(1.5), abs=1e-6)


def test_momentum_is_that_of_the_config() -> None:
    optim = parse(Optim, {"name": "sgd", "lr": LR, "momentum": 0.0}, "test")
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    kind, own = chosen(optim)
    optimiser = kind([weight], **own)
    for _ in range(2):
        weight.grad = torch.tensor([1.0])
        optimiser.step()
    assert weight.item() == pytest.approx(1.0 - 2 * LR)


# in the Trainer


def spied(monkeypatch: pytest.MonkeyPatch, *args: Any, **changes: Any) -> Any:
    """The trainer of a run, after it."""
    seen: list[Any] = []
    described = engine._describe
    monkeypatch.setattr(
        engine, "_describe", lambda job, *rest: (seen.append(job.trainer), described(job, *rest))
    )
    train(config("classification", *args, **changes))
    return seen[0]


def test_weight_decay_skips_biases_and_norms(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = spied(
        monkeypatch, bert, reviews(tmp_path / "r.jsonl"), tmp_path, adapter__method="none",
        optim__weight_decay=0.3, optim__name="sgd",
    )  # fmt: skip
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    decayed, spared = trainer.optimizer.optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    spared_names = {names[id(p)] for p in spared["params"]}
    all_names = set(names.values())
    assert spared_names == {n for n in all_names if n.endswith("bias") or "LayerNorm" in n}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD"), ("adadelta", "Adadelta")],
)
def test_the_run_steps_with_the_optimiser_of_the_config(
    name: str, kind: str, tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = spied(
        monkeypatch, bert, reviews(tmp_path / "r.jsonl"), tmp_path, optim__name=name,
        loop__max_steps=1, data__dev=[],
    )  # fmt: skip
    optimiser = trainer.optimizer.optimizer
    assert type(optimiser).__name__ == kind
    trained = {id(p) for p in trainer.model.parameters() if p.requires_grad}
    assert {id(p) for p in optimiser.state} == trained


def test_the_gradient_is_clipped_to_the_norm_of_the_config(tmp_path: Path, bert: Path) -> None:
    path = reviews(tmp_path / "r.jsonl")

    def weights(rate: float) -> torch.Tensor:
        run = train(config(
            "classification", bert, path, tmp_path / str(rate), optim__lr=rate, optim__name="sgd",
            optim__clip_norm=1e-2, optim__warmup_ratio=0.0, loop__max_steps=1,
            optim__schedule="constant", data__dev=[],
        ))  # fmt: skip
        tensors = load_file(run / "adapter" / "adapter_model.safetensors")
        return torch.cat([tensors[name].flatten() for name in sorted(tensors)])

    moved = weights(1.0) - weights(1e-12)
    assert moved.norm().item() == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        ("linear", lambda step: min(step / 2, (10 - step) / 8)),
        ("cosine", lambda step: step / 2 if step < 2 else 0.5 + 0.5 * math.cos(
            math.pi * (step - 2) / 8)),
        ("constant", lambda step: min(step / 2, 1.0)),
    ],
)  # fmt: skip
def test_the_rate_follows_the_schedule_after_a_warm_up_of_two_steps(
    schedule: str, rate: Callable[[int], float], tmp_path: Path, bert: Path
) -> None:
    run = train(config(
        "classification", bert, reviews(tmp_path / "r.jsonl"), tmp_path, loop__max_steps=10,
        optim__lr=1e-2, optim__schedule=schedule, optim__warmup_ratio=0.2, data__dev=[],
    ))  # fmt: skip
    rates = [row["learning_rate"] for row in read_rows(run / "metrics.jsonl") if "loss" in row]
    assert rates == pytest.approx([1e-2 * rate(step) for step in range(10)])


# L1


class Once:
    """An accelerator that steps after each backward pass, or after none."""

    def __init__(self, sync: bool) -> None:
        self.sync_gradients = sync


def test_l1_adds_the_gradient_of_the_mean_absolute_weight_of_the_adapter_alone() -> None:
    model = torch.nn.Module()
    model.lora_A = torch.nn.Parameter(torch.tensor([2.0, -1.0, 0.0]))
    model.head = torch.nn.Parameter(torch.tensor([1.0]))
    penalise(model, 0.3, Once(sync=True))
    (model.lora_A.sum() + model.head.sum()).backward()
    torch.testing.assert_close(model.lora_A.grad, torch.tensor([1.1, 0.9, 1.0]))
    assert model.head.grad.item() == 1.0


def test_l1_is_added_once_a_step_however_many_batches_make_it_up() -> None:
    model = torch.nn.Module()
    model.lora_A = torch.nn.Parameter(torch.tensor([2.0]))
    accelerator = Once(sync=False)
    penalise(model, 0.5, accelerator)
    (0.5 * model.lora_A.sum()).backward()
    accelerator.sync_gradients = True
    (0.5 * model.lora_A.sum()).backward()
    assert model.lora_A.grad.item() == 1.5


def test_l1_makes_the_adapter_sparser(tmp_path: Path, bert: Path) -> None:
    path = reviews(tmp_path / "r.jsonl")

    def small(weight: float) -> float:
        run = train(config(
            "classification", bert, path, tmp_path / str(weight), optim__l1=weight,
            loop__max_steps=30, loop__eval_every=30, loop__save_every=30,
        ))  # fmt: skip
        tensors = load_file(run / "adapter" / "adapter_model.safetensors")
        lora = torch.cat([t.flatten() for name, t in tensors.items() if "lora_" in name])
        return (lora.abs() < 1e-2).float().mean().item()

    assert small(50.0) > 1.5 * small(0.0)


# early stopping


def stopping(bert: Path, path: Path, out: Path, **changes: Any) -> Any:
    """A run on whose dev nothing gets better after the first look, patient for two looks more."""
    return config(
        "classification", bert, path, out, optim__lr=1e-12, loop__max_steps=30,
        loop__early_stopping=2, **changes,
    )  # fmt: skip


def test_a_run_ends_when_dev_brings_nothing_better(tmp_path: Path, bert: Path) -> None:
    run = train(stopping(bert, reviews(tmp_path / "r.jsonl"), tmp_path))
    record = read_json(run / "run.json")
    assert (record["steps"], record["best_step"], record["finished"]) == (6, 2, True)


def test_patience_goes_on_where_a_stopped_run_had_counted_to(tmp_path: Path, bert: Path) -> None:
    made = stopping(bert, reviews(tmp_path / "r.jsonl"), tmp_path)
    with pytest.raises(SystemExit):
        train(made, stop=StopAfter(5))
    run = train(made, resume=True)
    assert read_json(run / "run.json")["steps"] == 6


def test_a_run_killed_after_its_patience_gives_the_same_adapter(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reviews(tmp_path / "r.jsonl")
    whole = train(stopping(bert, path, tmp_path / "whole"))
    killed = stopping(bert, path, tmp_path / "killed")
    with monkeypatch.context() as broken:
        broken.setattr(engine, "_finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(killed)
    run = train(killed, resume=True)
    sums = [read_json(r / "run.json")["adapter_sha256"] for r in (whole, run)]
    assert sums[0] == sums[1]
    losses = [[row["loss"] for row in read_rows(r / "metrics.jsonl") if "loss" in row]
              for r in (whole, run)]  # fmt: skip
    assert losses[0] == losses[1]


def test_early_stopping_without_dev_data_is_refused(tmp_path: Path, bert: Path) -> None:
    with pytest.raises(ConfigError, match="early_stopping looks at dev data"):
        stopping(bert, tmp_path / "r.jsonl", tmp_path, data__dev=[])
