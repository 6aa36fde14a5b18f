"""train-chat: LoRA on SmolLM2-135M for grounded answers, beside trl.SFTTrainer.

Rows are training questions of the demo shop over the first paragraph of the article that answers
and of two that do not, in the chat's own prompt; the answer, which alone carries loss, is the first
two sentences of that paragraph. Same weights, rows, epochs, batch, rank, learning rate, schedule.
`default` is SFTTrainer as it comes: bf16 autocast and gradient checkpointing. `tuned` has bf16
autocast only where the product trains in bf16, no checkpointing, and groups rows by length; TRL's
packing mixes rows without flash attention, which no CPU has. Measures: tokens that carry loss a
second, and the share of the machine's matmul rate. Quality: the geometric mean of the probabilities
of a dev answer's tokens.
"""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from app.core import data as references
from app.core.files import write_jsonl
from app.core.messages import Passage
from app.core.prompt import support_messages
from eval.bench import training
from eval.bench.base import PRODUCT, Arm, Bench, Contest, Outcome
from eval.bench.training import ALPHA, RANK, Job
from eval.stats import SEED
from eval.task import Request

MODEL, DATA = "HuggingFaceTB/SmolLM2-135M-Instruct", "demo:support"
ROWS, DEV, SHOWN = 32, 12, 3
BATCH, LR, WARMUP, MAX_TOKENS = 8, 1e-3, 0.06, 1024
Row = Mapping[str, list[dict[str, str]]]
"""prompt and completion, each a list of messages."""


def build(request: Request) -> Contest:
    """Make the rows, count the work; models are loaded by each run anew."""
    from app.core.release import Engine
    from app.models.dtype import FP32, choose
    from app.models.load import resolve
    from app.models.loading import causal_model, tokenizer

    ref = request.data or DATA
    train = rows(f"{ref}#train", min(request.limit or ROWS, ROWS))
    dev = rows(f"{ref}#dev", DEV)
    weights = resolve(MODEL)
    file = Path(tempfile.mkdtemp(prefix="frontdesk-bench-")) / "train.jsonl"
    write_jsonl(file, [{"messages": [*row["prompt"], *row["completion"]]} for row in train])
    loaded = tokenizer(weights.folder)
    counts = [_tokens(loaded, row) for row in train]
    dtype = choose([FP32, Engine(engine="transformers", dtype="bfloat16")], "encode")
    job = Job(
        folder=weights.folder,
        file=file,
        units=sum(whole - prompt for prompt, whole in counts),
        tokens=sum(whole for _, whole in counts),
        weights=training.linear_weights(causal_model(weights.folder, "float32")),
        dtype=dtype,
        rate=training.matmul_rate(dtype),
    )
    cast = "bf16 autocast" if job.dtype == "bfloat16" else "fp32"
    arms = [
        Arm(PRODUCT, f"finetune/train.py: base in {job.dtype}, packed, head on answers, fused LoRA",
            partial(_product, job, dev)),
        Arm("default", "trl.SFTTrainer as it comes: bf16 autocast, gradient checkpointing",
            partial(_peer, job, train, dev, False)),
        Arm("tuned", f"trl.SFTTrainer: {cast}, no checkpointing, grouped by length",
            partial(_peer, job, train, dev, True)),
    ]  # fmt: skip
    line = (
        f"LoRA of rank {RANK} on {MODEL}, one epoch of {len(train)} rows of {ref}, batch {BATCH}."
    )
    data = {"ref": ref, "sha256": references.sha256_of(f"{ref}#train"), "limit": request.limit}
    identity = {"data": data, "model": weights.record().model_dump(exclude_none=True)}
    return Contest(arms, line, None, identity)


