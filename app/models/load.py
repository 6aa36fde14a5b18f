"""From a model reference to an engine that answers: what services, eval and finetune call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.core.release import Engine
from app.models.base import ChatModel
from app.models.encoder import HashEncoder, MiniLM, TextEncoder
from app.models.references import resolve
from app.models.scripted import ScriptedChat
from app.models.weights import Weights


def chat_model(
    weights: Weights, adapter: Path | None = None, engines: Sequence[Engine] = ()
) -> ChatModel:
    """The chat engine for `weights`, in the fastest dtype that `engines` lists (fp32 always)."""
    if weights.kind == "scripted":
        return ScriptedChat()
    from app.models.dtype import choose
    from app.models.transformers_chat import TransformersChat

    return TransformersChat(weights.folder, adapter, choose(engines, "decode"), weights.ref)


def text_encoder(weights: Weights, engines: Sequence[Engine] = ()) -> TextEncoder:
    """The encoder for `weights`, in the fastest dtype that `engines` lists (fp32 always)."""
    if weights.kind == "scripted":
        return HashEncoder()
    from app.models.dtype import choose

    return MiniLM(weights.folder, choose(engines, "encode"), weights.ref)


__all__ = ["chat_model", "resolve", "text_encoder"]
