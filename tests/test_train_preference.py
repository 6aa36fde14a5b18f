"""Preferences: what their rows must be, DPO and KTO on tiny models, and what is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from app.core import data, fingerprints
from app.core.config import parse
from app.core.errors import AppError, ConfigError, InputError
from app.core.files import ROOT, read_json, write_jsonl
from app.core.preferences import Judged, Preferred
from app.models import adapters
from app.models.loading import causal_model, tokenizer
from finetune.config import TrainConfig
from finetune.tasks.preference import as_rows
from finetune.trainer import Blocks
from tests.helpers_models import CHATML, tiny_gpt2, tiny_llama
from tests.helpers_train import OLD_NAMES, StopAfter, config_tree, train

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny random chat models of the shapes of GPT-2 and SmolLM2."""
    folder = tmp_path_factory.mktemp("models")
    gpt2 = tiny_gpt2(folder / "gpt2")
    chatty = tokenizer(gpt2)
    chatty.chat_template = CHATML.replace("<|im_end|>", chatty.eos_token)
    chatty.save_pretrained(gpt2)
    return {"gpt2": gpt2, "llama": tiny_llama(folder / "llama")}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are quicker, and the same each time, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pairs(path: Path, n: int = 12) -> Path:
    """Pairs of a short answer from the passage and one that is not in it."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"How long do refunds of order {i} take?"}],
            "passages": [{"id": "a#0", "text": f"Refunds take {i + 2} working days."}],
            "chosen": f"{i + 2} working days.",
            "rejected": [{"role": "assistant", "content": "Who knows, perhaps a great while."}],
        }
        for i in range(n)
    ]
    write_jsonl(path, rows)
    return path


def judged(path: Path, n: int = 12) -> Path:
    """Single answers, every other one disliked."""
    rows = [
        {"prompt": [{"role": "user", "content": f"How long is {i}?"}],
         "completion": ("As long as it takes.", "Who knows.")[i % 2], "label": i % 2 == 0}
        for i in range(n)
    ]  # fmt: skip
    write_jsonl(path, rows)
    return path


def preferring(
    model: Path, path: Path, out: Path, loss: str = "dpo", **changes: Any
) -> TrainConfig:
    """A whole config of task preference."""
    tree = config_tree("preference", model, path, out, **changes)
    return parse(TrainConfig, tree | {"preference": {"loss": loss, "beta": 0.2}}, "test")


# rows


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": [{"role": "user", "content": "q"}], "chosen": "a"}, "found prompt, chosen"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "expected messages .* found 'q'"),
        (
            {"prompt": [{"role": "assistant", "content": "q"}], "chosen": "a", "rejected": "b"},
            "ends with the user's turn, it ends with assistant's",
        ),
        (
            {"prompt": [{"role": "user", "content": "q"}], "chosen": "a", "rejected": "a"},
            "the same answer",
        ),
        (
            {"prompt": [{"role": "user", "content": "q"}], "chosen": " ", "rejected": "a"},
            "expected text in 'chosen'",
        ),
        (
            {"prompt": [{"role": "user", "content": "q"}], "completion": "a", "label": "good"},
            "expected true or false in 'label', found 'good'",
        ),
        (
            {"prompt": [{"role": "user", "content": "q"}], "label": True,
             "completion": [{"role": "user", "content": "a"}]},
            "one message of the assistant in 'completion'",
        ),
    ],
)  # fmt: skip
def test_a_row_that_is_no_preference_is_named_with_its_line(
    row: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "p.jsonl", [row])
    with pytest.raises(InputError, match=rf"p\.jsonl:1: .*{sentence}"):
        data.preferred(f"file:{tmp_path / 'p.jsonl'}")


def test_a_split_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    path = pairs(tmp_path / "p.jsonl", 1)
    with pytest.raises(InputError, match=r"p\.jsonl: #test needs a column `split`"):
        data.preferred(f"file:{path}#test")


def test_both_sorts_of_rows_are_read(tmp_path: Path) -> None:
    (pair, *_) = data.preferred(f"file:{pairs(tmp_path / 'p.jsonl', 1)}")
    assert isinstance(pair, Preferred)
    assert (pair.chosen, pair.rejected) == ("2 working days.", "Who knows, perhaps a great while.")
    assert pair.prompt.passages[0].text == "Refunds take 2 working days."
    (liked, disliked) = data.preferred(f"file:{judged(tmp_path / 'j.jsonl', 2)}")
    assert isinstance(liked, Judged)
    assert [liked.label, disliked.label] == [True, False]  # type: ignore[union-attr]


def test_the_demo_pairs_are_synthetic_and_not_of_the_topics_of_the_test_questions() -> None:
    train_rows, dev_rows = (
        data.preferred(f"demo:synthetic-preferences#{split}") for split in ("train", "dev")
    )
    assert (len(train_rows), len(dev_rows)) == (32, 8)
    questions = data.corpus("demo:support").queries
    shown = {p.id.split("#")[0] for row in train_rows for p in row.prompt.passages}
    for split in ("dev", "test"):
        assert not shown & {gold for q in questions if q.split == split for gold in q.gold}
    assert "synthetic" in str(data.path_of(data.parse_ref("demo:synthetic-preferences")))


def test_passages_are_rendered_as_the_product_renders_them(tmp_path: Path) -> None:
    from app.core.prompt import support_messages

    made = preferring(tmp_path, pairs(tmp_path / "p.jsonl", 1), tmp_path)
    (row,) = data.preferred(made.data.train[0])
    (features,) = as_rows(row, made, "support/1")
    asked = support_messages(row.prompt.messages[0].content, row.prompt.passages)
    assert features["prompt"] == [message.model_dump() for message in asked]
    assert features["chosen"] == [{"role": "assistant", "content": "2 working days."}]
    assert features["chat_template_kwargs"] == {"sanitize_control_tokens": True}


def test_kto_takes_a_pair_as_two_answers_and_dpo_refuses_single_ones(tmp_path: Path) -> None:
    made = preferring(tmp_path, pairs(tmp_path / "p.jsonl", 1), tmp_path, "kto")
    two = as_rows(data.preferred(made.data.train[0])[0], made, "support/1")
    assert [row["label"] for row in two] == [True, False]
    single = preferring(tmp_path, judged(tmp_path / "j.jsonl", 1), tmp_path)
    with pytest.raises(InputError, match=r"learns from pairs.*set preference.loss=kto"):
        as_rows(data.preferred(single.data.train[0])[0], single, "support/1")


def test_blocks_stay_together_and_change_places_with_the_epoch() -> None:
    blocks = Blocks(11, 3, seed=1)
    orders = []
    for epoch in range(4):
        blocks.set_epoch(epoch)
        orders.append(list(blocks))
    assert all(sorted(order) == list(range(11)) for order in orders)
    assert {tuple(order[i : i + 3]) for order in orders for i in (0, 3, 6)} == {
        (0, 1, 2), (3, 4, 5), (6, 7, 8)
    }  # fmt: skip
    assert len({tuple(order) for order in orders}) > 1


# runs


@pytest.mark.parametrize("loss", ["dpo", "kto"])
@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_a_run_learns_to_prefer_and_leaves_what_every_run_leaves(
    shape: str, loss: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    path = pairs(tmp_path / "p.jsonl")
    run = train(preferring(
        models[shape], path, tmp_path, loss, loop__max_steps=24, optim__lr=1e-2,
        loop__eval_every=12, loop__save_every=12, data__max_tokens=400,
    ))  # fmt: skip
    record = read_json(run / "run.json")
    dev = record["dev"]
    assert dev["reward_margin"] > 0.2
    assert dev["reward_accuracy" if loss == "dpo" else "reward_auroc"] > 0.9
    assert dev["n"] == (12 if loss == "dpo" else 24)
    assert adapters.read_card(run / "adapter").kind == "chat"
    known = fingerprints.read(run / "fingerprints.bin")
    for text in ("How long do refunds of order 3 take?", "5 working days.",
                 "Who knows, perhaps a great while."):  # fmt: skip
        assert fingerprints.overlaps(text, known)


@pytest.mark.parametrize("loss", ["dpo", "kto"])
def test_a_run_that_learns_nothing_has_the_loss_of_indifference(
    loss: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    path = pairs(tmp_path / "p.jsonl")
    made = preferring(models["llama"], path, tmp_path, loss, optim__lr=1e-15, loop__max_steps=2)
    dev = read_json(train(made) / "run.json")["dev"]
    assert dev["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert dev["log_loss" if loss == "dpo" else "loss"] == pytest.approx(
        math.log(2) if loss == "dpo" else 0.5, abs=1e-5
    )


def log_probability(model: Any, loaded: Any, features: dict[str, Any], answer: Any) -> float:
    """Of an answer, from the model's plain logits."""
    kwargs = features["chat_template_kwargs"] | {"return_dict": True}
    prompt = loaded.apply_chat_template(features["prompt"], add_generation_prompt=True, **kwargs)
    whole = loaded.apply_chat_template(features["prompt"] + answer, **kwargs)["input_ids"]
    start = len(prompt["input_ids"])
    assert whole[:start] == prompt["input_ids"]
    with torch.no_grad():
        said = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(said[i - 1, whole[i]].item() for i in range(start, len(whole)))


