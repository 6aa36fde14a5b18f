"""TrainConfig: everything a run is made of, strict and typed; hardware is Accelerate's business.

`finetune/configs/sentiment.yaml` shows every key. `--set group.key=value` overrides one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from app.core.config import Strict
from app.core.errors import ConfigError, nearest
from app.core.prompt import DEFAULT
from finetune.tasks import TASKS


class Run(Strict):
    """Where the run goes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.{}-]*$")
    """Folder under out_dir; `{time}` becomes the time of the start, for runs that never collide."""
    out_dir: Path = Path("runs")
    seed: int = Field(17, ge=0)
    """Of initial adapter weights, row order and dropout."""
    tracker: Literal["none", "tensorboard", "trackio"] = "none"
    """Where losses and dev metrics also go, under the run folder; nothing leaves the machine."""


class Model(Strict):
    """The frozen base."""

    path: str
    """Model reference: a folder or org/name[@revision]."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen weights; `auto` lets a one-second probe choose. LoRA weights are float32."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Of the base's own layers, attention among them, and of what a head reads; null leaves it as
    the model ships (and 0.1 before a head)."""


class Adapter(Strict):
    """What is trained (LoRA: Hu et al. 2021)."""

    method: Literal["lora", "qlora", "head", "none"] = "lora"
    """qlora: LoRA over a base in 4 bits, on CUDA (Dettmers et al. 2023). head: the body is frozen.
    none: all weights are trained, without an adapter."""
    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    """The update is scaled by alpha / rank."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) instead, for high ranks (Kalajdzievski 2023)."""
    init: Literal["default", "gaussian", "orthogonal", "pissa", "olora"] = "default"
    """How A and B begin. pissa and olora change the base; they are converted on save to plain LoRA
    of twice the rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | list[str] = "all-linear"
    """Names of the layers that get an adapter, e.g. [q_proj, v_proj]."""
    init_from: str | None = None
    """Adapter to go on from: `release:FEATURE`, or a run folder; its rank and alpha are kept."""


class Data(Strict):
    """What it learns from."""

    train: list[str] = Field(min_length=1)
    """Data references, read in this order and joined."""
    feedback: str | None = None
    """One more reference, `file:` what `python -m finetune feedback` wrote; joined to train."""
    dev: list[str] = Field(default_factory=list)
    """Data references; the best checkpoint on them is kept, the temperature is fitted on them."""
    ratings: list[str] = Field(default_factory=list)
    """References of texts that people rated (kind regression), trained on as two classes."""
    min_rating: float = Field(0.8, gt=0)
    """A text rated this far from 0 or further is positive or negative; others are left out."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our field name -> the file's column, e.g. {text: sentence}; for files only."""
    max_tokens: int = Field(128, ge=8)
    """Longer texts are cut (classification, multilabel, regression), read in windows (reader), or
    left out and counted (sft, preference). No more than the model has positions for."""
    limit: int | None = Field(None, ge=1)
    """At most so many rows of each training reference, a seeded sample."""
    dev_limit: int | None = Field(None, ge=1)
    exclude_overlap_with: list[str] = Field(default_factory=list)
    """Training rows that share a text or 13 words in a row with these references are left out."""
    accept: list[str] = Field(default_factory=list)
    """Checks of the doctor (finetune/doctor/) whose errors are known and do not stop the run."""
    pack: bool = True
    """sft: the rows of a batch lie end to end, each unseen by the others, where the model can."""
    prompt: str = DEFAULT
    """sft: the template that renders passages and question, name/version."""

    @property
    def learnt_from(self) -> list[str]:
        """All training references, feedback last."""
        return [*self.train, *self.ratings, *([self.feedback] if self.feedback else [])]


class Optim(Strict):
    """The optimiser and what it minimises beside the loss."""

    name: Literal["adamw", "adam", "sgd", "adadelta"] = "adamw"
    lr: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    """sgd only."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = Field(0.06, ge=0, lt=1)
    """Share of the steps in which the rate rises to `lr`."""
    weight_decay: float = Field(0.0, ge=0)
    """L2: apart from the gradient in adamw (Loshchilov and Hutter 2019), added to it in others."""
    l1: float = Field(0.0, ge=0)
    """Weight of the mean absolute value of the adapter's weights (not the head's) in the loss."""
    clip_norm: float = Field(1.0, gt=0)
    rdrop: float = Field(0.0, ge=0)
    """classification: weight of R-Drop, which asks two passes with other dropout to agree (Liang et
    al. 2021). It doubles the work of a step."""


class Loop(Strict):
    """How long, in which batches."""

    epochs: float | None = Field(None, gt=0)
    max_steps: int | None = Field(None, ge=1)
    """Optimiser steps; either this or epochs."""
    global_batch: int = Field(32, ge=1)
    """Rows for one optimiser step, over all processes."""
    device_batch: int = Field(32, ge=1)
    """Rows that one process handles at once; the rest is accumulated."""
    eval_every: int = Field(100, ge=1)
    """Steps between two looks at dev; the last step is always looked at."""
    save_every: int = Field(100, ge=1)
    """Steps between two checkpoints: a multiple of eval_every where there is dev data."""
    early_stopping: int | None = Field(None, ge=1)
    """Looks at dev in a row that bring nothing better, after which the run ends."""


class Preference(Strict):
    """task preference: which answer of two, or whether an answer, was liked."""

    loss: Literal["dpo", "kto"] = "dpo"
    """dpo: rows {prompt, chosen, rejected} (Rafailov et al. 2023); kto: {prompt, completion, label}
    (Ethayarajh et al. 2024)."""
    beta: float = Field(0.1, gt=0)
    """How close the model is held to where it began."""


class TrainConfig(Strict):
    """One training run."""

    run: Run
    task: str
    """Name of a file in finetune/tasks/: classification, multilabel, regression, reader, sft ..."""
    model: Model
    adapter: Adapter = Field(default_factory=lambda: Adapter.model_validate({}))
    data: Data
    optim: Optim
    loop: Loop
    preference: Preference = Field(default_factory=lambda: Preference.model_validate({}))

    @field_validator("task")
    @classmethod
    def _there_is(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(f"no such task.{nearest(task, TASKS)} There is {', '.join(TASKS)}")
        return task

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if (self.loop.epochs is None) == (self.loop.max_steps is None):
            raise ValueError("loop: set either epochs or max_steps")
        if self.loop.early_stopping and not self.data.dev:
            raise ValueError("loop: early_stopping looks at dev data, and data.dev names none")
        if self.data.dev and self.loop.save_every % self.loop.eval_every:
            raise ValueError(
                f"loop: save_every ({self.loop.save_every}) must be a multiple of eval_every "
                f"({self.loop.eval_every}), or the best checkpoint on dev is not kept"
            )
        return self

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.run.out_dir / self.run.name


def accumulation(loop: Loop, processes: int) -> int:
    """Batches to accumulate for one step: global_batch / (device_batch x processes).

    Raises ConfigError, naming all three, where that is not a whole number.
    """
    at_once = loop.device_batch * processes
    if loop.global_batch % at_once:
        raise ConfigError(
            f"loop.global_batch {loop.global_batch} is not a multiple of loop.device_batch "
            f"{loop.device_batch} x {processes} processes = {at_once}: change one of the three"
        )
    return loop.global_batch // at_once


def stamp() -> str:
    """The time as it stands in a run's name, to the second, in UTC."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def named(config: TrainConfig, time: str) -> TrainConfig:
    """`config` with `{time}` in the run's name replaced by `time`."""
    name = config.run.name.replace("{time}", time)
    return config.model_copy(update={"run": config.run.model_copy(update={"name": name})})
