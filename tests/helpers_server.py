"""Small fakes behind app.services, so that store, quotas and HTTP are tested without any model."""

from __future__ import annotations

import sys
import threading
import time
import types
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.core.errors import NotFound
from app.core.messages import Message
from app.core.settings import Settings
from app.launch import bind, url
from app.sentiment.classifier import Prediction
from app.server import create_app
from app.services import Services
from app.serving.features import Loaders
from app.serving.loading import THREAD, Loaded
from app.support.chat import Answer, Citation, TurnPart

CITATION = Citation("returns", "Sending things back", "/help/returns", "Returns are free.")


class FakeSupport:
    """Says the question back, a word at a time; `gate` holds it before each word."""

    prompt_version = "support/1"
    encoder = None

    def __init__(self, release_id: str = "support-1") -> None:
        self.release_id = release_id
        self.gate: threading.Event | None = None
        self.heard: list[list[Message]] = []
        self.closed = threading.Event()

    def turn(
        self,
        question: str,
        history: Sequence[Message] = (),
        cancel: threading.Event | None = None,
        session: Any = None,  # noqa: ARG002
    ) -> Iterator[TurnPart]:
        self.heard.append(list(history))
        try:
            yield from self._words(question, cancel)
        finally:
            self.closed.set()

    def _words(self, question: str, cancel: threading.Event | None) -> Iterator[TurnPart]:
        said, finish = "", "stop"
        for word in question.split():
            if self.gate:
                self.gate.wait(5)
            if cancel and cancel.is_set():
                finish = "cancelled"
                break
            if word == "explode":
                raise RuntimeError(f"secret {question}")
            said += word + " "
            yield TurnPart(word + " ")
        yield TurnPart("", done=True, answer=self._answer(said, finish))

    def _answer(self, said: str, finish: Any) -> Answer:
        return Answer(
            text=said, citations=[CITATION], declined=False, confidence=0.75, language="en",
            finish=finish, notes=[], system="model", release=self.release_id,
        )  # fmt: skip


class FakeSentiment:
    """Positive where the text says so."""

    release = None
    labels = ("negative", "positive")

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        return [self._one("positive" if "good" in t else "negative") for t in texts]

    def _one(self, label: str) -> Prediction:
        probabilities = dict.fromkeys(self.labels, 0.123456) | {label: 0.876544}
        return Prediction(label, probabilities[label], probabilities, not_sure=False)


class FakeShop:
    """Knows one product."""

    def suggest(self, *, liked: Sequence[str] = (), k: int = 10, **rest: Any) -> list[Any]:
        from app.recommend.shop import Suggestion

        if liked and liked[0] != "tea":
            raise NotFound(f"no product {liked[0]!r}")
        return [Suggestion("tea", "Tea", 4.5, "Tea", 1.0, f"language {rest['language']}")][:k]


class Fakes:
    """The three fakes, and the loaders that hand them out."""

    def __init__(self) -> None:
        self.support, self.sentiment, self.shop = FakeSupport(), FakeSentiment(), FakeShop()

    def loaders(self, folder: Path | None = None) -> Loaders:
        return {
            "support": (lambda: Loaded(self.support, self.support.release_id), folder),
            "sentiment": (lambda: Loaded(self.sentiment, "sentiment-1"), None),
            "recommend": (lambda: Loaded(self.shop, "hybrid/hash"), None),
        }


def make_services(fakes: Fakes, **settings: Any) -> Services:
    """Loaded services over the fakes, without the background thread."""
    services = Services(Settings(**settings), load=fakes.loaders())
    services.load()
    return services


def placeholder_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of one word, so that tests of HTTP need not build the real one."""
    import gradio as gr

    def build(_: Services) -> gr.Blocks:
        with gr.Blocks() as page:
            name = gr.Textbox()
            name.submit(lambda text: f"hello {text}", name, name, api_name="greet")
        return page

    for name, values in (("build", {"build": build}), ("style", {"mount_kwargs": dict})):
        module = types.ModuleType(f"app.ui.{name}")
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, f"app.ui.{name}", module)


class Site:
    """The application over fakes, with clients that come from wherever the test says."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.fakes = Fakes()
        kept = {"database_url": f"sqlite:///{folder / 'site.db'}", "secret": "of the tests"}
        self.services = make_services(self.fakes, **{**kept, **settings})
        self.app = create_app(self.services.settings, self.services)

    def fresh(self) -> Site:
        """As on the first day: nothing stored, no quota spent, nothing held."""
        self.services.store.maintenance.retention(-1)
        self.services._quota._limiter.storage.reset()
        self.fakes.support.__init__()  # type: ignore[misc]
        return self

    def client(self, address: str = "127.0.0.1") -> TestClient:
        """A client with an empty cookie jar; 203.0.113.x is somewhere else."""
        return TestClient(self.app, client=(address, 50000), raise_server_exceptions=True)


@contextmanager
def site(folder: Path, **settings: Any) -> Iterator[Site]:
    """A Site over the placeholder page. Slow to make: share it in a module, and use `fresh`."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        placeholder_page(monkeypatch)
        made = Site(folder, **settings)
    try:
        yield made
    finally:
        made.services.stop()
        made.services.store.close()


@contextmanager
def listening(made: Site) -> Iterator[str]:
    """The site on a free port of this machine; its URL."""
    with listening_app(made.app) as address:
        yield address


@contextmanager
def listening_app(app: FastAPI) -> Iterator[str]:
    """An application on a free port of this machine; its URL."""
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield url(listener)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def watching() -> bool:
    """Whether a loading thread is alive; waits a little for one that was told to end."""
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(1)
    return any(thread.name == THREAD for thread in threading.enumerate())


def ready(log: Path, seconds: float = 90) -> str:
    """URL of the server that writes `log`, once it is ready."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        urls = [word for word in log.read_text().split() if word.startswith("http://127.0.0.1:")]
        try:
            page = urls[0].rstrip("/.,")
            with urllib.request.urlopen(f"{page}/readyz", timeout=5):
                return page
        except (IndexError, urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise TimeoutError(f"not ready after {seconds} s: {log.read_text()[-500:]}")