def test_the_measured_rewards_are_those_of_the_saved_adapter_over_the_base(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    path = pairs(tmp_path / "p.jsonl", 6)
    made = preferring(models["llama"], path, tmp_path, optim__lr=1e-2)
    run = train(made)
    base = causal_model(models["llama"], "float32").eval()
    loaded = tokenizer(models["llama"])
    rows = [as_rows(row, made, "support/1")[0] for row in data.preferred(made.data.dev[0])]

    def of(model: Any) -> torch.Tensor:
        return torch.tensor([
            log_probability(model, loaded, row, row["chosen"])
            - log_probability(model, loaded, row, row["rejected"]) for row in rows
        ])  # fmt: skip

    before = of(base)
    served = adapters.merged(causal_model(models["llama"], "float32"), run / "adapter").eval()
    gain = 0.2 * (of(served) - before)
    dev = read_json(run / "run.json")["dev"]
    assert dev["reward_margin"] == pytest.approx(gain.mean().item(), abs=1e-4)
    assert dev["reward_accuracy"] == (gain > 0).float().mean().item()
    assert dev["log_loss"] == pytest.approx(-gain.sigmoid().log().mean().item(), abs=1e-4)


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_the_cheap_head_says_what_trls_says(shape: str, models: dict[str, Path]) -> None:
    from trl.trainer.utils import add_fused_lm_head

    from finetune.scored import score_answers

    model = causal_model(models[shape], "float32")
    ids = torch.randint(3, 300, (3, 20), generator=torch.manual_seed(0))
    labels = ids.masked_fill(torch.arange(20) < torch.tensor([[12], [15], [3]]), -100)
    names = ("log_probs", "entropy", "mean_logits", "is_top1")
    found = []
    for prepare in (lambda m: add_fused_lm_head(m, outputs=names), score_answers):
        prepare(model)
        model.zero_grad()
        out = model(input_ids=ids, labels=labels, use_cache=False, fused_lm_head=True)
        out.log_probs.sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found.append(([getattr(out, name) for name in names], gradients))
    torch.testing.assert_close(found[0], found[1], atol=2e-4, rtol=1e-4)
    assert model(input_ids=ids, labels=ids).loss.isfinite()  # other calls stay as they are


@pytest.mark.parametrize("loss", ["dpo", "kto"])
def test_a_stopped_run_resumes_to_the_same_adapter(
    loss: str, tmp_path: Path, models: dict[str, Path]
) -> None:
    path = pairs(tmp_path / "p.jsonl")
    whole = train(preferring(models["llama"], path, tmp_path / "whole", loss))
    with pytest.raises(SystemExit):
        train(preferring(models["llama"], path, tmp_path / "cut", loss), stop=StopAfter(3))
    cut = train(preferring(models["llama"], path, tmp_path / "cut", loss), resume=True)
    sums = [read_json(run / "run.json")["adapter_sha256"] for run in (whole, cut)]
    assert sums[0] == sums[1]


def test_a_run_that_goes_on_is_held_to_where_it_began_also_when_resumed(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    path = pairs(tmp_path / "p.jsonl")
    first = train(preferring(models["llama"], path, tmp_path / "first", optim__lr=1e-2))

    def made(out: str, rate: float) -> TrainConfig:
        return preferring(
            models["llama"], path, tmp_path / out, adapter__init_from=str(first), optim__lr=rate
        )

    idle = read_json(train(made("idle", 1e-15)) / "run.json")
    assert idle["dev"]["reward_margin"] == pytest.approx(0, abs=1e-5)  # over the first adapter
    assert {p.name for p in (tmp_path / "idle" / "r" / "adapter").iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json", "README.md",
    }  # fmt: skip
    whole = train(made("whole", 1e-2))
    with pytest.raises(SystemExit):
        train(made("cut", 1e-2), stop=StopAfter(3))
    cut = train(made("cut", 1e-2), resume=True)
    records = [read_json(run / "run.json") for run in (whole, cut)]
    assert records[0]["adapter_sha256"] == records[1]["adapter_sha256"]
    assert records[0]["dev"] == records[1]["dev"]


def test_the_shipped_config_trains_on_a_model_of_the_same_shape(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    from app.core.config import load

    path = ROOT / "finetune" / "configs" / "preference.yaml"
    made = load(TrainConfig, path, [
        f"model.path={models['llama']}", f"run.out_dir={tmp_path}", "run.name=r",
        "model.dtype=float32", "data.max_tokens=900", "data.limit=8", "data.dev_limit=4",
        "loop.epochs=1",
    ])  # fmt: skip
    assert read_json(train(made) / "run.json")["dev"]["n"] == 4


# refused


def test_kto_needs_two_rows_at_once(tmp_path: Path, models: dict[str, Path]) -> None:
    made = preferring(
        models["llama"], pairs(tmp_path / "p.jsonl"), tmp_path, "kto", loop__device_batch=1
    )
    with pytest.raises(ConfigError, match=r"loop.device_batch must be 2 or more"):
        train(made)


def test_too_few_rows_that_fit_and_a_model_without_chat_template_are_refused(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    path = pairs(tmp_path / "p.jsonl", 4)
    with pytest.raises(InputError, match=r"no training row fits in data.max_tokens 9"):
        train(preferring(models["llama"], path, tmp_path / "a", data__max_tokens=9))
    alone = pairs(tmp_path / "one.jsonl", 1)
    with pytest.raises(InputError, match=r"two training rows or more.*found 1"):
        train(preferring(models["llama"], alone, tmp_path / "one", data__dev=[]))
    plain = tiny_gpt2(tmp_path / "plain")
    with pytest.raises(AppError, match="has no chat template: preference needs a chat model"):
        train(preferring(plain, path, tmp_path / "b"))
