"""LoRA's fused linear layers give PEFT's numbers, forward and backward."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from finetune.fused import LoraProduct, fuse


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 10)
        self.second = nn.Linear(10, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def tuned(dropout: float = 0.0, **options: object) -> nn.Module:
    torch.manual_seed(3)
    config = LoraConfig(
        r=3, lora_alpha=6, lora_dropout=dropout, target_modules=["first", "second"], **options
    )
    model = get_peft_model(Two(), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return model


def gradients(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    out = model(x)
    out.square().sum().backward()
    return out, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_output_and_gradients_are_those_of_peft() -> None:
    x = torch.randn(5, 7, 6, generator=torch.Generator().manual_seed(1))
    plain, fused = tuned(), tuned()
    assert fuse(fused) == 2
    (theirs, of_theirs), (ours, of_ours) = gradients(plain, x), gradients(fused, x)
    torch.testing.assert_close(ours, theirs)
    assert of_ours.keys() == of_theirs.keys()
    assert len(of_ours) == 4
    for name in of_ours:
        torch.testing.assert_close(of_ours[name], of_theirs[name], rtol=1e-4, atol=1e-4)


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(5)
    x, a, b = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in
               ((2, 3, 4), (2, 4), (5, 2)))  # fmt: skip
    weight, bias = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, a, b: LoraProduct.apply(x, weight, bias, a, b, 1.5), (x, a, b)
    )


def test_rslora_keeps_its_scale() -> None:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    plain, fused = tuned(use_rslora=True), tuned(use_rslora=True)
    fuse(fused)
    torch.testing.assert_close(fused(x), plain(x))


@pytest.mark.parametrize("model", [tuned(dropout=0.1), tuned(use_dora=True)], ids=["drop", "dora"])
def test_what_it_does_not_know_stays_as_peft_has_it(model: nn.Module) -> None:
    assert fuse(model) == 0


def test_a_disabled_adapter_leaves_the_base() -> None:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    model = tuned()
    base = model.get_base_model()
    fuse(model)
    with model.disable_adapter():
        off = model(x)
    wanted = base.second.base_layer(torch.tanh(base.first.base_layer(x)))
    torch.testing.assert_close(off, wanted)
    assert not torch.allclose(model(x), off)


def test_bf16_weights_give_fp32_gradients_of_the_adapter() -> None:
    model = tuned()
    fuse(model)
    for name, parameter in model.named_parameters():
        if "lora" not in name:
            parameter.data = parameter.data.bfloat16()
    _, found = gradients(model, torch.randn(4, 6).bfloat16())
    assert {g.dtype for g in found.values()} == {torch.float32}
