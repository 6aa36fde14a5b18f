"""What every tab needs: who asks, words that follow the language, faults as toasts, waiting."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from html import escape
from threading import Event
from typing import Any, NamedTuple, TypeVar

import gradio as gr
import structlog

from app.core.errors import AppError, NotReady
from app.services import Services
from app.serving.quota import counted
from app.ui.i18n import text

log = structlog.get_logger(__name__)
C = TypeVar("C")
Updates = dict[Any, Any]
"""What a handler returns: components and what they become; those left out stay as they are."""
Words = Mapping[str, str | Callable[[str], Any]]
"""A component's property: the key of its words, or a function of the language."""

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For every event. Private only hides: each handler checks who asks and what is asked."""
WAIT_S = 60.0
_STEP_S = 0.1


class Asker(NamedTuple):
    """Whose data a handler may touch, and who the rate limit counts."""

    owner: str
    quota: str


def asker(services: Services, request: gr.Request) -> Asker:
    """From the cookie; a page without one is its session, and the limit counts its address."""
    owner = services.visitors.owner_of(request.cookies, request.session_hash or "")
    address = request.client.host if request.client else "unknown"
    if owner.startswith("visitor:"):
        return Asker(owner, counted(owner, address))
    return Asker(owner, f"address:{address}")


class Labels:
    """Makes components and remembers their words, so that the language can change on the page."""

    def __init__(self) -> None:
        self._words: list[tuple[Any, Words]] = []

    def make(self, kind: Callable[..., C], words: Words, **props: Any) -> C:
        """A component whose properties in `words` start in English."""
        component = kind(**_said(words, "en"), **props)
        self._words.append((component, words))
        return component

    def updates(self, language: str) -> Updates:
        """Every component made here, in `language`."""
        return {component: gr.update(**_said(words, language)) for component, words in self._words}


def merged(*parts: Updates) -> Updates:
    """One set of updates; for a component in several parts the later properties win."""
    whole: Updates = {}
    for part in parts:
        for component, update in part.items():
            both = isinstance(update, dict) and isinstance(whole.get(component), dict)
            whole[component] = whole[component] | update if both else update
    return whole


def toast(error: Exception, language: str) -> None:
    """Tell the reader in their language; a fault of ours gets a number that is also in the log."""
    told = error.in_language(language) if isinstance(error, AppError) else None
    if not (isinstance(error, NotReady) or (isinstance(error, AppError) and error.status < 500)):
        number = secrets.token_hex(4)
        log.error("page_error", id=number, exc_info=error)
        key = "error.number" if told else "error.unexpected"
        told = text(language, key, message=told, id=number)
    message = str(told)
    gr.Warning(escape(message[:1].upper() + message[1:]), duration=8)


def note(language: str, key: str) -> None:
    """A small friendly toast."""
    gr.Info(escape(text(language, key)), duration=4)


class Toasted:
    """A block in which whatever goes wrong becomes a toast and ends it: no traceback is shown."""

    def __init__(self, language: str) -> None:
        self._language = language

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        toast(error, self._language)
        return True


def state(services: Services, feature: str) -> str:
    """loading, ready or failed; a call of a failed feature says why."""
    return services.ready().state[feature]["state"]


def awaited(services: Services, feature: str, cancel: Event | None = None) -> None:
    """Return when the feature is there, failed or was not in WAIT_S, or when `cancel` is set."""
    end = time.monotonic() + WAIT_S
    while state(services, feature) == "loading" and time.monotonic() < end:
        if cancel is None:
            time.sleep(_STEP_S)
        elif cancel.wait(_STEP_S):
            return


def percent(share: float) -> str:
    """0.873 as 87 %; never a rounded-up 100 %."""
    return f"{min(99, round(share * 100))} %"


def _said(words: Words, language: str) -> dict[str, Any]:
    return {p: w(language) if callable(w) else text(language, w) for p, w in words.items()}
