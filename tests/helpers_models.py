"""Tiny random models with real tokenizers, made without a network, and the ChatModel contract."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.messages import Message
from app.models.base import ChatModel, Delta, Options, complete

CORPUS = [
    "You are the help desk of an online shop. Answer from the passages only.",
    "Passages:\n[1] Orders over 40 euros ship free of charge.\n\nQuestion: what is shipping?",
    "Returns are free within 30 days. Refunds take 5 working days.",
    "the film is wonderful and moving, the plot is dull and a waste of time",
    "this movie was great, that one was terrible; good acting, bad script",
    "I could not find that in our help articles, so I would rather not guess.",
    "我可以退货吗？退款需要五个工作日。满四十欧元包邮。",
    "How do I clean my kettle? Where is my order? Can I pay by invoice?",
]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_llama(folder: Path, seed: int = 0) -> Path:
    """A Llama-shaped chat model (2 layers, 32 wide) with byte-level BPE and a ChatML template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.chat_template = CHATML
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.bos_token = "<|im_start|>"
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,  # wide, so that greedy choices are clear and answers vary
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _saved(LlamaForCausalLM(config), tokenizer, folder)


def tiny_gpt2(folder: Path, seed: int = 0) -> Path:
    """A GPT-2-shaped model (2 layers, 32 wide) whose tokenizer, like GPT-2's, has no pad token."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = _byte_level(["<|endoftext|>"])
    tokenizer.eos_token = tokenizer.bos_token = "<|endoftext|>"
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _saved(GPT2LMHeadModel(config), tokenizer, folder)


def tiny_bert(folder: Path, seed: int = 0) -> Path:
    """A BERT-shaped encoder (2 layers, 32 wide) with an uncased WordPiece tokenizer."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(CORPUS, vocab_size=400, min_frequency=1, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        unk_token="[UNK]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        mask_token="[MASK]",
        model_max_length=512,
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _saved(BertModel(config), tokenizer, folder)


class ChatModelContract:
    """What every ChatModel keeps. Subclasses give the fixture `model`.

    `asked` must make it say four tokens or more.
    """

    @pytest.fixture
    def asked(self) -> list[Message]:
        text = (
            "Passages:\n[1] Orders over 40 euros ship free of charge to every place in the Union."
        )
        return [
            Message(role="system", content="You are the help desk of an online shop."),
            Message(role="user", content=f"{text}\n\nQuestion: do orders over 40 euros ship free?"),
        ]

    def test_only_the_last_delta_is_done_and_says_why(
        self, model: ChatModel, asked: list[Message]
    ) -> None:
        *before, last = model.stream(asked, Options(max_new_tokens=12))
        assert len(before) >= 2
        assert not any(delta.done or delta.finish for delta in before)
        assert last.done
        assert last.finish in ("stop", "length")

    def test_tokens_are_counted_up_to_the_end(self, model: ChatModel, asked: list[Message]) -> None:
        counts = [delta.tokens for delta in model.stream(asked, Options(max_new_tokens=12))]
        assert counts == sorted(counts)
        assert 4 <= counts[-1] <= 12

    def test_joined_deltas_are_the_complete_answer(
        self, model: ChatModel, asked: list[Message]
    ) -> None:
        deltas = list(model.stream(asked, Options(max_new_tokens=12)))
        assert "".join(d.text for d in deltas) == complete(model, asked, Options(max_new_tokens=12))

    def test_too_few_tokens_end_with_length(self, model: ChatModel, asked: list[Message]) -> None:
        last = list(model.stream(asked, Options(max_new_tokens=3)))[-1]
        assert (last.finish, last.tokens) == ("length", 3)

    def test_a_deadline_cuts_the_answer(self, model: ChatModel, asked: list[Message]) -> None:
        last = list(model.stream(asked, Options(deadline_s=0.0)))[-1]
        assert (last.finish, last.tokens) == ("length", 0)

    def test_a_set_event_stops_before_the_first_token(
        self, model: ChatModel, asked: list[Message]
    ) -> None:
        cancel = threading.Event()
        cancel.set()
        assert list(model.stream(asked, cancel=cancel)) == [
            Delta("", done=True, finish="cancelled", tokens=0)
        ]

    def test_an_event_set_midway_stops_within_a_second(
        self, model: ChatModel, asked: list[Message]
    ) -> None:
        cancel = threading.Event()
        stream = model.stream(asked, Options(max_new_tokens=800), cancel)
        next(stream)
        cancel.set()
        began = time.monotonic()
        last = list(stream)[-1]
        assert last.finish == "cancelled"
        assert time.monotonic() - began < 1.0

    def test_closing_the_stream_leaves_no_thread_after_a_second(
        self, model: ChatModel, asked: list[Message]
    ) -> None:
        before = set(threading.enumerate())
        stream = model.stream(asked, Options(max_new_tokens=800))
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert _gone(before, within_s=1.0)

    def test_two_streams_at_once_say_what_each_says_alone(
        self, model: ChatModel, asked: list[Message]
    ) -> None:
        options = Options(max_new_tokens=8)
        other = [Message(role="user", content="[1] Refunds take five days.\nQuestion: refunds?")]
        alone = [complete(model, asked, options), complete(model, other, options)]
        first, second = model.stream(asked, options), model.stream(other, options)
        started = [next(first).text, next(second).text]
        rest = ["".join(d.text for d in stream) for stream in (first, second)]
        assert [a + b for a, b in zip(started, rest, strict=True)] == alone


def _gone(before: set[threading.Thread], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not set(threading.enumerate()) - before:
            return True
        time.sleep(0.01)
    return False


def _byte_level(special: Sequence[str]):  # type: ignore[no-untyped-def]
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        CORPUS, vocab_size=400, min_frequency=2, special_tokens=list(special), show_progress=False
    )
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, model_max_length=1024)


def _saved(model, tokenizer, folder: Path) -> Path:  # type: ignore[no-untyped-def]
    import torch

    from app.models.loading import quiet

    torch.set_num_threads(1)  # on 32-wide matrices, two threads spend their time waiting
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
