"""Clean rows of every kind, in which each planted defect is the only one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.core.config import parse
from app.core.files import write_jsonl
from finetune.config import TrainConfig
from finetune.doctor import Diagnosis, examine

Row = dict[str, Any]
_NOUNS = (
    "kettle parcel morning window garden letter orange button river candle table winter paper "
    "market station pocket bottle ticket summer corner street bridge forest island village mirror "
    "blanket hammer ladder basket engine museum school doctor farmer painter singer lawyer driver "
    "teacher cousin brother sister captain spoon plate towel carpet drawer shelf pillow curtain "
    "bicycle tractor lantern compass barrel anchor feather pebble meadow orchard harbour cottage "
    "chimney attic cellar balcony stairs hallway kitchen bedroom fence gate stable bucket rope"
)
_WORDS = _NOUNS.split()
_CLASS_WORDS = {
    "positive": ["great", "lovely", "superb", "delightful", "charming", "perfect", "brilliant"],
    "negative": ["awful", "broken", "dreadful", "terrible", "useless", "horrible", "dismal"],
}


def sentence(rng: random.Random, *others: str, words: int = 14) -> str:
    """A sentence of unlike words, with `others` among them."""
    chosen = [*rng.sample(_WORDS, words - len(others)), *others]
    rng.shuffle(chosen)
    return f"The {' '.join(chosen)}."


def labelled(
    n: int = 60, seed: int = 0, names: Sequence[str] = ("positive", "negative")
) -> list[Row]:
    """Texts whose label can be told from two of their words."""
    rng = random.Random(seed)
    rows = [(name, rng.sample(_CLASS_WORDS[name], 2)) for _ in range(n) for name in names]
    return [{"text": sentence(rng, *said), "label": name} for name, said in rows[:n]]


def rated(n: int = 60, seed: int = 0) -> list[Row]:
    """Texts whose score follows from two of their words."""
    rows = labelled(n, seed)
    base = {"positive": 2.0, "negative": -2.0}
    return [{"text": r["text"], "score": base[r["label"]] + 0.01 * (i % 20)}
            for i, r in enumerate(rows)]  # fmt: skip


def tagged(n: int = 60, seed: int = 0) -> list[Row]:
    """Texts with one label or two."""
    return [{"text": r["text"], "labels": [r["label"], "long"][: 1 + i % 2]}
            for i, r in enumerate(labelled(n, seed))]  # fmt: skip


def asked(n: int = 40, seed: int = 0) -> list[Row]:
    """Questions over passages; each fourth has no answer."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        answer = f"{rng.choice(_WORDS)} {rng.choice(_WORDS)}"
        context = f"{sentence(rng)} It is a {answer} here. {sentence(rng)}"
        found = [] if i % 4 == 3 else [answer]
        rows.append({"question": f"What {sentence(rng, words=9)[4:-1]}?", "context": context,
                     "answers": found})  # fmt: skip
    return rows


def chats(n: int = 40, seed: int = 0) -> list[Row]:
    """Conversations of one question and one whole answer."""
    rng = random.Random(seed)
    return [
        {"messages": [{"role": "user", "content": f"What of {sentence(rng, words=9)}"},
                      {"role": "assistant", "content": sentence(rng)}]}
        for _ in range(n)
    ]  # fmt: skip


def pairs(n: int = 40, seed: int = 0) -> list[Row]:
    """Prompts with a better and a worse answer."""
    rng = random.Random(seed)
    return [
        {"prompt": [{"role": "user", "content": f"What of {sentence(rng, words=9)}"}],
         "chosen": sentence(rng), "rejected": sentence(rng, words=5)}
        for _ in range(n)
    ]  # fmt: skip


def judged(n: int = 40, seed: int = 0) -> list[Row]:
    """Single answers, liked and disliked in turn."""
    return [{"prompt": row["prompt"], "completion": row["chosen"], "label": i % 2 == 0}
            for i, row in enumerate(pairs(n, seed))]  # fmt: skip


CLEAN = {
    "classification": labelled,
    "regression": rated,
    "multilabel": tagged,
    "reader": asked,
    "sft": chats,
    "preference": pairs,
}
"""Task -> its clean rows, by number and seed."""


def config(
    folder: Path, task: str, model: Path, train: Sequence[Row], dev: Sequence[Row] = (), **data: Any
) -> TrainConfig:
    """A run on these rows, written to `folder`."""
    write_jsonl(folder / "train.jsonl", list(train))
    refs = {"train": [f"file:{folder / 'train.jsonl'}"]}
    if dev:
        write_jsonl(folder / "dev.jsonl", list(dev))
        refs["dev"] = [f"file:{folder / 'dev.jsonl'}"]
    tree = {
        "run": {"name": "r", "out_dir": str(folder / "runs")},
        "task": task,
        "model": {"path": str(model), "dtype": "float32"},
        "adapter": {"rank": 2, "alpha": 4},
        "data": {"max_tokens": 256, **refs, **data},
        "optim": {"lr": 1e-3},
        "loop": {"max_steps": 1, "global_batch": 4, "device_batch": 4},
    }
    return parse(TrainConfig, tree, "test")


def grave(found: Diagnosis) -> list[tuple[str, str, int]]:
    """(severity, check, count) of errors and warnings."""
    return [(one.severity, one.check, one.count) for one in found.of("error", "warning")]


def diagnosed(*args: Any, **data: Any) -> Diagnosis:
    """`config` examined as before a run."""
    return examine(config(*args, **data), quick=True)
