"""ChatModel on transformers, with a PEFT adapter: streaming, cancellable, one answer at a time.

The token loop is ours, so that a stop takes hold at the next token. It runs in a thread, so that a
slow reader of the stream does not keep the model from the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch
from transformers import GenerationConfig

from app.core.errors import InputError, TooLarge
from app.core.messages import Message
from app.models import adapters
from app.models.base import GREEDY, Delta, Finish, Options
from app.models.loading import causal_model, tokenizer

_POLL_S = 0.05


class TransformersChat:
    """A causal language model in a folder that answers conversations.

    The adapter is merged into the weights in fp32 before the cast to `dtype`: unmerged, it takes a
    quarter of the decode speed. Raises InputError where the tokenizer has no chat template.
    """

    def __init__(
        self, folder: Path, adapter: Path | None = None, dtype: str = "float32", name: str = ""
    ) -> None:
        self.name = name or folder.name
        self.tokenizer = tokenizer(folder)
        if not self.tokenizer.chat_template:
            raise InputError(f"{folder} has no chat template: it is not a chat model")
        self.model = causal_model(folder, "float32" if adapter else dtype)
        if adapter:
            self.model = adapters.merged(self.model, adapter)
        self.model = self.model.to(getattr(torch, dtype)).eval()
        self._ends = _end_tokens(self.model, self.tokenizer)
        self._busy = threading.Lock()

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the rendered conversation, up to where the answer begins.

        Control tokens that stand in a message are spelled out as text, so that no user can open a
        system turn.
        """
        rendered = self.tokenizer.apply_chat_template(
            [m.model_dump() for m in messages],
            add_generation_prompt=True,
            return_dict=True,
            sanitize_control_tokens=True,
        )
        ids: list[int] = rendered["input_ids"]
        return ids

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,
        cancel: threading.Event | None = None,
    ) -> Iterator[Delta]:
        """The answer, token by token. Raises TooLarge where it might not fit into the context."""
        began = time.monotonic()
        prompt = self._fitting(messages, options)
        closed = threading.Event()
        out: SimpleQueue[Delta | BaseException] = SimpleQueue()

        def stopped() -> Finish | None:
            if closed.is_set() or (cancel is not None and cancel.is_set()):
                return "cancelled"
            late = options.deadline_s is not None and time.monotonic() - began > options.deadline_s
            return "length" if late else None

        work = threading.Thread(
            target=self._work, args=(prompt, options, stopped, out), daemon=True, name="answer"
        )
        work.start()
        try:
            while True:
                item = out.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
                if item.done:
                    return
        finally:
            closed.set()

    def generate_batch(
        self,
        conversations: Sequence[Sequence[Message]],
        options: Options = GREEDY,
        batch_size: int = 16,
    ) -> list[Delta]:
        """Greedy answers, in order, several at a time, each in one Delta: for evaluation.

        In fp32 the same texts and endings as `stream`. Padded on the left; prompts of about the
        same length share a batch; a deadline holds for a batch. Raises InputError for a temperature
        above 0.
        """
        if options.temperature > 0:
            raise InputError("generate_batch is greedy: expected temperature 0")
        prompts = [self._fitting(messages, options) for messages in conversations]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [Delta("")] * len(prompts)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            with self._busy:
                batch = self._greedy([prompts[i] for i in rows], options)
            for row, answer in zip(rows, batch, strict=True):
                answers[row] = answer
        return answers

    def _fitting(self, messages: Sequence[Message], options: Options) -> list[int]:
        prompt = self.prompt_ids(messages)
        room = getattr(self.model.config, "max_position_embeddings", None)
        if room is not None and len(prompt) + options.max_new_tokens > room:
            raise TooLarge(
                f"the conversation has {len(prompt)} tokens and the answer may have "
                f"{options.max_new_tokens}; {self.name} reads {room} in all"
            )
        return prompt

    def _work(
        self,
        prompt: list[int],
        options: Options,
        stopped: Callable[[], Finish | None],
        out: SimpleQueue[Delta | BaseException],
    ) -> None:
        """Fill `out`; whatever goes wrong is raised by the reader."""
        try:
            while not self._busy.acquire(timeout=_POLL_S):
                if finish := stopped():
                    out.put(Delta("", done=True, finish=finish))
                    return
            try:
                for delta in self._answer(prompt, options, stopped):
                    out.put(delta)
            finally:
                self._busy.release()
        except BaseException as error:
            out.put(error)

    @torch.inference_mode()
    def _answer(
        self, prompt: list[int], options: Options, stopped: Callable[[], Finish | None]
    ) -> Iterator[Delta]:
        """The token loop. Text is held back while it ends within a character of several tokens."""
        draw = _sampler(options, self.model.device)
        ids: list[int] = []
        text, cache = "", None
        step = torch.tensor([prompt], device=self.model.device)
        finish: Finish | None = None
        while finish is None:
            if finish := stopped():
                break
            made = self.model(
                input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache, token = made.past_key_values, draw(made.logits[0, -1])
            if token in self._ends:
                finish = "stop"
                break
            ids.append(token)
            step = torch.tensor([[token]], device=self.model.device)
            finish = "length" if len(ids) >= options.max_new_tokens else None
            whole = self._decode(ids)
            if not whole.endswith("\ufffd"):
                yield Delta(whole[len(text) :], tokens=len(ids))
                text = whole
        yield Delta(self._decode(ids)[len(text) :], done=True, finish=finish, tokens=len(ids))

    @torch.inference_mode()
    def _greedy(self, prompts: Sequence[Sequence[int]], options: Options) -> list[Delta]:
        """Answers to one batch, padded on the left so that all answers begin at the same place."""
        longest, pad = max(map(len, prompts)), self.tokenizer.pad_token_id
        ids = [[*[pad] * (longest - len(p)), *p] for p in prompts]
        mask = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
        made = self.model.generate(
            input_ids=torch.tensor(ids, device=self.model.device),
            attention_mask=torch.tensor(mask, device=self.model.device),
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                max_new_tokens=options.max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(self._ends),
                pad_token_id=pad,
                max_time=options.deadline_s,
            ),
        )
        return [self._whole(row) for row in made[:, longest:].tolist()]

    def _whole(self, ids: list[int]) -> Delta:
        """The answer in `ids`, which go on with padding after its end token."""
        end = next((i for i, token in enumerate(ids) if token in self._ends), None)
        finish: Finish = "length" if end is None else "stop"
        return Delta(self._decode(ids[:end]), True, finish, len(ids[:end]))

    def _decode(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a turn: those of the generation config, and the tokenizer's own."""
    configured = model.generation_config.eos_token_id
    many = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*many, tokenizer.eos_token_id) if i is not None)


def _sampler(options: Options, device: torch.device) -> Callable[[torch.Tensor], int]:
    """logits (V,) -> token id."""
    if options.temperature <= 0:
        return lambda logits: int(logits.argmax())
    generator = torch.Generator(device)
    if options.seed is None:
        generator.seed()
    else:
        generator.manual_seed(options.seed)

    def draw(logits: torch.Tensor) -> int:
        likely = (logits.float() / options.temperature).softmax(-1)
        return int(torch.multinomial(likely, 1, generator=generator))

    return draw
