"""Conversation -> answer: LoRA on a chat model, with the loss on the answer alone.

Rows are `file:` conversations {messages, passages?}, or folders of articles and questions, which
finetune.grounded turns into such. Where a row has passages, app.core.prompt renders them with the
question, as the product does when it asks. TRL tokenises and masks; the checkpoint with the least
loss on dev is kept.
"""

from __future__ import annotations

import random
from typing import Any

from datasets import Dataset
from trl.trainer.sft_config import SFTConfig

from app.core import data
from app.core.errors import InputError
from app.core.messages import Conversation
from app.core.prompt import DECLINE, support_messages, template
from app.models import adapters
from app.models.loading import causal_model, tokenizer
from finetune import grounded, overlap
from finetune.answers import AnswerTrainer, dev_loss
from finetune.config import TrainConfig
from finetune.job import Job, Order, base_weights, starting_card
from finetune.methods import adapted
from finetune.packing import end_to_end, pack
from finetune.trainer import arguments, frozen_dtype


def build(order: Order) -> Job:
    """Read the data, load base and adapter, make the Trainer. Raises AppErrors for bad input."""
    config = order.config
    version = template(config.data.prompt).id
    train, dev, counts = read(config)
    weights = base_weights(config, order.run)
    starting_card(config.adapter, weights, version)
    loaded = tokenizer(weights.folder)
    if not loaded.chat_template:
        raise InputError(f"{config.model.path} has no chat template: sft needs a chat model")
    sets = {}
    for name, rows in (("train", train), ("dev", dev)):
        features = [as_features(row, version) for row in rows]
        sets[name] = [f for f in features if token_count(f, loaded) <= config.data.max_tokens]
        counts[name]["too_long"] = len(rows) - len(sets[name])
        counts[name]["used"] = len(sets[name])
    if not sets["train"]:
        raise InputError(f"no training row fits in data.max_tokens {config.data.max_tokens}")
    dtype = frozen_dtype(config)
    model = adapted(config, causal_model(weights.folder, dtype))
    packed = config.data.pack and pack(model)
    trainer = _trainer(order, model, loaded, sets, packed)
    card = adapters.Card(kind="chat", base=weights.record(), prompt_version=version)
    learnt = [text for row in train for text in _texts(row)]
    record = {"rows": counts, "frozen_dtype": dtype, "packed": packed}
    return Job(trainer, card, learnt, lambda: _measure(trainer), record)


def read(config: TrainConfig) -> tuple[list[Conversation], list[Conversation], dict[str, Any]]:
    """(train, dev, counts).

    Training rows whose question or answer overlaps with a named test set are left out.
    """
    group = config.data
    known = overlap.known_texts(group.exclude_overlap_with)
    train, counts = [], {}
    for number, ref in enumerate(group.learnt_from):  # a reference named twice gives other passages
        found = _conversations(ref, config.run.seed + number, group.limit)
        kept = [row for row in found.rows if not overlap.shares(_texts(row), known)]
        left_out = found.left_out | {"overlap": len(found.rows) - len(kept)}
        counts[f"{number + 1} {ref}"] = {"read": len(found.rows), "left_out": left_out}
        train += kept
    dev = [
        row
        for ref in group.dev
        for row in _conversations(ref, config.run.seed, group.dev_limit).rows
    ]
    return train, dev, {"train": counts, "dev": {"read": len(dev)}}


def as_features(row: Conversation, version: str) -> dict[str, Any]:
    """TRL's prompt and completion. With passages, the last question is rendered over them."""
    *before, answer = row.messages
    if row.passages and before:
        *history, question = before
        before = support_messages(question.content, row.passages, history=history, version=version)
    return {
        "prompt": [message.model_dump() for message in before],
        "completion": [answer.model_dump()],
        # as app.models.transformers_chat renders it: nothing in a message opens a turn
        "chat_template_kwargs": {"sanitize_control_tokens": True},
    }


def token_count(features: dict[str, Any], loaded: Any) -> int:
    """Tokens of prompt and answer."""
    turns = features["prompt"] + features["completion"]
    made = loaded.apply_chat_template(turns, return_dict=True, **features["chat_template_kwargs"])
    return len(made["input_ids"])


def _conversations(ref: str, seed: int, limit: int | None) -> grounded.Found:
    """Rows of a folder of questions, or of a file of conversations; errors name file and line."""
    if data.is_corpus(ref):
        return grounded.conversations(ref, seed, limit)
    parsed = data.parse_ref(ref)
    path = data.path_of(parsed)
    if path is None or path.is_dir():
        raise InputError(
            f"{ref}: sft reads a file of conversations (file:PATH.jsonl) or a folder with "
            f"docs.jsonl and queries.jsonl"
        )
    rows = data.conversations(ref)
    if limit is not None and limit < len(rows):
        rows = random.Random(seed).sample(rows, limit)
    return grounded.Found(rows, {})


def _texts(row: Conversation) -> list[str]:
    """What the user said and what is answered; the decline sentence is ours, not the data's."""
    *before, answer = row.messages
    asked = [message.content for message in before if message.role == "user"]
    return asked if answer.content in DECLINE.values() else [*asked, answer.content]


def _trainer(
    order: Order, model: Any, loaded: Any, sets: dict[str, list[Any]], packed: bool
) -> AnswerTrainer:
    options = arguments(order.config, order.run, order.accumulate)
    if order.config.data.dev:
        options |= {"metric_for_best_model": "loss", "greater_is_better": False}
    args = SFTConfig(
        **options,
        max_length=order.config.data.max_tokens,
        activation_checkpointing=False,  # TRL's default saves memory that adapters do not need
    )
    trainer = AnswerTrainer(
        model=model,
        args=args,
        processing_class=loaded,
        data_collator=end_to_end if packed else None,
        compute_metrics=dev_loss,
        train_dataset=Dataset.from_list(sets["train"]),
        eval_dataset=Dataset.from_list(sets["dev"]) if sets["dev"] else None,
    )
    trainer.packed = packed
    return trainer


def _measure(trainer: AnswerTrainer) -> dict[str, Any]:
    dev = {"log_loss": trainer.evaluate()["eval_loss"]} if trainer.eval_dataset else {}
    return {"calibration": {"temperature": 1.0}, "dev": dev}
