"""From a model reference to an engine that answers: what services, eval and finetune call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.core.release import Base, Engine
from app.models.base import ChatModel
from app.models.encoder import HashEncoder, SentenceEncoder, TextEncoder
from app.models.openai_chat import OpenAIChat, Remote
from app.models.references import parse, resolve
from app.models.scripted import ScriptedChat
from app.models.weights import Weights


def chat_model(
    weights: Weights, adapter: Path | None = None, engines: Sequence[Engine] = ()
) -> ChatModel:
    """The fastest engine and dtype for `weights` that `engines` lists (fp32 here always)."""
    if weights.kind == "scripted":
        return ScriptedChat()
    from app.models.pick import best

    return best(weights, adapter, engines)


def chat_of(ref: str) -> tuple[ChatModel, Base | Remote]:
    """The chat engine that a model reference names, without adapter, and what it is for reports.

    A server is not contacted. Raises what `parse` and `resolve` raise.
    """
    reference = parse(ref)
    if reference.url is not None:
        return OpenAIChat(reference.url, reference.name), Remote(ref=ref, name=reference.name)
    weights = resolve(ref)
    return chat_model(weights), weights.record()


def described(remote: Remote) -> Remote:
    """`remote` with what its server says that it is. Raises as OpenAIChat.reported does."""
    reference = parse(remote.ref)
    assert reference.url is not None
    said = OpenAIChat(reference.url, reference.name).reported()
    return remote.model_copy(update={"reported": said})


def text_encoder(weights: Weights, engines: Sequence[Engine] = ()) -> TextEncoder:
    """The encoder for `weights`, in the fastest dtype that `engines` lists (fp32 always)."""
    if weights.kind == "scripted":
        return HashEncoder()
    from app.models.dtype import choose

    return SentenceEncoder(weights.folder, choose(engines, "encode"), weights.ref)


__all__ = ["Remote", "chat_model", "chat_of", "described", "resolve", "text_encoder"]
