"""What people prefer -> a chat model that answers so: DPO and KTO through TRL, with LoRA.

Rows are {prompt, chosen, rejected} or {prompt, completion, label} (app.core.preferences), rendered
as sft renders them. dpo (Rafailov et al. 2023) takes pairs; kto (Ethayarajh et al. 2024) single
answers, and pairs as two of them. The reference is the model as it began: the base without its
adapter, so that no second model is held, or a copy of the adapter that the run goes on from. The
checkpoint with the least loss on dev is kept.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from sklearn.metrics import roc_auc_score
from torch.nn.functional import softplus
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.utils import use_adapter

from app.core import data
from app.core.errors import ConfigError, InputError
from app.core.messages import Conversation, Message
from app.core.preferences import Judged, Preferred
from app.core.prompt import DECLINE, template
from app.models import adapters
from app.models.loading import causal_model, tokenizer
from finetune import overlap
from finetune.config import TrainConfig
from finetune.job import Job, Order, base_weights, starting_card
from finetune.methods import adapted
from finetune.scored import score_answers
from finetune.tasks.sft import as_features, token_count
from finetune.trainer import Blocks, Repeatable, arguments, frozen_dtype

Row = Preferred | Judged
_REFERENCE = "ref"
"""What TRL calls the copy of the adapter that a run began with."""


class PairTrainer(Repeatable, DPOTrainer):
    """TRL's DPOTrainer with rows in a repeatable order."""

    def _lengths(self, rows: Any) -> list[int]:
        return [
            len(prompt) + max(len(chosen), len(rejected))
            for prompt, chosen, rejected in zip(
                rows["prompt_ids"], rows["chosen_ids"], rows["rejected_ids"], strict=True
            )
        ]


class JudgedTrainer(Repeatable, KTOTrainer):
    """TRL's KTOTrainer with blocks of rows in a repeatable order.

    Its KL term reads each prompt with an answer to another one of the same batch, paired once, in
    the order of the rows: so the rows of a batch stay together and the batches change places.
    """

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        return Blocks(len(rows), self.args.train_batch_size, self.args.seed)


def build(order: Order) -> Job:
    """Read the data, load base and adapter, make the Trainer. Raises AppErrors for bad input."""
    config = order.config
    version = template(config.data.prompt).id
    if config.preference.loss == "kto" and config.loop.device_batch < 2:
        raise ConfigError(
            "preference.loss kto compares each answer with those to the other prompts of its "
            "batch: loop.device_batch must be 2 or more"
        )
    train, dev, counts = read(config)
    weights = base_weights(config, order.run)
    starting_card(config.adapter, weights, version)
    loaded = tokenizer(weights.folder)
    if not loaded.chat_template:
        raise InputError(f"{config.model.path} has no chat template: preference needs a chat model")
    sets = {}
    for name, rows in (("train", train), ("dev", dev)):
        features = [made for row in rows for made in as_rows(row, config, version)]
        random.Random(config.run.seed).shuffle(features)  # apart what KTO would pair for its KL
        sets[name] = [row for row in features if _longest(row, loaded) <= config.data.max_tokens]
        counts[name] |= {"too_long": len(features) - len(sets[name]), "used": len(sets[name])}
    if len(sets["train"]) < 2:
        raise InputError(
            f"expected two training rows or more that fit in data.max_tokens "
            f"{config.data.max_tokens}, found {len(sets['train'])}"
        )
    dtype = frozen_dtype(config)
    trainer = _trainer(order, adapted(config, causal_model(weights.folder, dtype)), loaded, sets)
    card = adapters.Card(kind="chat", base=weights.record(), prompt_version=version)
    learnt = [text for row in train for text in _texts(row)]
    record = {"rows": counts, "frozen_dtype": dtype}
    return Job(trainer, card, learnt, lambda: _measure(trainer, config), record)


def read(config: TrainConfig) -> tuple[list[Row], list[Row], dict[str, Any]]:
    """(train, dev, counts).

    Training rows whose question or answers overlap with a named test set are left out.
    """
    group = config.data
    known = overlap.known_texts(group.exclude_overlap_with)
    train: list[Row] = []
    counts: dict[str, Any] = {}
    for ref in group.learnt_from:
        rows = _sample(data.preferred(ref), group.limit, config.run.seed)
        kept = [row for row in rows if not overlap.shares(_texts(row), known)]
        counts[ref] = {"read": len(rows), "overlap_left_out": len(rows) - len(kept)}
        train += kept
    dev = [row for ref in group.dev for row in data.preferred(ref)]
    dev = _sample(dev, group.dev_limit, config.run.seed)
    return train, dev, {"train": counts, "dev": {"read": len(dev)}}


def as_rows(row: Row, config: TrainConfig, version: str) -> list[dict[str, Any]]:
    """TRL's features of one row: for dpo a pair, for kto each answer by itself."""
    if config.preference.loss == "dpo":
        if isinstance(row, Judged):
            raise InputError(
                "preference.loss dpo learns from pairs {prompt, chosen, rejected}, the data has "
                "single answers {prompt, completion, label}: set preference.loss=kto"
            )
        made, worse = (_said(row.prompt, a, version) for a in (row.chosen, row.rejected))
        return [made | {"chosen": made.pop("completion"), "rejected": worse["completion"]}]
    judged = [row] if isinstance(row, Judged) else [
        Judged(row.prompt, row.chosen, True), Judged(row.prompt, row.rejected, False)
    ]  # fmt: skip
    return [_said(one.prompt, one.completion, version) | {"label": one.label} for one in judged]