def rows(ref: str, n: int) -> list[Row]:
    """A seeded draw of questions with an answer, each over three passages."""
    draw, found = random.Random(SEED), references.corpus(ref)
    texts = {str(doc["id"]): str(doc["text"]).split("\n\n")[0] for doc in found.docs}
    answered = [q for q in found.queries if q.gold and not q.history]
    made: list[Row] = []
    for query in draw.sample(answered, min(n, len(answered))):
        others = draw.sample(sorted(set(texts) - set(query.gold)), SHOWN - 1)
        shown = [Passage(id=one, text=texts[one]) for one in (query.gold[0], *others)]
        prompt = [message.model_dump() for message in support_messages(query.text, shown)]
        said = " ".join(re.split(r"(?<=[.!?。])\s*", shown[0].text)[:2])
        made.append({"prompt": prompt, "completion": [{"role": "assistant", "content": said}]})
    return made


def _tokens(loaded: Any, row: Row) -> tuple[int, int]:
    """Tokens of the prompt, and of prompt and answer."""
    prompt = loaded.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"]
    whole = loaded.apply_chat_template([*row["prompt"], *row["completion"]])["input_ids"]
    return len(prompt), len(whole)


def _product(job: Job, dev: Sequence[Row]) -> Outcome:
    config = {
        "task": "sft",
        "model": {"path": MODEL, "dtype": job.dtype},
        "adapter": {"rank": RANK, "alpha": ALPHA},
        "data": {"train": [f"file:{job.file}"], "max_tokens": MAX_TOKENS},
        "optim": {"lr": LR, "warmup_ratio": WARMUP},
        "loop": {"epochs": 1, "global_batch": BATCH, "device_batch": BATCH, "eval_every": 10**6,
                 "save_every": 10**6},
    }  # fmt: skip
    return training.product(job, config, partial(_served, job, dev))


def _served(job: Job, dev: Sequence[Row], adapter: Path) -> list[float]:
    from app.models import adapters
    from app.models.loading import causal_model, tokenizer

    model = adapters.attach(causal_model(job.folder, "float32"), adapter)
    return likelihoods(model, tokenizer(job.folder), dev)


def likelihoods(model: Any, loaded: Any, dev: Sequence[Row]) -> list[float]:
    """For each row the geometric mean of the probabilities of its answer's tokens, 0..1."""
    import torch

    found = []
    for row in dev:
        ids = loaded.apply_chat_template([*row["prompt"], *row["completion"]])["input_ids"]
        start = _tokens(loaded, row)[0]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0, start - 1 : -1].float()
        said = logits.log_softmax(-1).gather(1, torch.tensor(ids[start:])[:, None])
        found.append(float(said.mean().exp()))
    return found


def _peer(job: Job, train: Sequence[Row], dev: Sequence[Row], tuned: bool) -> Outcome:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import set_seed
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    set_seed(SEED)
    options: dict[str, Any] = {}
    if tuned:
        options = {
            "bf16": job.dtype == "bfloat16",
            "gradient_checkpointing": False,
            "train_sampling_strategy": "group_by_length",
            "model_init_kwargs": {"dtype": "float32"},
        }
    args = SFTConfig(
        output_dir=str(job.file.parent / "peer"), num_train_epochs=1, learning_rate=LR,
        per_device_train_batch_size=BATCH, warmup_steps=WARMUP, max_length=MAX_TOKENS, seed=SEED,
        save_strategy="no", report_to="none", disable_tqdm=True,
        use_cpu=training.on_cpu(), **options,
    )  # fmt: skip
    lora = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules="all-linear")
    trainer: Any = SFTTrainer(
        model=str(job.folder), args=args, train_dataset=Dataset.from_list(list(train)),
        peft_config=lora,
    )  # fmt: skip
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    model = trainer.model.float().eval()
    return training.outcome(job, seconds, likelihoods(model, trainer.processing_class, dev))


BENCH = Bench(
    name="train-chat",
    peer="trl.SFTTrainer",
    measures=training.MEASURES,
    quality="likelihood",
    needs={},
    packages=("finetune",),
    build=build,
)
