"""The support chat under test, with its identity for provenance: what several tasks ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from app.core import settings as app_settings
from app.core.errors import InputError
from app.core.files import release_dir
from app.core.prompt import DEFAULT
from app.core.release import ADAPTER_FILE
from app.models.base import Options
from eval import engines, prompts, runs
from eval.task import Request

if TYPE_CHECKING:
    from app.support.chat import SupportChat

BASE_PROMPT = DEFAULT
"""The best of the templates for the base model on demo:support#dev."""

Docs = Sequence[Mapping[str, Any]]


class Built(NamedTuple):
    """A chat that answers."""

    chat: SupportChat
    name: str
    """Of the system: quote, base, lora or released."""
    identity: dict[str, Any]


def build(request: Request, docs: Docs) -> Built:
    """The chat that `request` names, over `docs`; without options the released one."""
    options = Options(max_new_tokens=app_settings.load().max_new_tokens)
    # The page's length, but no deadline: a slow machine shall not change an answer.
    if request == Request(request.data, limit=request.limit):
        chat, name, more = _released(docs, options)
    else:
        chat, name, more = named(request, docs, options)
    return Built(chat, name, more | identity(chat))


def named(
    request: Request, docs: Docs, options: Options
) -> tuple[SupportChat, str, dict[str, Any]]:
    """The chat of --system and --adapter, its name, and its adapter for provenance."""
    from app.support.chat import SupportChat

    name: Any = request.system or ("lora" if request.adapter else "base")
    if request.prompt is not None and name != "base":
        raise InputError(f"--prompt is for system base; {name} has its own")
    chat = SupportChat.of_system(
        name, docs, adapter=request.adapter, model=request.model, options=options,
        prompt_version=request.prompt or BASE_PROMPT, span_threshold=_span_threshold(request, name),
    )  # fmt: skip
    return chat, name, {"adapter": runs.adapter(request.adapter)} if request.adapter else {}


def _span_threshold(request: Request, name: str) -> float:
    """Of a reader: what its run fitted on dev."""
    if name != "reader" or request.adapter is None:
        return 0.0
    fitted = runs.calibration(runs.record(request.adapter), request.adapter)
    return fitted.thresholds.get("answer", 0.0)


def _released(docs: Docs, options: Options) -> tuple[SupportChat, str, dict[str, Any]]:
    from app.support.chat import SupportChat

    folder = release_dir() / "support"
    chat = SupportChat.load(folder, docs, options=options)
    identity: dict[str, Any] = {"release": chat.release_id}
    if (folder / ADAPTER_FILE).is_file():
        identity["adapter"] = runs.adapter(folder)
    return chat, "released", identity


def identity(chat: SupportChat) -> dict[str, Any]:
    """Weights by role, prompt, threshold (where it is not the fitted one) and options; a chat that
    quotes rests on the encoder."""
    roles = {role: engines.record(base) for role, base in chat.weights.items()}
    roles.setdefault("model", roles["encoder"])
    prompt = {"prompt": prompts.identity(chat.prompt_version)} if chat.system != "quote" else {}
    options = {"mode": chat.system, "max_new_tokens": chat.options.max_new_tokens}
    thresholds = {} if chat.threshold is None else {"answer": chat.threshold}
    if chat.reader is not None:
        thresholds["span"] = chat.reader.threshold
    return {**roles, **prompt, "settings": {"thresholds": thresholds}, "options": options}
