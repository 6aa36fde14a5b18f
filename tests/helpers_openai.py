"""A loopback server that speaks OpenAI's protocol, and the ways in which one fails."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.core.messages import Message
from app.models.scripted import answer

Said = dict[str, Any]
"""The body of a chat completion request."""


class FakeOpenAI(ThreadingHTTPServer):
    """Answers as the scripted model does, a word a chunk; `fault` makes a request fail."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # five, as by default, are refused on a busy machine

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models: list[dict[str, Any]] = [{"id": "tiny", "root": "acme/tiny-instruct"}]
        self.asked: list[Said] = []
        self.headers: list[dict[str, str]] = []
        self.fault: Callable[[_Handler, Said], bool] = lambda _handler, _said: False
        """Given the request; True where it has answered by itself."""
        self.list_fault: Callable[[_Handler], bool] = lambda _handler: False
        self.pause_s = 0.0
        """Before each chunk."""
        self.usage = True
        self.open = 0
        """Answers that are being given now."""
        self.most_open = 0
        self.ended = threading.Event()
        """Set at shutdown: frees those that hang."""
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Up to /v1."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def ref(self) -> str:
        """The model reference."""
        return f"openai:{self.url}#tiny"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what the tests are about."""


@contextmanager
def serving() -> Iterator[FakeOpenAI]:
    """A running server."""
    server = FakeOpenAI()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FakeOpenAI

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        if self.path != "/v1/models":
            return self.plain(404, {"error": {"type": "not_found"}})
        if not self.server.list_fault(self):
            self.plain(200, {"object": "list", "data": self.server.models})
        return None

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.asked.append(said)
            self.server.headers.append(dict(self.headers))
            self.server.open += 1
            self.server.most_open = max(self.server.most_open, self.server.open)
        try:
            if not self.server.fault(self, said):
                self.answer(said)
        finally:
            with self.server.lock:
                self.server.open -= 1

    def answer(self, said: Said) -> None:
        """The scripted model's answer as a stream."""
        words = _pieces(said)
        kept = words[: said["max_tokens"]]
        self.begin()
        for word in kept:
            time.sleep(self.server.pause_s)
            self.chunk(word)
        self.chunk(None, "stop" if len(kept) == len(words) else "length")
        if self.server.usage:
            self.event({"choices": [], "usage": {"completion_tokens": len(kept)}})
        self.line("data: [DONE]")

    def plain(self, status: int, value: Any, **headers: str) -> None:
        """A response that is no stream."""
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self, kind: str = "text/event-stream; charset=utf-8", **headers: str) -> None:
        """Status and headers of a stream, which ends with the connection."""
        self.send_response(200)
        for name, text in {"Content-Type": kind, **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()

    def chunk(self, text: str | None, reason: str | None = None) -> None:
        """One chunk with new text, or with the end."""
        delta = {} if text is None else {"content": text}
        self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    def event(self, value: Any) -> None:
        """One event."""
        self.line(f"data: {json.dumps(value)}")

    def line(self, text: str) -> None:
        """One line as it is, and the empty one that ends an event."""
        self.wfile.write(f"{text}\n\n".encode())
        self.wfile.flush()

    def hang(self) -> None:
        """Until the server shuts down."""
        self.server.ended.wait(30)

    def log_message(self, *_: object) -> None:
        """Silent."""


def _pieces(said: Said) -> list[str]:
    messages = [Message(role=m["role"], content=m["content"]) for m in said["messages"]]
    return re.findall(r"\S+\s*|\s+", answer(messages))
