"""PooledClassifier on the three shapes of body: pooling, padding, LoRA, and what is saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors import safe_open

from app.core.errors import InputError, Mismatch, NotFound
from app.core.files import sha256_file
from app.models import adapters, pooling
from app.models.batching import length_sorted, pad_right
from app.models.classifier import build, load_classifier
from app.models.lora import attach_lora, linear_layers
from app.models.references import resolve
from app.models.weights import Weights
from tests.helpers_models import tiny_bert, tiny_gpt2, tiny_llama

LABELS = ["negative", "positive"]
HUB_NAME = "acme/tiny"
TEXTS = [
    "the film is wonderful",
    "dull",
    "",
    "a waste of time and money, and of a good script " * 3,
]
SHAPES: dict[str, Callable[[Path], Path]] = {
    "bert": tiny_bert,
    "gpt2": tiny_gpt2,
    "llama": tiny_llama,
}


@pytest.fixture(scope="module", params=list(SHAPES))
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return base(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return base("bert", tmp_path_factory.mktemp("bert"))


def base(shape: str, folder: Path) -> Weights:
    """Weights as if they had come from the Hub, where a name is not a folder."""
    found = resolve(str(SHAPES[shape](folder)))
    return Weights(HUB_NAME, found.folder, "cache", found.file, found.sha256)


def card(weights: Weights) -> adapters.Card:
    return adapters.Card(
        kind="classifier", base=weights.record(), prompt_version="sentiment/1", labels=LABELS
    )


def trained(weights: Weights, folder: Path):
    """A model after three steps, saved to `folder`: (PeftModel, tokenizer)."""
    torch.manual_seed(0)
    model, tokenizer = build(weights, LABELS)
    tuned = attach_lora(model, rank=4, alpha=8)
    ids = [tokenizer(t)["input_ids"] for t in (TEXTS[0], TEXTS[3])]
    batch = pad_right(ids, tokenizer.pad_token_id)
    optimiser = torch.optim.SGD((p for p in tuned.parameters() if p.requires_grad), lr=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        tuned(**batch, labels=torch.tensor([1, 0])).loss.backward()
        optimiser.step()
    adapters.save(tuned, folder, card(weights))
    return tuned.eval(), tokenizer


def logits(model, tokenizer, texts: list[str]) -> np.ndarray:
    out = np.zeros((len(texts), len(LABELS)), dtype=np.float32)
    with torch.inference_mode():
        for rows, inputs in length_sorted(tokenizer, texts, 128, 1):
            out[rows] = model(**inputs).logits.numpy()
    return out


def test_mean_and_last_go_by_the_mask() -> None:
    states = torch.tensor([[[1.0], [3.0], [9.0]], [[9.0], [2.0], [4.0]], [[7.0], [8.0], [9.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0]])
    assert pooling.mean(states, mask).tolist() == [[2.0], [3.0], [0.0]]
    assert pooling.last(states, mask)[:2].tolist() == [[3.0], [4.0]]


def test_padding_changes_no_logit(weights: Weights, tmp_path: Path) -> None:
    """GPT-2's trap: its pad token is its end-of-text token; the last token is not the padding."""
    trained(weights, tmp_path)
    served = load_classifier(weights, tmp_path)
    together, alone = served.logits(TEXTS, 64), served.logits(TEXTS, 1)
    assert np.allclose(together, alone, atol=1e-5)
    assert np.ptp(together[:, 0]) > 1e-3  # the texts are told apart at all


def test_an_end_of_text_token_inside_a_text_is_read(tmp_path: Path) -> None:
    found = base("gpt2", tmp_path / "gpt2")
    trained(found, tmp_path / "adapter")
    served = load_classifier(found, tmp_path / "adapter")
    plain, ended = served.logits(["a good script", "a good script<|endoftext|>"])
    assert not np.allclose(plain, ended, atol=1e-4)


def test_a_saved_adapter_gives_the_same_logits_through_ours_and_through_peft(
    weights: Weights, tmp_path: Path
) -> None:
    tuned, tokenizer = trained(weights, tmp_path)
    expected = logits(tuned, tokenizer, TEXTS)
    served = load_classifier(weights, tmp_path)
    assert served.labels == LABELS
    assert np.allclose(served.logits(TEXTS), expected, atol=1e-5)
    plain, _ = build(weights, LABELS, dropout=0.0)
    through_peft = PeftModel.from_pretrained(plain, tmp_path).eval()
    assert np.allclose(logits(through_peft, tokenizer, TEXTS), expected, atol=1e-5)


