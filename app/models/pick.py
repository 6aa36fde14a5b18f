"""Which engine serves a chat: the fastest here among the pairs that its release lists.

Where only transformers is listed, app.models.dtype decides on matrix products alone. Another engine
is faster for what lies between the products, so each pair reads and writes a little with the very
weights that it would serve; a few seconds, remembered for this machine and these weights.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.core.errors import AppError
from app.core.messages import Message
from app.core.release import ADAPTER_FILE, Engine
from app.models import dtype as dtypes
from app.models import openvino_chat
from app.models.base import ChatModel, Options
from app.models.local_chat import LocalChat
from app.models.memory import remembered
from app.models.weights import Weights, cached_sha256

log = logging.getLogger(__name__)
_WRITTEN = 16


def best(weights: Weights, adapter: Path | None, engines: Sequence[Engine]) -> ChatModel:
    """The fastest engine for `weights` with `adapter` that `engines` lists and this machine has."""
    makers = candidates(weights, adapter, engines)
    plain, *others = makers
    if not others:
        return makers[plain]()
    update = cached_sha256(adapter / ADAPTER_FILE) if adapter else "base"
    pairs = ",".join(makers)
    key = f"{dtypes.machine_key()}|{weights.sha256}|{update}|{pairs}"
    found = remembered("engines.json", key, lambda: {p: _cost(makers[p]) for p in makers})
    log.info("engine probe of %s: %s", key, found)
    for pair in sorted(makers, key=lambda p: float(found[p])):
        try:
            return makers[pair]()
        except (AppError, RuntimeError) as error:
            log.warning("%s cannot serve (%s): the next best does", pair, error)
    raise AssertionError("transformers in fp32 is always a candidate")


def candidates(
    weights: Weights, adapter: Path | None, engines: Sequence[Engine]
) -> dict[str, Callable[[], LocalChat]]:
    """By `engine/dtype`, how to load it; transformers in its best dtype comes first.

    A merged file that is not the one whose parity was shown is left out, and logged.
    """
    chosen = dtypes.choose(engines, "decode")

    def plain() -> LocalChat:
        from app.models.transformers_chat import TransformersChat

        return TransformersChat(weights.folder, adapter, chosen, weights.ref)

    found: dict[str, Callable[[], LocalChat]] = {f"transformers/{chosen}": plain}
    for engine in engines:
        if engine.engine == "openvino" and openvino_chat.installed():
            file = openvino_chat.merged_file(weights, adapter)
            if cached_sha256(file) != engine.parity.get("sha256"):
                log.warning("%s is not the file whose parity was shown: left out", file)
                continue
            found[f"openvino/{engine.dtype}"] = _openvino(file, weights, engine.dtype)
    return found


def _openvino(file: Path, weights: Weights, dtype: str) -> Callable[[], LocalChat]:
    return lambda: openvino_chat.OpenVINOChat(file, weights.folder, dtype, weights.ref)


def _cost(make: Callable[[], LocalChat]) -> float:
    """Seconds for a token of an answer, with the prompt tokens that are read for it."""
    try:
        chat = make()
    except (AppError, RuntimeError) as error:
        log.warning("an engine cannot be loaded: %s", error)
        return 1e9
    costs = []
    for number in range(3):  # the first sets kernels up
        words = " ".join(f"{number}{n}" for n in range(40))  # nothing that was read before
        messages = [Message(role="user", content=f"Say it again: {words}")]
        began = time.perf_counter()
        stream = chat.stream(messages, Options(max_new_tokens=_WRITTEN))
        next(stream)
        first = time.perf_counter() - began
        count = [delta.tokens for delta in stream][-1]
        rest = (time.perf_counter() - began - first) / max(count - 1, 1)
        read = first / len(chat.prompt_ids(messages))
        costs.append(rest + dtypes.READ_FOR_A_TOKEN_WRITTEN * read)
    return min(costs)
