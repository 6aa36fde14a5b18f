"""train-encoder: LoRA on MiniLM for SST-2, beside transformers.Trainer with PEFT's LoRA.

Same weights, rows, epochs, batch, rank, learning rate and schedule. `default` is the Trainer as it
comes: fp32, rows in random order. `tuned` has bf16 autocast where the product trains in bf16, and
groups rows by length. What the product does beside: the base in the probed dtype, its dropout off,
LoRA's layers as one node (finetune/fused.py). Measures: examples a second, and the share of the
machine's matmul rate. Quality: accuracy on dev.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from app.core import data as references
from app.core.files import write_jsonl
from app.core.kinds import Labelled
from app.core.textprep import prepare
from eval.bench import training
from eval.bench.base import PRODUCT, Arm, Bench, Contest, Outcome
from eval.bench.training import ALPHA, RANK, Job
from eval.stats import SEED
from eval.task import Request

MODEL, DATA = "sentence-transformers/all-MiniLM-L6-v2", "data:sst2"
ROWS, DEV = 1920, 436
"""One epoch of so many rows takes 10 to 60 s; dev rows that judge it."""
BATCH, LR, WARMUP, MAX_TOKENS = 32, 1e-3, 0.06, 128
LABELS = ["negative", "positive"]


def build(request: Request) -> Contest:
    """Draw the rows, count the work; models are loaded by each run anew."""
    import torch

    from app.core.release import Engine
    from app.models.dtype import FP32, choose
    from app.models.load import resolve
    from app.models.loading import encoder_body, tokenizer

    torch.manual_seed(SEED)
    ref = request.data or DATA
    draw = random.Random(SEED)
    train, dev = (_drawn(f"{ref}#{split}", n, draw) for split, n in
                  (("train", min(request.limit or ROWS, ROWS)), ("dev", DEV)))  # fmt: skip
    weights = resolve(MODEL)
    file = Path(tempfile.mkdtemp(prefix="frontdesk-bench-")) / "train.jsonl"
    write_jsonl(file, [{"text": row.text, "label": row.label} for row in train])
    loaded = tokenizer(weights.folder)
    ids = loaded([row.text for row in train], truncation=True, max_length=MAX_TOKENS)["input_ids"]
    dtype = choose([FP32, Engine(engine="transformers", dtype="bfloat16")], "encode")
    job = Job(
        folder=weights.folder,
        file=file,
        units=len(train),
        tokens=sum(map(len, ids)),
        weights=training.linear_weights(encoder_body(weights.folder, "float32")),
        dtype=dtype,
        rate=training.matmul_rate(dtype),
    )
    arms = [
        Arm(PRODUCT, f"finetune/train.py: base in {job.dtype}, no dropout, by length, fused LoRA",
            partial(_product, job, dev)),
        Arm("default", "transformers.Trainer as it comes, PEFT: fp32",
            partial(_peer, job, train, dev, False)),
        Arm("tuned", f"transformers.Trainer, PEFT: {_cast(job)}, grouped by length",
            partial(_peer, job, train, dev, True)),
    ]  # fmt: skip
    line = (
        f"LoRA of rank {RANK} on {MODEL}, one epoch of {len(train)} rows of {ref}, batch {BATCH}."
    )
    data = {"ref": ref, "sha256": references.sha256_of(f"{ref}#train"), "limit": request.limit}
    identity = {"data": data, "model": weights.record().model_dump(exclude_none=True)}
    return Contest(arms, line, None, identity)


def _drawn(ref: str, n: int, draw: random.Random) -> list[Labelled]:
    rows = references.classification(ref)
    rows = rows if n >= len(rows) else draw.sample(rows, n)
    return [row._replace(text=prepare(row.text)) for row in rows]


def _cast(job: Job) -> str:
    return "bf16 autocast" if job.dtype == "bfloat16" else "fp32"


def _product(job: Job, dev: Sequence[Labelled]) -> Outcome:
    config = {
        "task": "classification",
        "model": {"path": MODEL, "dtype": job.dtype, "dropout": 0.0},
        "adapter": {"rank": RANK, "alpha": ALPHA},
        "data": {"train": [f"file:{job.file}"], "max_tokens": MAX_TOKENS},
        "optim": {"lr": LR, "warmup_ratio": WARMUP},
        "loop": {"epochs": 1, "global_batch": BATCH, "device_batch": BATCH, "eval_every": 10**6,
                 "save_every": 10**6},
    }  # fmt: skip
    return training.product(job, config, partial(_served, dev))


def _served(dev: Sequence[Labelled], adapter: Path) -> list[float]:
    """Whether each dev row is right, by the classifier that the product serves."""
    from app.models.classifier import load_classifier
    from app.models.load import resolve

    model = load_classifier(resolve(MODEL), adapter)
    said = model.logits([row.text for row in dev]).argmax(axis=1)
    return [float(model.labels[k] == row.label) for k, row in zip(said, dev, strict=True)]


def _peer(job: Job, train: Sequence[Labelled], dev: Sequence[Labelled], tuned: bool) -> Outcome:
    from transformers import Trainer

    model, loaded, args, columns = _parts(job, tuned)
    trainer = Trainer(model=model, args=args, train_dataset=columns(train), processing_class=loaded)
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    args.train_sampling_strategy = "random"  # or predict would give the rows back by length
    logits = np.asarray(trainer.predict(columns(dev)).predictions)
    gold = [LABELS.index(row.label) for row in dev]
    return training.outcome(job, seconds, [float(x) for x in logits.argmax(axis=1) == gold])


def _parts(job: Job, tuned: bool) -> tuple[Any, Any, Any, Any]:
    """Model, tokenizer, arguments and data set maker, as a tutorial has them."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TrainingArguments,
        set_seed,
    )

    set_seed(SEED)
    base = AutoModelForSequenceClassification.from_pretrained(job.folder, num_labels=2)
    lora = LoraConfig(task_type="SEQ_CLS", r=RANK, lora_alpha=ALPHA, target_modules="all-linear")
    loaded = AutoTokenizer.from_pretrained(job.folder)
    tuned_as: dict[str, Any] = {
        "train_sampling_strategy": "group_by_length", "bf16": job.dtype == "bfloat16"
    }  # fmt: skip
    args = TrainingArguments(
        output_dir=str(job.file.parent / "peer"), num_train_epochs=1, learning_rate=LR,
        per_device_train_batch_size=BATCH, per_device_eval_batch_size=BATCH, seed=SEED,
        warmup_steps=WARMUP, save_strategy="no", report_to="none", disable_tqdm=True,
        use_cpu=training.on_cpu(), **(tuned_as if tuned else {}),
    )  # fmt: skip

    def columns(rows: Sequence[Labelled]) -> Any:
        texts = loaded([row.text for row in rows], truncation=True, max_length=MAX_TOKENS)
        return Dataset.from_dict({**texts, "labels": [LABELS.index(row.label) for row in rows]})

    return get_peft_model(base, lora), loaded, args, columns


BENCH = Bench(
    name="train-encoder",
    peer="transformers.Trainer with PEFT",
    measures=training.MEASURES,
    quality="accuracy",
    needs={},
    packages=("finetune",),
    build=build,
)