def test_one_file_holds_lora_head_and_card_and_names_the_hub(
    weights: Weights, tmp_path: Path
) -> None:
    trained(weights, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == HUB_NAME
    assert str(weights.folder) not in (tmp_path / "adapter_config.json").read_text()
    with safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        names = list(file.keys())
    assert "base_model.model.head.weight" in names
    assert any(".body." in name and "lora_A" in name for name in names)
    saved = adapters.read_card(tmp_path)
    assert saved.config_sha256 == sha256_file(tmp_path / "adapter_config.json")
    assert saved.model_copy(update={"config_sha256": None}) == card(weights)


def test_all_linear_layers_of_the_body_are_targets(weights: Weights) -> None:
    model, _ = build(weights, LABELS)
    tuned = attach_lora(model, rank=2)
    named = dict(tuned.named_modules())
    reached = {name.split(".")[-1] for name, m in named.items() if hasattr(m, "lora_A")}
    assert reached == set(linear_layers(build(weights, LABELS)[0].body))
    trainable = {name for name, p in tuned.named_parameters() if p.requires_grad}
    assert all("lora_" in name or ".head." in name for name in trainable)


def test_an_unknown_target_is_refused_with_those_that_exist(bert: Weights) -> None:
    model, _ = build(bert, LABELS)
    with pytest.raises(InputError, match=r"Did you mean 'query'.* It has dense, key, query, value"):
        attach_lora(model, targets=["querry"])


def test_training_goes_on_from_an_adapter(bert: Weights, tmp_path: Path) -> None:
    tuned, tokenizer = trained(bert, tmp_path)
    model, _ = build(bert, LABELS, dropout=0.0)
    again = adapters.attach(model, tmp_path, trainable=True)
    assert any(p.requires_grad for p in again.parameters())
    assert np.allclose(
        logits(again.eval(), tokenizer, TEXTS), logits(tuned, tokenizer, TEXTS), atol=1e-5
    )


def test_going_on_with_other_labels_is_refused(bert: Weights, tmp_path: Path) -> None:
    trained(bert, tmp_path)
    model, _ = build(bert, ["a", "b", "c"])
    with pytest.raises(Mismatch, match=r"does not fit this base.*size mismatch for .*head"):
        adapters.attach(model, tmp_path, trainable=True)


def test_another_base_is_refused_and_may_be_allowed(bert: Weights, tmp_path: Path) -> None:
    trained(bert, tmp_path / "adapter")
    other = resolve(str(tiny_bert(tmp_path / "other", seed=5)))
    with pytest.raises(Mismatch, match=f"trained on {HUB_NAME} .*use the adapter's own base"):
        load_classifier(other, tmp_path / "adapter")
    served = load_classifier(other, tmp_path / "adapter", allow_base=True)
    assert served.logits(TEXTS).shape == (len(TEXTS), 2)


def test_an_adapter_trained_with_another_prompt_is_refused(bert: Weights) -> None:
    with pytest.raises(Mismatch, match="with prompt sentiment/1, this code renders sentiment/2"):
        adapters.check(card(bert), bert, "sentiment/2")


def test_a_chat_adapter_is_no_classifier(bert: Weights, tmp_path: Path) -> None:
    tuned, _ = trained(bert, tmp_path)
    adapters.save(tuned, tmp_path, card(bert).model_copy(update={"kind": "chat", "labels": None}))
    with pytest.raises(Mismatch, match="is for chat, expected a classifier's"):
        load_classifier(bert, tmp_path)


def test_the_same_weights_are_saved_as_the_same_bytes(bert: Weights, tmp_path: Path) -> None:
    model, _ = build(bert, LABELS)
    tuned = attach_lora(model)
    saved = {adapters.save(tuned, tmp_path / str(n), card(bert)) for n in range(5)}
    assert len(saved) == 1


def test_a_changed_adapter_config_is_refused(bert: Weights, tmp_path: Path) -> None:
    """lora_alpha scales the update: whoever edits it serves another system."""
    trained(bert, tmp_path)
    config = tmp_path / "adapter_config.json"
    config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 80'))
    with pytest.raises(Mismatch, match=r"adapter_config\.json is not the one that"):
        load_classifier(bert, tmp_path)


def test_a_damaged_adapter_is_named(bert: Weights, tmp_path: Path) -> None:
    trained(bert, tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(InputError, match=r"adapter_model\.safetensors is damaged"):
        load_classifier(bert, tmp_path)


def test_an_adapter_without_a_card_is_refused(bert: Weights, tmp_path: Path) -> None:
    tuned, _ = trained(bert, tmp_path)
    tuned.save_pretrained(tmp_path, save_embedding_layers=False)
    with pytest.raises(InputError, match="says neither its base nor its labels"):
        load_classifier(bert, tmp_path)


def test_a_missing_adapter_is_named(bert: Weights, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"expected adapter_config\.json, found nothing"):
        load_classifier(bert, tmp_path / "nowhere")


def test_no_texts_give_no_rows(bert: Weights, tmp_path: Path) -> None:
    trained(bert, tmp_path)
    assert load_classifier(bert, tmp_path).logits([]).shape == (0, 2)


def test_a_bf16_body_keeps_the_head_in_fp32_and_agrees(bert: Weights, tmp_path: Path) -> None:
    trained(bert, tmp_path)
    exact, rounded = load_classifier(bert, tmp_path), load_classifier(bert, tmp_path, "bfloat16")
    assert rounded.model.head.weight.dtype == torch.float32
    assert next(rounded.model.body.parameters()).dtype == torch.bfloat16
    assert np.allclose(exact.logits(TEXTS), rounded.logits(TEXTS), atol=0.1)


def test_lora_on_a_bf16_body_trains_in_fp32(bert: Weights) -> None:
    model, _ = build(bert, LABELS, dtype="bfloat16")
    tuned = attach_lora(model)
    kinds = {p.dtype for p in tuned.parameters() if p.requires_grad}
    assert kinds == {torch.float32}
