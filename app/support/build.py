"""From a release, or the name of a system, to a chat that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.core import prompt, release
from app.core.errors import InputError, Mismatch
from app.core.release import Base, Engine, Release
from app.knowledge import confidence
from app.knowledge.retrieve import Knowledge
from app.models import adapters
from app.models.base import GREEDY, Options
from app.models.encoder import TextEncoder
from app.models.load import Remote, chat_model, chat_of, resolve, text_encoder
from app.models.weights import Weights
from app.support.chat import SupportChat
from app.support.systems import SYSTEMS, System

CHAT = "HuggingFaceTB/SmolLM2-135M-Instruct"
SCRIPTED = "scripted"

Docs = Sequence[Mapping[str, Any]]


def default_encoder() -> str:
    """Reference of the encoder that the search is fitted for."""
    return confidence.load().encoder


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
    makers = {"quote": _that_quotes, "model": _with_model, "reader": _with_reader}
    if served.mode not in makers:
        raise InputError(
            f"{folder}/release.json: support has modes {', '.join(makers)}, found {served.mode}"
        )
    release.check(served, folder, _prompt_of(served))
    encoder = _encoder_of(served, folder)
    _check_fitted(encoder, folder)
    weights = resolve(encoder.ref, sha256=encoder.sha256)
    knowledge = Knowledge.build(docs, text_encoder(weights))
    told = {
        "threshold": served.calibration.thresholds.get("answer"),
        "release_id": served.id,
        "options": options,
        "weights": {"encoder": weights.record()},
    }
    return makers[served.mode](served, folder, knowledge, told)


def of_system(
    system: System,
    docs: Docs,
    *,
    adapter: Path | None = None,
    model: str | None = None,
    encoder: TextEncoder | None = None,
    prompt_version: str = prompt.DEFAULT,
    threshold: float | None = None,
    span_threshold: float = 0.0,
    options: Options = GREEDY,
) -> SupportChat:
    """quote (no model), base (`model`, default CHAT), lora or reader (`adapter` on its own base).

    A model `openai:URL#name` is a server, which is not contacted before the first question.

    With model `scripted` nothing needs weights, and the model itself declines (threshold 0). An
    adapter brings its prompt version. threshold None is the one fitted on dev; span_threshold is
    the reader's own, `answer` of its run's calibration.
    """
    if system not in SYSTEMS:
        raise InputError(f"no support system {system!r}: there is {', '.join(SYSTEMS)}")
    if (system in ("lora", "reader")) != (adapter is not None):
        raise InputError("systems `lora` and `reader` go with an adapter (--adapter DIR)")
    weights: dict[str, Base | Remote] = {}
    if encoder is None:
        found = resolve(SCRIPTED if model == SCRIPTED else default_encoder())
        encoder, weights["encoder"] = text_encoder(found), found.record()
    knowledge = Knowledge.build(docs, encoder)
    told: dict[str, Any] = {"threshold": threshold, "options": options, "weights": weights}
    if system == "quote":
        return SupportChat(knowledge, **told)
    if adapter is None:
        speaker, weights["model"] = chat_of(model or CHAT)
        if model == SCRIPTED and threshold is None:
            told["threshold"] = 0.0
        return SupportChat(knowledge, "model", speaker, prompt_version=prompt_version, **told)
    card = adapters.read_card(adapter)
    base = resolve(model or card.base.ref, sha256=card.base.sha256)
    weights["model"] = base.record()
    if system == "reader":
        return _reading(knowledge, base, adapter, span_threshold, told)
    adapters.check(card, base)
    speaker = chat_model(base, adapter)
    return SupportChat(knowledge, "model", speaker, prompt_version=card.prompt_version, **told)


def _encoder_of(served: Release, folder: Path) -> Base:
    encoder = served.encoder or (served.base if served.mode == "quote" else None)
    if encoder is None:
        raise InputError(
            f"{folder}/release.json has mode {served.mode} and names no encoder: expected "
            f'"encoder" {{ref, source, file, sha256}}; promote the run again'
        )
    return encoder


def _check_fitted(encoder: Base, folder: Path) -> None:
    """Raise Mismatch where the search was fitted for another encoder than the released one."""
    fitted = default_encoder()
    if encoder.ref not in (fitted, SCRIPTED):
        raise Mismatch(
            f"{folder}/release.json was evaluated with the encoder {encoder.ref}, the search here "
            f"is fitted for {fitted}: evaluate and promote again, or fit for the released one "
            f"(python -m app.knowledge.fit demo:support {encoder.ref})"
        )


def _prompt_of(served: Release) -> str:
    """The version that this code has of the prompt, or of a reader's layout."""
    if served.mode != "reader":
        return prompt.template(served.prompt_version).id
    from app.models.reader import PROMPT_VERSION

    return PROMPT_VERSION


def _with_model(
    served: Release, folder: Path, knowledge: Knowledge, told: dict[str, Any]
) -> SupportChat:
    """A model that phrases, with the release's adapter where it has one."""
    base = resolve(served.base.ref, sha256=served.base.sha256)
    adapter = folder if served.adapter_sha256 else None
    if adapter:
        adapters.check(adapters.read_card(adapter), base, served.prompt_version)
    told["weights"]["model"] = base.record()
    engines: list[Engine] = served.engines
    return SupportChat(
        knowledge, "model", chat_model(base, adapter, engines),
        prompt_version=served.prompt_version, **told,
    )  # fmt: skip


def _with_reader(
    served: Release, folder: Path, knowledge: Knowledge, told: dict[str, Any]
) -> SupportChat:
    base = resolve(served.base.ref, sha256=served.base.sha256)
    told["weights"]["model"] = base.record()
    span = served.calibration.thresholds.get("span", 0.0)
    return _reading(knowledge, base, folder, span, told)


def _that_quotes(
    served: Release, folder: Path, knowledge: Knowledge, told: dict[str, Any]
) -> SupportChat:
    del folder
    return SupportChat(knowledge, prompt_version=served.prompt_version, **told)


def _reading(
    knowledge: Knowledge, base: Weights, adapter: Path, threshold: float, told: dict[str, Any]
) -> SupportChat:
    from app.models.reader import PROMPT_VERSION, load_reader

    reader = load_reader(base, adapter, threshold=threshold)
    return SupportChat(knowledge, "reader", reader=reader, prompt_version=PROMPT_VERSION, **told)
