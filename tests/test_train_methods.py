"""LoRA, head, all weights, 4 bits: what is trained, what is saved, and that it is served alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.core.errors import AppError, ConfigError, Mismatch
from app.core.files import read_json, sha256_file, write_json
from app.core.textprep import prepare
from app.models import adapters, classifier
from app.models.loading import causal_model
from app.models.references import resolve
from app.models.weights import Weights
from finetune import engine, methods
from finetune.calibrate import log_loss
from tests.helpers_models import tiny_bert, tiny_gpt2, tiny_llama
from tests.helpers_train import OLD_NAMES, StopAfter, config, conversations, reviews, train

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)
LABELS = ["negative", "positive"]
INITS = ["gaussian", "orthogonal", "pissa", "olora"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny random models of the shapes of BERT, GPT-2 and SmolLM2."""
    folder = tmp_path_factory.mktemp("models")
    makers = {"bert": tiny_bert, "gpt2": tiny_gpt2, "llama": tiny_llama}
    return {name: make(folder / name) for name, make in makers.items()}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are quicker, and the same each time, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A classification file."""
    return reviews(tmp_path / "rows.jsonl")


def card(weights: Weights, **changes: Any) -> adapters.Card:
    return adapters.Card.model_validate({
        "kind": "classifier", "base": weights.record(), "prompt_version": "sentiment/1",
        "labels": LABELS, **changes,
    })  # fmt: skip


def stepped(model: Any, inputs: dict[str, Any], steps: int = 4) -> Any:
    """`model` after some steps on its trainable weights."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        model(**inputs).loss.backward()
        optimiser.step()
    return model.eval()


def classified(shape: Path, tmp_path: Path, **changes: Any) -> tuple[Any, Any, Weights]:
    """(model, inputs, weights): a classifier after some steps by a method."""
    torch.manual_seed(0)
    weights = resolve(str(shape))
    made = config("classification", shape, tmp_path / "rows.jsonl", tmp_path, **changes)
    model, loaded = classifier.build(weights, LABELS, dropout=0.0)
    inputs = dict(loaded(["great film", "dull indeed"], padding=True, return_tensors="pt",
                         return_token_type_ids=False))  # fmt: skip
    tuned = methods.adapted(made, model)
    return stepped(tuned, {**inputs, "labels": torch.tensor([1, 0])}), inputs, weights


# what is trained


@pytest.mark.parametrize("shape", ["bert", "gpt2", "llama"])
def test_each_method_trains_what_it_says(shape: str, models: dict[str, Path], rows: Path) -> None:
    def trained(method: str) -> set[str]:
        made = config("classification", models[shape], rows, rows.parent, adapter__method=method)
        model, _ = classifier.build(resolve(str(models[shape])), LABELS)
        tuned = methods.adapted(made, model)
        return {name for name, p in tuned.named_parameters() if p.requires_grad}

    assert trained("head") == {"head.weight", "head.bias"}
    assert all("lora_" in name or ".head." in name for name in trained("lora"))
    model, _ = classifier.build(resolve(str(models[shape])), LABELS)
    assert trained("none") == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_a_chat_model_gets_the_adapter_everywhere_but_in_its_output_layer(
    shape: str, models: dict[str, Path], rows: Path
) -> None:
    made = config("sft", models[shape], rows, rows.parent)
    tuned = methods.adapted(made, causal_model(models[shape], "float32"))
    reached = {n.rpartition(".")[2] for n, m in tuned.named_modules() if hasattr(m, "lora_A")}
    known = {
        "gpt2": {"c_attn", "c_proj", "c_fc"},
        "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
    }
    assert reached == known[shape]


def test_rslora_scales_by_the_root_of_the_rank(models: dict[str, Path], rows: Path) -> None:
    scales = {}
    for rslora in (False, True):
        made = config("sft", models["llama"], rows, rows.parent, adapter__rslora=rslora)
        tuned = methods.adapted(made, causal_model(models["llama"], "float32"))
        scales[rslora] = next(m.scaling["default"] for m in tuned.modules() if hasattr(m, "lora_A"))
    assert scales == {False: 8 / 4, True: 8 / 4**0.5}


