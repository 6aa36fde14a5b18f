"""Rows laid end to end keep to themselves, and nothing is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from finetune.attention import CausalProduct, row_by_row
from finetune.packing import IGNORED, end_to_end, pack

LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=40)


def llama() -> LlamaForCausalLM:
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, initializer_range=0.4,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(2)
    config = GPT2Config(
        vocab_size=64, n_positions=512, n_embd=32, n_layer=2, n_head=4, initializer_range=0.4
    )
    return GPT2LMHeadModel(config).eval()


@given(LENGTHS)
def test_no_token_and_no_label_is_lost_and_nothing_is_added(lengths: list[int]) -> None:
    rows = [
        {"input_ids": [7] * n, "labels": [IGNORED] * (n // 2) + [7] * (n - n // 2)} for n in lengths
    ]
    batch = end_to_end(rows)
    assert batch["input_ids"].tolist() == [[7] * sum(lengths)]
    # the first token of a row is no target
    assert (batch["labels"] != IGNORED).sum() == sum(n - max(n // 2, 1) for n in lengths)
    assert batch["cu_seq_lens_q"].diff().tolist() == lengths
    assert (batch["position_ids"] == 0).sum() == len(lengths)


@pytest.mark.parametrize("make", [llama, gpt2])
@settings(max_examples=12)
@given(st.lists(st.lists(st.integers(1, 63), min_size=1, max_size=60), min_size=1, max_size=8))
def test_packed_logits_equal_those_of_each_row_alone(make, rows: list[list[int]]) -> None:  # type: ignore[no-untyped-def]
    plain, packing = make(), make()
    assert pack(packing)
    batch = end_to_end([{"input_ids": ids} for ids in rows])
    del batch["labels"]
    found = packing(**batch, use_cache=False).logits[0]
    for ids, start in zip(rows, batch["cu_seq_lens_q"].tolist(), strict=False):
        alone = plain(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        torch.testing.assert_close(found[start : start + len(ids)], alone, atol=2e-4, rtol=1e-3)


def test_attention_of_short_rows_has_the_gradients_of_torchs_own() -> None:
    torch.manual_seed(4)
    parts = [torch.randn(1, heads, 150, 8, requires_grad=True) for heads in (4, 2, 2)]
    bounds = torch.tensor([0, 20, 21, 150])
    ours, _ = row_by_row(None, *parts, None, cu_seq_lens_q=bounds)
    of_ours = torch.autograd.grad(ours.square().sum(), parts)
    rows = [[part[:, :, a:b] for part in parts] for a, b in pairwise(bounds.tolist())]
    whole = [scaled_dot_product_attention(*row, is_causal=True, enable_gqa=True) for row in rows]
    theirs = torch.cat(whole, dim=2).transpose(1, 2)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(of_ours, torch.autograd.grad(theirs.square().sum(), parts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_products_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(5)
    parts = [torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *given: CausalProduct.apply(*given, 0.7), parts)


@pytest.mark.parametrize("given", [{"sliding_window": 8}, {"softcap": 30.0}], ids=str)
def test_what_the_attention_does_not_compute_is_refused(given: dict[str, float]) -> None:
    parts = [torch.randn(1, 2, 6, 4) for _ in range(3)]
    with pytest.raises(ValueError, match=next(iter(given))):
        row_by_row(None, *parts, None, cu_seq_lens_q=torch.tensor([0, 6]), **given)


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_keeps_rows_apart_says_so(make, dtype: torch.dtype) -> None:  # type: ignore[no-untyped-def]
    assert pack(make().to(dtype))


def test_a_model_that_mixes_rows_is_found_out_and_left_as_it_was() -> None:
    model = llama()
    before, forward = model.config._attn_implementation, model.forward

    def mixing(cu_seq_lens_q: torch.Tensor, **given: object) -> object:
        ends = cu_seq_lens_q[[0, -1]]
        return forward(**given, cu_seq_lens_q=ends)

    model.forward = mixing  # type: ignore[method-assign,assignment]
    assert not pack(model)
    assert model.config._attn_implementation == before


def test_a_model_with_a_sliding_window_is_left_as_it_was() -> None:
    config = MistralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=4,
    )  # fmt: skip
    assert not pack(MistralForCausalLM(config))