def _said(prompt: Conversation, answer: str, version: str) -> dict[str, Any]:
    messages = [*prompt.messages, Message(role="assistant", content=answer)]
    return as_features(Conversation(messages=messages, passages=prompt.passages), version)


def _longest(row: dict[str, Any], loaded: Any) -> int:
    """Tokens of the prompt and the longest answer."""
    answers = [row[name] for name in ("completion", "chosen", "rejected") if name in row]
    return max(token_count({**row, "completion": answer}, loaded) for answer in answers)


def _sample(rows: Sequence[Row], limit: int | None, seed: int) -> list[Row]:
    kept = limit if limit is not None and limit < len(rows) else None
    return list(rows) if kept is None else random.Random(seed).sample(rows, kept)


def _texts(row: Row) -> list[str]:
    """What the user said and what is answered; the decline sentence is ours, not the data's."""
    asked = [message.content for message in row.prompt.messages if message.role == "user"]
    said = [row.chosen, row.rejected] if isinstance(row, Preferred) else [row.completion]
    return [*asked, *(answer for answer in said if answer not in DECLINE.values())]


def _trainer(order: Order, model: Any, loaded: Any, sets: dict[str, list[Any]]) -> Any:
    config = order.config
    options = arguments(config, order.run, order.accumulate) | {
        "train_sampling_strategy": "sequential",  # of the rows as TRL sees them; ours has its own
        "beta": config.preference.beta,
        "max_length": config.data.max_tokens,
        "activation_checkpointing": False,  # TRL's default saves memory that adapters do not need
    }
    if sets["dev"]:
        options |= {"metric_for_best_model": "loss", "greater_is_better": False}
    # TRL 1.16 reads it at every look at the reference: no news to a user
    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
    kinds: tuple[Any, Any] = (PairTrainer, DPOConfig)
    if config.preference.loss == "kto":
        kinds = (JudgedTrainer, KTOConfig)
    trainer = kinds[0](
        model=model,
        args=kinds[1](**options),
        processing_class=loaded,
        train_dataset=Dataset.from_list(sets["train"]),
        eval_dataset=Dataset.from_list(sets["dev"]) if sets["dev"] else None,
    )
    score_answers(model.get_base_model())
    if config.adapter.init_from is None:
        model.delete_adapter(_REFERENCE)  # a fresh adapter changes nothing: off, it is the start
    return trainer


def _measure(trainer: Any, config: TrainConfig) -> dict[str, Any]:
    """On dev: how much more the better answers gained over the reference than the worse ones.

    A reward is beta x log(p / p of the reference). reward_accuracy: share of pairs whose better
    answer has the higher one. For kto reward_auroc: the chance that a liked answer has a higher one
    than a disliked one; reward_margin, the difference of the means, too needs both sorts in dev.
    """
    dev: dict[str, Any] = {}
    if trainer.eval_dataset is not None and config.preference.loss == "dpo":
        gain = rewards(trainer) @ torch.tensor([1.0, -1.0])
        dev = {
            "log_loss": softplus(-gain).mean().item(),
            "reward_accuracy": (gain > 0).float().mean().item(),
            "reward_margin": gain.mean().item(),
            "n": len(gain),
        }
    elif trainer.eval_dataset is not None:
        liked, gained = torch.tensor(trainer.eval_dataset["label"]), rewards(trainer)[:, 0]
        dev = {"loss": trainer.evaluate()["eval_loss"], "n": len(liked)}
        if 0 < liked.sum() < len(liked):
            dev["reward_auroc"] = float(roc_auc_score(liked, gained))
            dev["reward_margin"] = (gained[liked].mean() - gained[~liked].mean()).item()
    return {"calibration": {"temperature": 1.0}, "dev": dev}


@torch.no_grad()
def rewards(trainer: Any) -> torch.Tensor:
    """(rows, 2) for pairs, better and worse, or (rows, 1): the rewards of the answers in dev."""
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    reference = _REFERENCE if _REFERENCE in model.peft_config else None
    answers = 2 if isinstance(trainer, PairTrainer) else 1
    found = []
    for batch in trainer.get_eval_dataloader():
        own = _log_probability(model, batch)
        with use_adapter(model, reference):
            before = _log_probability(model, batch)
        gained = trainer.beta * (own - before).view(answers, -1).T.contiguous()
        found.append(trainer.accelerator.gather_for_metrics(gained).cpu())
    return torch.cat(found)


def _log_probability(model: Any, batch: Any) -> torch.Tensor:
    """(B,): of the answers, given their prompts."""
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    out = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels,
        use_cache=False, fused_lm_head=True,
    )  # fmt: skip
    total: torch.Tensor = out.log_probs.sum(1)
    return total