@pytest.mark.parametrize("shape", ["bert", "gpt2", "llama"])
def test_dropout_of_the_model_reaches_every_layer_that_drops(
    shape: str, models: dict[str, Path], rows: Path
) -> None:
    made = config("classification", models[shape], rows, rows.parent, model__dropout=0.4)
    model, _ = classifier.build(resolve(str(models[shape])), LABELS)
    methods.adapted(made, model)
    body = [m for m in model.body.modules() if not hasattr(m, "lora_A")]
    dropped = [m.p for m in body if isinstance(m, torch.nn.Dropout)]
    dropped += [m.attention_dropout for m in body if hasattr(m, "attention_dropout")]
    assert set(dropped) == {0.4}
    assert model.dropout.p == classifier.DROPOUT  # on what the head reads: not the base's own


# what is saved is served alike


@pytest.mark.parametrize("shape", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("method", ["lora", "head", "none"])
def test_a_run_of_each_method_is_served_as_it_was_measured(
    shape: str, method: str, tmp_path: Path, models: dict[str, Path], rows: Path
) -> None:
    run = train(config(
        "classification", models[shape], rows, tmp_path, adapter__method=method,
        optim__lr=1e-2 if method == "head" else 2e-3,
    ))  # fmt: skip
    files = {p.name for p in (run / "adapter").iterdir()}
    assert files == {"adapter_model.safetensors", "adapter_config.json", "README.md"}
    assert adapters.method(run / "adapter") == method
    said = {"lora": "LoRA adapter", "head": "Head alone", "none": "All weights, fine-tuned,"}
    assert f"{said[method]} (classifier) for" in (run / "adapter" / "README.md").read_text()
    loaded = classifier.load_classifier(resolve(str(models[shape])), run / "adapter")
    from app.core import data

    read = data.classification(f"file:{rows}")
    logits = loaded.logits([prepare(row.text) for row in read])
    gold = torch.tensor([loaded.labels.index(row.label) for row in read]).numpy()
    record = read_json(run / "run.json")
    assert log_loss(logits, gold) == pytest.approx(record["dev"]["log_loss"], abs=1e-5)
    assert record["adapter_sha256"] == sha256_file(run / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("shape", ["bert", "gpt2", "llama"])
def test_each_init_is_plain_lora_on_the_untouched_base_once_saved(
    shape: str, init: str, rslora: bool, tmp_path: Path, models: dict[str, Path]
) -> None:
    if (shape, init) == ("gpt2", "olora"):
        with pytest.raises(ConfigError, match=r"olora cannot take h.0.attn.c_attn"):
            classified(models[shape], tmp_path, adapter__init=init)
        return
    tuned, inputs, weights = classified(
        models[shape], tmp_path, adapter__init=init, adapter__rslora=rslora
    )
    wanted = tuned(**inputs).logits
    adapters.save(tuned, tmp_path / "adapter", card(weights))
    saved = read_json(tmp_path / "adapter" / "adapter_config.json")
    assert saved["r"] == (8 if init in ("pissa", "olora") else 4)
    assert saved["init_lora_weights"] in (True, init)
    served = classifier.load_classifier(weights, tmp_path / "adapter")
    torch.testing.assert_close(served.model(**inputs).logits, wanted, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_the_base_is_changed_so_that_the_model_begins_where_it_was(
    init: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    made = config("sft", models["llama"], tmp_path / "c.jsonl", tmp_path, adapter__init=init)
    ids = torch.arange(3, 40)[None]
    plain = causal_model(models["llama"], "float32")
    before = plain(ids).logits
    tuned = methods.adapted(made, plain).eval()
    torch.testing.assert_close(tuned(ids).logits, before, atol=1e-4, rtol=1e-3)
    with tuned.disable_adapter():
        assert (tuned(ids).logits - before).abs().max() > 0.1


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_a_changed_base_is_changed_alike_when_a_run_is_resumed(
    init: str, tmp_path: Path, models: dict[str, Path], rows: Path
) -> None:
    def made(out: str) -> Any:
        return config("classification", models["bert"], rows, tmp_path / out, adapter__init=init)

    whole = train(made("whole"))
    with pytest.raises(SystemExit):
        train(made("cut"), stop=StopAfter(3))
    cut = train(made("cut"), resume=True)
    assert (whole / "metrics.jsonl").read_text() == (cut / "metrics.jsonl").read_text()
    sums = [read_json(run / "run.json")["adapter_sha256"] for run in (whole, cut)]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("method", ["head", "none"])
def test_a_run_without_an_adapter_resumes_bit_for_bit(
    method: str, tmp_path: Path, models: dict[str, Path], rows: Path
) -> None:
    def made(out: str) -> Any:
        return config(
            "classification", models["bert"], rows, tmp_path / out, adapter__method=method
        )

    whole = train(made("whole"))
    with pytest.raises(SystemExit):
        train(made("cut"), stop=StopAfter(3))
    cut = train(made("cut"), resume=True)
    sums = [read_json(run / "run.json")["adapter_sha256"] for run in (whole, cut)]
    assert sums[0] == sums[1]


def test_all_weights_of_a_chat_model_are_saved_once_where_two_names_share_them(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    weights = resolve(str(models["llama"]))
    made = config("sft", models["llama"], tmp_path / "c.jsonl", tmp_path, adapter__method="none")
    tuned = methods.adapted(made, causal_model(models["llama"], "float32"))
    ids = torch.arange(3, 40)[None]
    wanted = stepped(tuned, {"input_ids": ids, "labels": ids})(ids).logits
    adapters.save(tuned, tmp_path, card(weights, kind="chat", labels=None))
    assert "lm_head.weight" not in load_file(tmp_path / "adapter_model.safetensors")
    served = adapters.merged(causal_model(models["llama"], "float32"), tmp_path)
    assert torch.equal(served(ids).logits, wanted)


def test_a_chat_run_of_all_weights_goes_on_from_itself(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    path = conversations(tmp_path / "c.jsonl")
    first = train(config("sft", models["llama"], path, tmp_path, adapter__method="none"))
    (tmp_path / "second").mkdir()
    second = train(config(
        "sft", models["llama"], path, tmp_path / "second", adapter__method="none",
        adapter__init_from=str(first), optim__lr=1e-12,
    ))  # fmt: skip
    tensors = [load_file(run / "adapter" / "adapter_model.safetensors") for run in (first, second)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.allclose(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_all_weights_are_trained_in_float32(
    tmp_path: Path, models: dict[str, Path], rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.trainer.choose", lambda *_: "bfloat16")
    run = train(config(
        "classification", models["bert"], rows, tmp_path, adapter__method="none",
        model__dtype="auto",
    ))  # fmt: skip
    tensors = load_file(run / "adapter" / "adapter_model.safetensors")
    assert {t.dtype for t in tensors.values()} == {torch.float32}


# refused with a sentence


@pytest.mark.parametrize(
    ("task", "changes", "sentence"),
    [
        ("sft", {"adapter__method": "head"}, "task sft has none: take lora, or none"),
        ("preference", {"adapter__method": "none"}, "take lora"),
        ("preference", {"adapter__dropout": 0.1}, "which dropout would set apart"),
        ("preference", {"adapter__init": "pissa"}, "with which task preference compares"),
        (
            "classification",
            {"adapter__method": "none", "model__dtype": "bfloat16"},
            "bfloat16 is too coarse",
        ),
        ("classification", {"adapter__method": "head", "optim__l1": 0.1}, "optim.l1 weighs"),
        (
            "classification",
            {"adapter__init": "olora", "adapter__init_from": "runs/x"},
            "leave out one of the two",
        ),
    ],
)
def test_what_cannot_be_trained_so_is_refused_before_the_data_is_read(
    task: str, changes: dict[str, Any], sentence: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    made = config(task, models["llama"], tmp_path / "missing.jsonl", tmp_path, **changes)
    with pytest.raises(ConfigError, match=sentence):
        train(made)


def test_four_bits_are_refused_without_a_gpu_before_the_data_is_read(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = config("sft", models["llama"], tmp_path / "missing.jsonl", tmp_path,
                  adapter__method="qlora")  # fmt: skip
    monkeypatch.setattr(methods, "device", lambda: "cpu")
    with pytest.raises(ConfigError, match="needs a CUDA GPU, this machine has cpu: take lora"):
        train(made)
    monkeypatch.setattr(methods, "device", lambda: "cuda")
    monkeypatch.setattr(methods.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install bitsandbytes"):
        engine.train(made, resume=False, stop=StopAfter(1))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"adapter__targets": ["querry"]}, "no linear layer 'querry'.*Did you mean 'query'"),
        ({"adapter__targets": []}, "no layer is named.*It has dense, key, query, value"),
        ({"adapter__init": "orthogonal", "adapter__rank": 3}, "make adapter.rank even, it is 3"),
        ({"adapter__init": "pissa", "adapter__rank": 40}, "only 32 wide: lower adapter.rank 40"),
    ],
)
def test_targets_and_inits_that_the_model_cannot_take(
    changes: dict[str, Any], sentence: str, tmp_path: Path, models: dict[str, Path], rows: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        train(config("classification", models["bert"], rows, tmp_path, **changes))


def test_a_rank_of_zero_is_refused(tmp_path: Path, models: dict[str, Path], rows: Path) -> None:
    with pytest.raises(ConfigError, match=r"adapter.rank: .*greater than or equal to 1, found 0"):
        config("classification", models["bert"], rows, tmp_path, adapter__rank=0)


def test_going_on_needs_the_same_method_rank_and_scale(
    tmp_path: Path, models: dict[str, Path], rows: Path
) -> None:
    first = train(config("classification", models["bert"], rows, tmp_path / "first"))
    for change, sentence in (
        ({"adapter__method": "head"}, "was trained with lora: set adapter.method=lora"),
        ({"adapter__rank": 2}, "set adapter.rank=4"),
        ({"adapter__alpha": 2}, "set adapter.alpha=8"),
        ({"adapter__rslora": True}, "set adapter.rslora=false"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            train(config("classification", models["bert"], rows, tmp_path / "second",
                         adapter__init_from=str(first), **change))  # fmt: skip


def test_an_adapter_of_another_architecture_is_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    for shape, method in (("llama", "lora"), ("gpt2", "none")):
        tuned, _, weights = classified(models[shape], tmp_path, adapter__method=method)
        adapters.save(tuned, tmp_path / shape, card(weights))
        model, _ = classifier.build(resolve(str(models["bert"])), LABELS)
        with pytest.raises(Mismatch, match="does not fit this base; it was made for"):
            adapters.attach(model, tmp_path / shape)


def edited(folder: Path, change: Any) -> None:
    """Write the tensors of the adapter in `folder` anew, after `change`, without a card."""
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("method", ["lora", "head", "none"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop(max(t)), "it lacks 1 of the weights, such as "),
        (lambda t: t.update(more=torch.ones(1)), "the model lacks 1 of the weights, such as more"),
        (lambda t: t.update({max(t): torch.ones(1, 1, 1)}), "size mismatch"),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_a_file_that_does_not_fit_the_model_is_refused(
    method: str, change: Any, sentence: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    tuned, _, weights = classified(models["bert"], tmp_path, adapter__method=method)
    adapters.save(tuned, tmp_path / "adapter", card(weights))
    edited(tmp_path / "adapter", change)
    model, _ = classifier.build(weights, LABELS)
    with pytest.raises(AppError, match=f"does not fit this base.*{sentence}"):
        adapters.attach(model, tmp_path / "adapter")


def test_an_unknown_method_in_the_config_of_an_adapter_is_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    tuned, _, weights = classified(models["bert"], tmp_path, adapter__method="head")
    adapters.save(tuned, tmp_path / "adapter", card(weights))
    edited(tmp_path / "adapter", lambda _: None)
    write_json(tmp_path / "adapter" / "adapter_config.json", {"method": "tail"})
    model, _ = classifier.build(weights, LABELS)
    with pytest.raises(AppError, match="expected a method of lora, head, none, found 'tail'"):
        adapters.attach(model, tmp_path / "adapter")
