"""A Hub on loopback; huggingface_hub reads its address when imported, hence for processes."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha(data: bytes) -> str:
    """Its sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


class Hub:
    """Serves `repos` {name: {file: bytes}} as the Hub would; `asked` lists the paths."""

    def __init__(self, repos: dict[str, dict[str, bytes]]) -> None:
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self, repos)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, to: BaseHTTPRequestHandler, repos: dict[str, dict[str, bytes]]) -> None:
        path = to.path.partition("?")[0]
        self.asked.append(path)
        for name, files in repos.items():
            if path.startswith(f"/api/models/{name}/tree/"):
                listing = [self._entry(file, data) for file, data in files.items()]
                return self._send(to, json.dumps(listing).encode())
            if path.startswith(f"/api/models/{name}"):
                siblings = [
                    {"rfilename": file, "size": len(data), "lfs": self._entry(file, data)["lfs"]}
                    for file, data in files.items()
                ]
                info = {"id": name, "sha": COMMIT, "siblings": siblings}
                return self._send(to, json.dumps(info).encode())
            file = path.removeprefix(f"/{name}/resolve/{COMMIT}/")
            if file in files:
                return self._send(to, files[file])
        return self._send(to, b"{}", status=404, error="RepoNotFound")

    def _entry(self, file: str, data: bytes) -> dict[str, Any]:
        lfs = {"oid": sha(data), "sha256": sha(data), "size": len(data), "pointerSize": 134}
        return {
            "type": "file",
            "path": file,
            "size": len(data),
            "oid": hashlib.sha1(data).hexdigest(),
            "lfs": lfs if file.endswith(".safetensors") else None,
        }

    def _send(
        self, to: BaseHTTPRequestHandler, data: bytes, status: int = 200, error: str = ""
    ) -> None:
        to.send_response(status)
        to.send_header("Content-Length", str(len(data)))
        to.send_header("ETag", f'"{sha(data)}"')
        to.send_header("X-Repo-Commit", COMMIT)
        if error:
            to.send_header("X-Error-Code", error)
        to.end_headers()
        if to.command != "HEAD":
            to.wfile.write(data)
