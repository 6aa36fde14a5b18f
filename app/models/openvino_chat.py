"""ChatModel on OpenVINO (extra `cpu`): a merged F16 GGUF of our own, its scheduler, its kernels.

The packaged Q4_1 file is never loaded, since it answers differently, nor is an adapter given to
OpenVINO, which ignores one beside a GGUF: app.models.merged_gguf merges it. Prompts go in and
answers come out as tokens, so that its own tokenizer and template have no say. Its prefix cache
stays off: in 2026.4.1, prompts that begin alike and are read at once write into each other's
blocks, and 14 of 144 next tokens were others (tests/test_openvino_chat.py asks the same way).
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.core.errors import AppError, NotFound
from app.core.files import cache_dir, writable
from app.models.base import Options
from app.models.batcher import Ticket
from app.models.local_chat import LocalChat
from app.models.weights import Weights, cached_sha256

log = logging.getLogger(__name__)
INSTALL = "pip install -e '.[cpu]'"
KV_GB = 1
"""Keys and values of all conversations; a token of a 135M model takes 46 kB in f32."""
MOST_ROWS, READ = 16, 256
"""Answers at once, and tokens that a step reads and writes in all."""
_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f32"}
"""By dtype, what OpenVINO computes in. float16: weights lie in F16, products are added in f32."""


class OpenVINOChat(LocalChat):
    """The model of the GGUF `file`, spoken to through the tokenizer in `folder`.

    `dtype` is float32, bfloat16, or float16, in which weights stay in half the memory and are
    fetched in half the time, while everything is still added up in f32 (app.models.openvino_half);
    afterwards what it became: one that cannot be compiled here falls back to float32.
    Raises NotFound with the command that installs OpenVINO where it is missing.
    """

    def __init__(self, file: Path, folder: Path, dtype: str = "float32", name: str = "") -> None:
        from transformers import AutoConfig, GenerationConfig

        from app.models.loading import tokenizer
        from app.models.transformers_chat import end_tokens

        loaded = tokenizer(folder)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        generation = config
        if (folder / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
        pipeline, self.dtype = _pipeline(file, dtype)
        super().__init__(
            name or folder.name, loaded, _PipelineRows(pipeline), end_tokens(generation, loaded),
            getattr(config, "max_position_embeddings", None),
        )  # fmt: skip

    def predicted(self, prompt: Sequence[int], answer: Sequence[int]) -> list[int]:
        """The likeliest token at each place of `answer`, given `prompt` and the answer up to it.

        As long as its own greedy answer follows `answer`, that is what it predicts; from where it
        departs, it is asked anew.
        """
        said: list[int] = []
        while len(said) < len(answer):
            known = len(said)
            begun = [*prompt, *answer[:known]]
            for token in self.written(begun, len(answer) - known):
                said.append(token)
                if token != answer[len(said) - 1]:
                    break
        return said


class _PipelineRows:
    """app.models.batcher.Rows on OpenVINO's continuous batching."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self._numbers = itertools.count()
        self._handles: dict[Ticket, Any] = {}

    def room(self, ticket: Ticket) -> bool:
        """See Rows; OpenVINO's own scheduler minds the memory."""
        del ticket
        return len(self._handles) < MOST_ROWS

    def join(self, ticket: Ticket) -> None:
        """See Rows."""
        import numpy as np
        import openvino

        prompt = openvino.Tensor(np.array([ticket.prompt], dtype=np.int64))
        asked = _generation(ticket.options)
        self._handles[ticket] = self.pipeline.add_request(next(self._numbers), prompt, asked)

    def step(self) -> list[tuple[Ticket, int]]:
        """See Rows. Raises AppError where OpenVINO gives up on one, as when its memory is full."""
        self.pipeline.step()
        said = []
        for ticket, handle in self._handles.items():
            if handle.can_read():
                for output in handle.read().values():
                    said += [(ticket, int(token)) for token in output.generated_ids]
        if not said and not self.pipeline.has_non_finished_requests():
            raise AppError(f"OpenVINO ended {len(self._handles)} answers before their end")
        return said

    def leave(self, ticket: Ticket) -> None:
        """See Rows."""
        self._handles.pop(ticket).cancel()

    def clear(self) -> None:
        """See Rows."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles = {}


def installed() -> bool:
    """Whether the extra `cpu` is."""
    from importlib.util import find_spec

    return find_spec("openvino_genai") is not None


def merged_file(weights: Weights, adapter: Path | None = None) -> Path:
    """The GGUF of `weights` with `adapter` merged: written once under FRONTDESK_CACHE.

    Raises InputError for an architecture that has no GGUF here.
    """
    from app.core.release import ADAPTER_FILE
    from app.models import merged_gguf
    from app.models.transformers_chat import TransformersChat

    update = cached_sha256(adapter / ADAPTER_FILE)[:16] if adapter else "base"
    name = f"{weights.sha256[:16]}-{update}-{merged_gguf.VERSION}.gguf"
    file = writable(cache_dir() / "gguf") / name
    if not file.is_file():
        chat = TransformersChat(weights.folder, adapter)
        merged_gguf.write(chat.model, chat.tokenizer, file, weights.ref)
    return file


def _generation(options: Options) -> Any:
    """Ends are found by the batcher; OpenVINO only counts."""
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos = options.max_new_tokens, True
    config.do_sample = options.temperature > 0
    if config.do_sample:
        config.temperature = options.temperature
        config.rng_seed = random.getrandbits(31) if options.seed is None else options.seed
    return config


def _pipeline(file: Path, dtype: str) -> tuple[Any, str]:
    if not installed():
        raise NotFound(f"OpenVINO is not installed here: {INSTALL}")
    try:
        return _compiled(file, dtype), dtype
    except (AppError, OSError, RuntimeError) as error:  # OSError: no room for its own form
        if dtype == "float32":
            raise
        first = str(error).strip().splitlines()[0]
        log.warning("OpenVINO in %s failed (%s): float32 instead", dtype, first[:200])
        return _compiled(file, "float32"), "float32"


def _compiled(file: Path, dtype: str) -> Any:
    import openvino_genai

    from app.models import openvino_half

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching, scheduler.cache_size = False, KV_GB
    scheduler.max_num_seqs, scheduler.max_num_batched_tokens = MOST_ROWS, READ
    exact = {  # by itself it keeps keys and values in eight bits
        "INFERENCE_PRECISION_HINT": _HINTS[dtype],
        "KV_CACHE_PRECISION": _HINTS[dtype],
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    }
    if dtype != "float16":
        return openvino_genai.ContinuousBatchingPipeline(str(file), scheduler, "CPU", exact)
    return openvino_genai.ContinuousBatchingPipeline(
        str(openvino_half.folder(file)), openvino_genai.Tokenizer(str(file)), scheduler, "CPU",
        **exact,
    )  # fmt: skip
