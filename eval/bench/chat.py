"""chat: how soon a second turn begins, how fast eight users are answered, and one.

Arms: the product's engines, and transformers' `generate` on the same weights in the dtype that is
served, the fastest of the probe that says what the weights in fp32 say: `default` reads every turn
anew and answers one user after the other; `tuned` goes on from the keys and values of the turn
before, and answers eight users in one static batch, padded on the left.
Measures: `ttft_turn2`, milliseconds from asking to the first token of the second turn of a
conversation of 500 tokens; `users8`, tokens a second over eight users who ask at once; `decode`,
tokens a second after the first, one user alone. Every arm writes the same number of tokens.
The product takes the second turn on transformers, which has the prefix cache, the other two on the
fastest engine of this machine that says what the merged weights say. "On AVX2" OpenVINO's oneDNN
keeps to it too; its attention looks at the processor by itself.
Quality: agreement, the share of an answer's tokens that are the likeliest of the weights in fp32
given those before, ties within 1e-2 excused.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from app.core import data as references
from app.core.messages import Message
from app.models.base import ModelFailed
from eval.bench.base import PRODUCT, Arm, Bench, Contest, Measure, Outcome
from eval.bench.train_chat import rows
from eval.task import Request

if TYPE_CHECKING:
    from app.models.local_chat import LocalChat
    from app.models.transformers_chat import TransformersChat
    from app.models.weights import Weights

MODEL, DATA = "HuggingFaceTB/SmolLM2-135M-Instruct", "demo:support"
USERS, WRITTEN, TALKS, TALK_TOKENS = 8, 32, 3, 500
AGREEMENT, TIE = 0.99, 1e-2
OPENVINO = ("float32", "bfloat16", "float16")
Prompt = Sequence[int]


class Talk(NamedTuple):
    """A conversation whose second turn is timed."""

    first: Sequence[Message]
    """System and the first question."""
    second: Sequence[Message]
    """The same, its answer, and the second question."""


class Work(NamedTuple):
    """What every arm does once a round."""

    talks: Sequence[Talk]
    prompts: Sequence[Prompt]
    """One a user."""
    exact: TransformersChat
    """The weights in fp32, which say what is right."""
    plain: TransformersChat
    """In the dtype that is served; its model is the peers' too."""


def build(request: Request) -> Contest:
    """Load the engines, find the fastest that agrees with the weights."""
    from app.core.release import Engine
    from app.models.dtype import FP32, choose
    from app.models.load import resolve
    from app.models.transformers_chat import TransformersChat

    ref = request.data or DATA
    weights = resolve(MODEL)
    exact = TransformersChat(weights.folder)
    asked = _asked(ref, min(request.limit or USERS, USERS))
    prompts = [exact.prompt_ids(messages) for messages in asked]
    dtype = choose([FP32, Engine(engine="transformers", dtype="bfloat16")], "decode")
    plain = exact if dtype == "float32" else TransformersChat(weights.folder, dtype=dtype)
    if plain is not exact and not cleared(f"transformers {dtype}", plain, exact, prompts):
        plain, dtype = exact, "float32"
    work = Work(talks(ref, exact, min(request.limit or TALKS, TALKS)), prompts, exact, plain)
    engines = {f"transformers {dtype}": plain, **openvino(weights, work)}
    fastest = {
        "users8": best(engines, lambda chat: users(chat, work.prompts)),
        "decode": best(engines, lambda chat: decode(chat, work.prompts[0])),
    }
    used = ", ".join(f"{measure} on {name}" for measure, name in fastest.items())
    arms = [
        Arm(PRODUCT, f"ttft_turn2 on transformers {dtype}, {used}",
            partial(product, work, {m: engines[name] for m, name in fastest.items()})),
        Arm("default", f"generate, {dtype}: every turn anew, one user after the other",
            partial(peer, work, False)),
        Arm("tuned", f"generate, {dtype}: goes on from the first turn's cache; one static batch",
            partial(peer, work, True)),
    ]  # fmt: skip
    line = (
        f"{len(work.talks)} second turns of {TALK_TOKENS} tokens, {len(work.prompts)} users at "
        f"once, {WRITTEN} tokens for each, on {MODEL}, questions of {ref}."
    )
    data = {"ref": ref, "sha256": references.sha256_of(f"{ref}#dev"), "limit": request.limit}
    identity = {"data": data, "model": weights.record().model_dump(exclude_none=True)}
    return Contest(arms, line, None, identity)


