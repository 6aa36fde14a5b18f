"""What minimises the loss: torch's optimisers by the name in the config, L1, and when to stop.

Weight decay (L2) comes with the Trainer's groups of parameters, which leave out biases and norms:
apart from the gradient in adamw (Loshchilov and Hutter 2019), added to it in adam (Kingma and Ba
2015), sgd and adadelta (Zeiler 2012). Clipping and the schedule are the Trainer's too.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import EarlyStoppingCallback

from finetune.config import Optim


def chosen(optim: Optim) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """The optimiser's class, and its arguments beside the parameters and their weight decay."""
    classes: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
        "adamw": (torch.optim.AdamW, {"fused": True}),
        "adam": (torch.optim.Adam, {"fused": True}),
        "sgd": (torch.optim.SGD, {"fused": True, "momentum": optim.momentum}),
        "adadelta": (torch.optim.Adadelta, {}),
    }
    kind, own = classes[optim.name]
    return kind, {"lr": optim.lr, **own}


def penalise(model: Any, weight: float, accelerator: Any) -> None:
    """Add `weight` times the mean absolute value of the adapter's weights to what is minimised.

    Its gradient, weight x sign(w) / their number, is added once a step, to that of the last batch
    that makes it up: before clipping, and whatever the task's loss is. The loss shown is without.
    """
    weights = [p for name, p in model.named_parameters() if "lora_" in name and p.requires_grad]
    share = weight / sum(p.numel() for p in weights)

    def pull(parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        if not accelerator.sync_gradients:
            return gradient
        return gradient.add(parameter.detach().sign(), alpha=share)

    for parameter in weights:
        parameter.register_hook(lambda gradient, p=parameter: pull(p, gradient))


class Patience(EarlyStoppingCallback):
    """transformers' early stopping, which counts on where the checkpoint had stopped to count."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over the count of the checkpoint, if it is resumed from one."""
        super().on_train_begin(args, state, control, **kwargs)  # type: ignore[no-untyped-call]
        saved = state.stateful_callbacks.get(type(self).__name__, {})
        count = saved.get("attributes", {}).get("early_stopping_patience_counter", 0)
        self.early_stopping_patience_counter = count
