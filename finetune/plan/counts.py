"""What is counted of a model and its batches, and the memory that this process has taken."""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch

from app.models.dtype import device
from finetune.config import TrainConfig
from finetune.job import Job
from finetune.plan.costs import Batch, Shape


def counted(batch: Any) -> Batch:
    """What a collated batch holds: token ids by whatever name, targets where it has such."""
    ids = batch.get("input_ids")
    found = [ids] if ids is not None else [batch[k] for k in batch if k.endswith("input_ids")]
    labels = batch.get("labels")
    asked = 0 if labels is None or labels.dim() < 2 else int((labels != -100).sum())
    tokens = sum(one.numel() for one in found)
    pairs = sum(one.shape[0] * one.shape[1] ** 2 for one in found)
    return Batch(max(one.shape[0] for one in found), tokens, pairs, asked)


def shape_of(job: Job, config: TrainConfig) -> Shape:
    """Counts of the job's model."""
    model = job.trainer.model
    sizes = [(p.numel(), p.element_size(), p.requires_grad) for p in model.parameters()]
    text = model.config.get_text_config() if hasattr(model.config, "get_text_config") else None
    looked_up = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    total = sum(n for n, _, _ in sizes)
    frozen = [size for _, size, trained in sizes if not trained]
    return Shape(
        total=total,
        trained=sum(n for n, _, trained in sizes if trained),
        working=total - sum(w.numel() for w in {id(w): w for w in looked_up}.values()),
        weight_bytes=sum(n * size for n, size, _ in sizes),
        layers=text.num_hidden_layers if text else 1,
        hidden=text.hidden_size if text else 1,
        vocabulary=text.vocab_size if text and job.card.kind == "chat" else 0,
        value_bytes=(value_bytes := min(frozen, default=4)),
        adapter_bytes=sum(_kept_for(module, value_bytes) for module in model.modules()),
        kept_heads=_kept_heads(model, config, text),
        through=config.adapter.method != "head",
    )


def peak_memory() -> int:
    """Peak bytes so far: of this process on CPU, of torch's allocator on CUDA."""
    if device() == "cuda":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def _kept_for(module: Any, value_bytes: int) -> int:
    """Bytes that a LoRA layer keeps of a token's input: in fp32, and twice that with dropout.

    Fused (finetune.fused) it is the input as it came.
    """
    if not getattr(module, "lora_A", None):
        return 0
    if "forward" in vars(module):
        return int(module.in_features) * value_bytes
    drops = any(getattr(one, "p", 0.0) for one in module.lora_dropout.values())
    return int(module.in_features) * (8 if drops else 4)


def _kept_heads(model: Any, config: TrainConfig, text: Any) -> int:
    """Heads whose scores are kept for the backward pass: all of them on CPU where dropout is on."""
    names = ("attention_probs_dropout_prob", "attn_pdrop", "attention_dropout")
    share = config.model.dropout
    if share is None:
        share = max((getattr(text, name, 0.0) or 0.0 for name in names), default=0.0)
    on_cpu = next(model.parameters()).device.type == "cpu"
    return int(text.num_attention_heads) if text and share and on_cpu else 0