def talks(ref: str, chat: TransformersChat, count: int) -> list[Talk]:
    """Conversations on the demo's articles, the second prompt of about TALK_TOKENS tokens."""
    texts = [str(doc["text"]) for doc in references.corpus(ref).docs if doc.get("lang") != "zh"]
    made = []
    for number in range(count):
        words = " ".join(texts[number::count]).split()[:TALK_TOKENS]
        while True:
            first = [Message(role="system", content="You are the help desk of a tea shop."),
                     Message(role="user", content=f"{' '.join(words)}\nWhat is free?")]  # fmt: skip
            second = [*first, Message(role="assistant", content=" ".join(words[:12])),
                      Message(role="user", content="And how long do I have for that?")]  # fmt: skip
            over = len(chat.prompt_ids(second)) - TALK_TOKENS
            if over <= 0:
                break
            words = words[: -max(1, over // 8)]
        made.append(Talk(first, second))
    return made


def openvino(weights: Weights, work: Work) -> dict[str, LocalChat]:
    """OpenVINO in each dtype in which it says what the weights say; nothing where it is missing."""
    from app.models import openvino_chat
    from app.models.local_chat import LocalChat

    if not openvino_chat.installed():
        return {}
    file, found = openvino_chat.merged_file(weights), dict[str, LocalChat]()
    for dtype in OPENVINO:
        chat = openvino_chat.OpenVINOChat(file, weights.folder, dtype)
        name = f"openvino {dtype}"
        if chat.dtype == dtype and cleared(name, chat, work.exact, work.prompts):
            found[name] = chat
    return found


def cleared(name: str, chat: LocalChat, exact: TransformersChat, prompts: Sequence[Prompt]) -> bool:
    """Whether `chat` says what the weights in fp32 say, as parity asks before it may serve."""
    try:
        said = users(chat, prompts)[1]
    except ModelFailed as failed:  # as bf16 does where oneDNN is kept to AVX2
        print(f"{name} cannot answer here: {failed}", file=sys.stderr)
        return False
    scores = [agreement(exact, *pair) for pair in zip(prompts, said, strict=True)]
    found = sum(scores) / len(scores)
    print(f"{name}: {found:.1%} of its tokens are the likeliest of the weights", file=sys.stderr)
    return found >= AGREEMENT


def best(engines: Mapping[str, LocalChat], speed: Callable[[LocalChat], Any]) -> str:
    """The engine of the highest speed. Each has answered before, and is warm."""
    return max(engines, key=lambda name: float(speed(engines[name])[0]))


def product(work: Work, engines: Mapping[str, LocalChat]) -> Outcome:
    """The three measures on our engines."""
    from app.models.base import Options
    from app.models.prefix import PrefixCache

    work.plain.rows.prefix = PrefixCache()  # of earlier rounds nothing is known
    waits = []
    for talk in work.talks:
        list(work.plain.stream(talk.first, Options(max_new_tokens=2)))
        began = time.perf_counter()
        list(work.plain.stream(talk.second, Options(max_new_tokens=1)))
        waits.append(time.perf_counter() - began)
    many, answers = users(engines["users8"], work.prompts)
    alone, answer = decode(engines["decode"], work.prompts[0])
    return _outcome(work, waits, many, alone, [*answers, answer])


def users(chat: LocalChat, prompts: Sequence[Prompt]) -> tuple[float, list[list[int]]]:
    """(tokens a second, answers) where all ask at once, each in a thread; raises what one does."""

    def ask(prompt: Prompt) -> list[int]:
        return list(chat.written(prompt, WRITTEN))

    with ThreadPoolExecutor(len(prompts)) as pool:
        began = time.perf_counter()
        answers = list(pool.map(ask, prompts))
        return sum(map(len, answers)) / (time.perf_counter() - began), answers


def decode(chat: LocalChat, prompt: Prompt) -> tuple[float, list[int]]:
    """(tokens a second after the first, answer) of one user alone."""
    stream = chat.written(prompt, WRITTEN)
    first, began = next(stream), time.perf_counter()
    rest = list(stream)
    return len(rest) / (time.perf_counter() - began), [first, *rest]


def peer(work: Work, tuned: bool) -> Outcome:
    """The three measures on `generate`."""
    model = work.plain.model
    waits = []
    for talk in work.talks:
        first, second = (work.plain.prompt_ids(m) for m in (talk.first, talk.second))
        cache = _read(model, first) if tuned else None
        began = time.perf_counter()
        generated(model, [second], 1, cache=cache)
        waits.append(time.perf_counter() - began)
    batch = [work.prompts] if tuned else [[prompt] for prompt in work.prompts]
    began = time.perf_counter()
    answers = [answer for each in batch for answer in generated(model, each, WRITTEN)[0]]
    many = sum(map(len, answers)) / (time.perf_counter() - began)
    (answer,), times = generated(model, [work.prompts[0]], WRITTEN)
    alone = (len(times) - 1) / (times[-1] - times[0])
    return _outcome(work, waits, many, alone, [*answers, answer])


def generated(
    model: Any, prompts: Sequence[Prompt], count: int, cache: Any = None
) -> tuple[list[list[int]], list[float]]:
    """(answers of `count` tokens, the time of each token) by transformers' `generate`."""
    import torch
    from transformers import GenerationConfig
    from transformers.generation.streamers import BaseStreamer

    class Clock(BaseStreamer):
        times: list[float] = []  # noqa: RUF012

        def put(self, value: Any) -> None:
            del value
            self.times = [*self.times, time.perf_counter()]

        def end(self) -> None:
            """Nothing is left to write."""

    clock, longest = Clock(), max(map(len, prompts))
    ids = [[0] * (longest - len(prompt)) + [*prompt] for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    config = GenerationConfig(max_new_tokens=count, do_sample=False, pad_token_id=0)  # type: ignore[no-untyped-call]
    kept = model.generation_config
    model.generation_config = config  # its end token would end some answers sooner
    try:
        made = model.generate(
            input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask),
            generation_config=config, streamer=clock, past_key_values=cache,
        )  # fmt: skip
    finally:
        model.generation_config = kept
    return made[:, longest:].tolist(), clock.times[1:]


def _read(model: Any, prompt: Prompt) -> Any:
    """Keys and values of `prompt`, as a turn leaves them."""
    import torch

    with torch.inference_mode():
        return model(torch.tensor([prompt]), use_cache=True, logits_to_keep=1).past_key_values


def agreement(exact: TransformersChat, prompt: Prompt, answer: Sequence[int]) -> float:
    """The share of tokens that `exact` would write given those before, ties excused."""
    logits = exact.logits(prompt, answer)
    said = [float(row[token]) for row, token in zip(logits, answer, strict=True)]
    likeliest = logits.max(-1).values.tolist()
    right = sum(bool(top - own < TIE) for top, own in zip(likeliest, said, strict=True))
    return right / len(answer)


def _asked(ref: str, count: int) -> list[list[Message]]:
    made = rows(f"{ref}#dev", count)
    return [[Message(**message) for message in row["prompt"]] for row in made]  # type: ignore[arg-type]


def _outcome(
    work: Work, waits: Sequence[float], many: float, alone: float, answers: Sequence[Sequence[int]]
) -> Outcome:
    prompts = [*work.prompts, work.prompts[0]]
    scores = [agreement(work.exact, p, a) for p, a in zip(prompts, answers, strict=True)]
    speeds = {"ttft_turn2": median(waits) * 1000, "users8": many, "decode": alone}
    return Outcome(speeds, scores)


BENCH = Bench(
    name="chat",
    peer="transformers' generate",
    measures=(
        Measure("ttft_turn2", "ms", False),
        Measure("users8", "tokens/s", True),
        Measure("decode", "tokens/s", True),
    ),
    quality="agreement",
    needs={},
    packages=(),
    build=build,
    names={
        "default_speedup": "ttft_turn2_speedup",
        "tuned_speedup": "ttft_turn2_tuned_speedup",
        "users8_default_speedup": "users8_speedup",
        "decode_default_speedup": "decode_speedup",
    },
    headline="users8_tuned_speedup",
)
