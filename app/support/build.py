"""From a release, or the name of a system, to a chat that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from app.core import prompt, release
from app.core.errors import InputError
from app.core.release import Base, Engine, Release
from app.knowledge.retrieve import Knowledge
from app.models import adapters
from app.models.base import GREEDY, Options
from app.models.encoder import TextEncoder
from app.models.load import Remote, chat_model, chat_of, resolve, text_encoder
from app.support.chat import SupportChat

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
CHAT = "HuggingFaceTB/SmolLM2-135M-Instruct"
SCRIPTED = "scripted"

Docs = Sequence[Mapping[str, Any]]


def load(
    folder: Path,
    docs: Docs,
    *,
    model_override: str | None = None,
    options: Options = GREEDY,
) -> SupportChat:
    """The system that release.json in `folder` describes, over `docs`.

    model_override: a model reference that phrases instead, without an adapter; `scripted` needs no
    weights and no release. Raises NotFound, ConfigError, Mismatch or WeightsMissing, naming the
    file or the sha256.
    """
    if model_override:
        chat = of_system("base", docs, model=model_override, options=options)
        chat.release_id = (
            model_override if model_override == SCRIPTED else f"model:{model_override}"
        )
        return chat
    served = release.read(folder)
    release.check(served, folder, prompt.template(served.prompt_version).id)
    encoder = _encoder_of(served, folder)
    weights = resolve(encoder.ref, sha256=encoder.sha256)
    knowledge = Knowledge.build(docs, text_encoder(weights))
    if served.mode == "quote":
        return _served(served, knowledge, {"encoder": weights.record()}, options)
    return _with_model(served, folder, knowledge, {"encoder": weights.record()}, options)


def of_system(
    system: Literal["quote", "base", "lora"],
    docs: Docs,
    *,
    adapter: Path | None = None,
    model: str | None = None,
    encoder: TextEncoder | None = None,
    prompt_version: str = prompt.DEFAULT,
    threshold: float | None = None,
    options: Options = GREEDY,
) -> SupportChat:
    """quote (no model), base (`model`, default CHAT) or lora (`adapter` on its own base).

    A model `openai:URL#name` is a server, which is not contacted before the first question.

    With model `scripted` nothing needs weights, and the model itself declines (threshold 0). An
    adapter brings its prompt version. threshold None is the one fitted on dev.
    """
    if system not in ("quote", "base", "lora"):
        raise InputError(f"no support system {system!r}: there is quote, base, lora")
    if (system == "lora") != (adapter is not None):
        raise InputError("system `lora` and an adapter (--adapter DIR) go together")
    weights: dict[str, Base | Remote] = {}
    if encoder is None:
        found = resolve(SCRIPTED if model == SCRIPTED else ENCODER)
        encoder, weights["encoder"] = text_encoder(found), found.record()
    knowledge = Knowledge.build(docs, encoder)
    if system == "quote":
        return SupportChat(knowledge, threshold=threshold, options=options, weights=weights)
    if adapter is not None:
        card = adapters.read_card(adapter)
        base = resolve(model or card.base.ref, sha256=card.base.sha256)
        adapters.check(card, base)
        prompt_version = card.prompt_version
        speaker, weights["model"] = chat_model(base, adapter), base.record()
    else:
        speaker, weights["model"] = chat_of(model or CHAT)
    if model == SCRIPTED and threshold is None:
        threshold = 0.0
    return SupportChat(
        knowledge, "model", speaker,
        prompt_version=prompt_version, threshold=threshold, options=options, weights=weights,
    )  # fmt: skip


def _encoder_of(served: Release, folder: Path) -> Base:
    encoder = served.encoder or (served.base if served.mode == "quote" else None)
    if encoder is None:
        raise InputError(
            f"{folder}/release.json has mode {served.mode} and names no encoder: expected "
            f'"encoder" {{ref, source, file, sha256}}; promote the run again'
        )
    return encoder


def _with_model(
    served: Release,
    folder: Path,
    knowledge: Knowledge,
    weights: dict[str, Base],
    options: Options,
) -> SupportChat:
    if served.mode != "model":
        raise InputError(
            f"{folder}/release.json: support has modes quote and model in this version, found "
            f"{served.mode}"
        )
    base = resolve(served.base.ref, sha256=served.base.sha256)
    adapter = folder if served.adapter_sha256 else None
    if adapter:
        adapters.check(adapters.read_card(adapter), base, served.prompt_version)
    engines: list[Engine] = served.engines
    return SupportChat(
        knowledge, "model", chat_model(base, adapter, engines),
        prompt_version=served.prompt_version, threshold=_threshold(served),
        release_id=served.id, options=options, weights={**weights, "model": base.record()},
    )  # fmt: skip


def _served(
    served: Release, knowledge: Knowledge, weights: dict[str, Base], options: Options
) -> SupportChat:
    return SupportChat(
        knowledge, prompt_version=served.prompt_version, threshold=_threshold(served),
        release_id=served.id, options=options, weights=weights,
    )  # fmt: skip


def _threshold(served: Release) -> float | None:
    return served.calibration.thresholds.get("answer")
