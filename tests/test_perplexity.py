"""Perplexity: the loss is on the answer's tokens alone, as computed by hand on a tiny model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import InputError
from app.core.messages import Message
from app.core.prompt import DECLINE
from app.models.encoder import HashEncoder
from app.models.load import chat_model, resolve
from eval import engines
from eval.tasks import TASKS, perplexity
from tests.helpers_eval import (
    assert_failing_never_pays,
    prepared,
    rows_of,
    run,
    values,
    write_lines,
)
from tests.helpers_models import tiny_gpt2, tiny_llama

ASKED = [
    Message(role="system", content="You are the help desk of an online shop."),
    Message(role="user", content="Are returns free?"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def talks(tmp_path: Path) -> str:
    """Two conversations, one with passages."""
    user, shop = {"role": "user"}, {"role": "assistant"}
    return write_lines(
        tmp_path / "talks.jsonl",
        [
            {"messages": [{**user, "content": "Are returns free?"}, {**shop, "content": "Yes."}]},
            {
                "messages": [
                    {**user, "content": "How long does a refund take?"},
                    {**shop, "content": "Refunds take 5 working days."},
                ],
                "passages": [{"id": "a#0", "text": "Refunds take 5 working days."}],
            },
        ],
    )


def by_hand(model: Any, messages: list[Message], answer: str) -> list[float]:
    """Losses of the tokens of `answer` and of the end of its turn, one forward pass a token."""
    import torch

    tokenizer = model.tokenizer
    prompt = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in messages)
    ids = tokenizer(prompt + "<|im_start|>assistant\n")["input_ids"]
    losses = []
    for token in tokenizer(answer + "<|im_end|>")["input_ids"]:
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids])).logits[0, -1].double()
        weights = np.exp(logits.numpy() - logits.max().item())
        losses.append(-math.log(weights[token] / weights.sum()))
        ids = [*ids, token]
    return losses


@pytest.mark.parametrize(
    "answer", ["Returns are free within 30 days.", "Yes.", "退款需要五个工作日。"]
)
def test_the_loss_is_that_of_the_answer_and_its_end(folder: Path, answer: str) -> None:
    model: Any = chat_model(resolve(str(folder)))
    losses = by_hand(model, ASKED, answer)
    found = perplexity.surprise(model, ASKED, answer)
    assert found.tokens == len(losses)
    assert found.loss == pytest.approx(np.mean(losses), abs=1e-5)


def test_perplexity_of_a_run_is_that_by_hand(folder: Path, talks: str) -> None:
    from app.core.data import conversations
    from app.core.prompt import support_messages

    model: Any = chat_model(resolve(str(folder)))
    first, second = conversations(talks)
    rendered = support_messages(second.messages[0].content, second.passages)
    losses = by_hand(model, first.messages[:1], "Yes.") + by_hand(
        model, rendered, "Refunds take 5 working days."
    )
    found = run("perplexity", model=str(folder), data=talks)
    assert values(found)["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-4)
    assert sum(row.scores["tokens"] for row in found.rows) == len(losses)
    assert found.report.provenance.system == "base"


def test_control_tokens_in_an_answer_do_not_end_it(folder: Path) -> None:
    model: Any = chat_model(resolve(str(folder)))
    assert perplexity.surprise(model, ASKED, "Yes<|im_end|>no").tokens > 6


def test_an_answer_that_does_not_fit_is_refused(folder: Path) -> None:
    model: Any = chat_model(resolve(str(folder)))
    with pytest.raises(InputError, match=r"tokens do not fit .* \(1024\)"):
        perplexity.surprise(model, ASKED, "refund " * 1024)


def test_failing_never_pays(folder: Path, talks: str) -> None:
    assert_failing_never_pays(prepared("perplexity", model=str(folder), data=talks))


def test_over_a_shop_the_chat_makes_the_prompt_and_the_articles_the_answer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = [
        {"id": "cost", "text": "We ship daily. Delivery costs €4.90. It is free from €45."},
        {"id": "time", "text": "Parcels take 5 to 7 days."},
    ]
    queries = [
        {"id": "q1", "text": "what does delivery cost", "gold": ["cost"],
         "facts": ["4.90", "free from €45"]},
        {"id": "q2", "text": "do you rent bicycles", "gold": []},
        {"id": "q3", "text": "how long do parcels take", "gold": ["time"], "facts": ["9 days"]},
        {"id": "q4", "text": "邮费多少", "gold": ["cost"], "facts": ["4.90"], "lang": "zh"},
        {"id": "q5", "text": "when will it come", "gold": ["time"], "answers": ["5 to 7 days"]},
    ]  # fmt: skip
    write_lines(tmp_path / "shop" / "docs.jsonl", docs)
    write_lines(tmp_path / "shop" / "queries.jsonl", queries)
    ref = f"file:{tmp_path / 'shop'}"
    answers = {s.id: s.source.answer for s in TASKS["perplexity"].read(ref).samples}
    assert answers == {
        "q1": "Delivery costs €4.90. It is free from €45.",
        "q2": DECLINE["en"],
        "q5": "5 to 7 days",
    }  # the article of q3 does not state its fact, and Chinese is always quoted
    monkeypatch.setattr(engines, "encoder", lambda *_: (HashEncoder(), {"ref": "scripted"}))
    asked: list[Any] = []
    measured = perplexity.surprise

    def noted(model: Any, messages: Any, answer: str) -> perplexity.Surprise:
        asked.append(messages)
        return measured(model, messages, answer)

    monkeypatch.setattr(perplexity, "surprise", noted)
    found = run("perplexity", model=str(folder), data=ref)
    assert set(rows_of(found)) == {"q1", "q2", "q5"}
    assert found.report.failed == []
    assert "Delivery costs €4.90." in asked[0][-1].content  # the passages that search found
    assert asked[0][-1].content.endswith("what does delivery cost")
    assert found.report.provenance.prompt is not None
    assert found.report.provenance.prompt["version"] == "support/1"


def test_a_model_without_probabilities_or_template_is_refused(talks: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scripted gives no probabilities of tokens"):
        run("perplexity", model="scripted", data=talks)
    with pytest.raises(InputError, match="has no chat template"):
        run("perplexity", model=str(tiny_gpt2(tmp_path / "gpt2")), data=talks)
    with pytest.raises(InputError, match=r"system `lora` and an adapter .* go together"):
        run("perplexity", system="lora", data=talks)


def test_rows_that_are_no_conversations_are_refused_with_what_was_found(tmp_path: Path) -> None:
    ref = write_lines(tmp_path / "a.jsonl", [{"text": "good", "label": "positive"}])
    with pytest.raises(InputError, match=r"a\.jsonl:1: expected messages .*, found text, label"):
        run("perplexity", model="scripted", data=ref)
    ref = write_lines(tmp_path / "b.jsonl", [{"messages": [{"role": "user", "content": "hi"}]}])
    with pytest.raises(InputError, match="messages that end with the assistant's answer"):
        run("perplexity", model="scripted", data=ref)
