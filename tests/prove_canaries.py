"""Two people at once never see each other's words: many users, each turn with a canary of its own.

Two services are tried, over HTTP and over the page's handlers:
  * an echo in the model's place, which says back all that it is given: its answers must hold the
    canaries of the asker's latest turns, all of them and none of anybody else's;
  * the whole system on the scripted engine, as `python -m app --model scripted` serves it.
"""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from app.core.messages import Message
from app.core.settings import Settings
from app.server import create_app
from app.services import Services
from app.serving.turns import HISTORY_MESSAGES
from app.support.chat import Answer, Citation, TurnPart
from tests.helpers_server import listening_app
from tests.helpers_ui import made
from tests.helpers_ui import services as faked

USERS = 32
REMEMBERED = HISTORY_MESSAGES // 2
"""Exchanges before its own that a turn is given."""
_CANARY = re.compile(r"canary(\d+)x(\d+)end")


def canary(user: int, turn: int) -> str:
    """One word that occurs nowhere else."""
    return f"canary{user}x{turn}end"


class Echo:
    """In the place of the support chat: says the question and all history that it was given."""

    prompt_version, release_id = "support/1", "echo"

    def turn(self, question: str, history: Sequence[Message], *_: Any) -> Iterator[TurnPart]:
        """Word by word; the passage that is cited holds it all once more."""
        text = " ".join([*(m.content for m in history if m.role == "user"), question])
        for word in text.split():
            yield TurnPart(f"{word} ")
        cited = [Citation("echo", text, "/echo", text)]
        yield TurnPart("", True, Answer(
            text, cited, False, 0.9, "en", "stop", [], "model", self.release_id
        ))  # fmt: skip


def canaries(turns: int, users: int = USERS) -> dict[str, Any]:
    """For each way: turns taken, foreign canaries seen, and turns whose own ones were not all."""
    found: dict[str, Any] = {}
    for name, make in (("echo", _echo), ("scripted", _scripted)):
        with tempfile.TemporaryDirectory() as folder:
            made_services = make(Path(folder))
            try:
                complete = name == "echo"
                found[f"{name}_http"] = _over_http(made_services, users, turns, complete)
                found[f"{name}_page"] = _over_page(made_services, users, turns, complete)
                found[f"{name}_stored"] = _stored(made_services)
            finally:
                made_services.stop()
                made_services.store.close()
    return found


def _echo(folder: Path) -> Services:
    return faked(Echo(), **_settings(folder))  # type: ignore[arg-type]


def _scripted(folder: Path) -> Services:
    return Services(Settings(model="scripted", **_settings(folder)))


def _settings(folder: Path) -> dict[str, Any]:
    # Twenty a minute are what one may ask, and all of these may be asked in one.
    return {
        "database_url": f"sqlite:///{folder / 'canaries.db'}",
        "secret": "of the proof",
        "messages_per_minute": 1000,
    }


def _over_http(services: Services, users: int, turns: int, complete: bool) -> dict[str, int]:
    """Every other user streams; each goes on with a conversation of its own."""
    services.load()
    with listening_app(create_app(services.settings, services)) as url:
        return _together(users, partial(_http_user, url, turns, complete))


def _http_user(url: str, turns: int, complete: bool, user: int) -> list[str | None]:
    with httpx.Client(base_url=url, timeout=120) as client:
        client.get("/")
        conversation, wrong = None, list[str | None]()
        for turn in range(turns):
            body: dict[str, Any] = {
                "messages": [{"role": "user", "content": _question(user, turn)}],
                "stream": user % 2 == 0,
                "frontdesk": {"conversation_id": conversation},
            }
            said = client.post("/v1/chat/completions", json=body)
            said.raise_for_status()
            last = said.text.split("data: ")[-2] if user % 2 == 0 else said.text
            conversation = json.loads(last)["frontdesk"]["conversation_id"]
            wrong.append(_judged(said.text, user, turn, complete))
        return wrong


def _over_page(services: Services, users: int, turns: int, complete: bool) -> dict[str, int]:
    services.load()
    return _together(users, partial(_page_user, services, made(services), turns, complete))


def _page_user(services: Services, ui: Any, turns: int, complete: bool, user: int) -> list[Any]:
    _, cookie = services.visitors.issue()
    request: Any = SimpleNamespace(
        cookies={"frontdesk_visitor": cookie}, session_hash=f"tab-{user}", headers={},
        client=SimpleNamespace(host="192.0.2.7"),
    )  # fmt: skip
    conversation, wrong = None, list[str | None]()
    for turn in range(turns):
        updates = list(ui.chat.ask(_question(user, turn), conversation, "en", request))
        conversation = updates[-1][ui.chat.conversation]
        answer = updates[-1][ui.chat.thread]["value"][-1]["content"]
        everything = " ".join(str(update) for update in updates)
        seen = _judged(everything, user, turn, complete=False)
        wrong.append(seen or _judged(answer, user, turn, complete))
    return wrong


def _stored(services: Services) -> dict[str, int]:
    """Each conversation in the database holds the canaries of one user."""
    from sqlalchemy import text

    by_talk: dict[str, set[str]] = {}
    with services.store.engine.connect() as database:
        rows = database.execute(text("select conversation_id, content, citations from messages"))
        for talk, *columns in rows:
            users = {user for user, _ in _CANARY.findall(" ".join(map(str, columns)))}
            by_talk.setdefault(talk, set()).update(users)
    return {"conversations": len(by_talk), "mixed": sum(len(u) != 1 for u in by_talk.values())}


def _question(user: int, turn: int) -> str:
    return f"How much is delivery to Germany? {canary(user, turn)}"


def _judged(text: str, user: int, turn: int, complete: bool) -> str | None:
    """foreign: a canary of somebody else; lost: one that should be there; None: all is well."""
    seen = {(int(u), int(t)) for u, t in _CANARY.findall(text)}
    if any(u != user or t > turn for u, t in seen):
        return "foreign"
    due = {(user, t) for t in range(max(0, turn - REMEMBERED), turn + 1)}
    return "lost" if complete and not due <= seen else None


def _together(users: int, act: Callable[[int], list[str | None]]) -> dict[str, int]:
    """All users at once, each in a thread that waits for the others before it begins."""
    ready = threading.Barrier(users)

    def begin(user: int) -> list[str | None]:
        ready.wait(60)
        return act(user)

    with ThreadPoolExecutor(users) as pool:
        verdicts = [v for found in pool.map(begin, range(users)) for v in found]
    return {
        "turns": len(verdicts),
        "foreign": verdicts.count("foreign"),
        "lost": verdicts.count("lost"),
    }
