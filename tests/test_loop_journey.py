"""The loop closes on real weights: good corrections ship to the running page, bad ones are refused.

In a copy of the releases; the page that serves them runs beside it, as it would for a team.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import deploy.loop
from app.core.config import load
from app.core.files import DEMO, RELEASES, ROOT, read_json, write_json, write_jsonl
from finetune.config import TrainConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with releases, store and runs of its own."""
    folder = tmp_path_factory.mktemp("loop")
    shutil.copytree(RELEASES, folder / "release")
    own = {
        "FRONTDESK_RELEASES": str(folder / "release"),
        "FRONTDESK_VAR": str(folder / "var"),
        "FRONTDESK_TEST_USES": str(folder / "uses.jsonl"),
        "HF_HUB_OFFLINE": "1",
    }
    return {**os.environ, **own, "RUNS": str(folder / "runs")}


@pytest.fixture(scope="module")
def page(world: dict[str, str]) -> Iterator[str]:
    """A running page on the copied releases."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", str(port)], cwd=ROOT, env=world,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        waited(lambda: served(url) is not None, 120)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def waited(condition: Any, seconds: float) -> None:
    """Return when `condition` holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.5)


def served(url: str) -> str | None:
    """Id of the sentiment release that the page says it serves."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
            return str(json.load(response)["features"]["sentiment"]["release"])
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def released(world: dict[str, str]) -> str:
    """Id in release.json."""
    record = read_json(Path(world["FRONTDESK_RELEASES"]) / "sentiment" / "release.json")
    return str(record["id"])


def loop(world: dict[str, str], page: str, *more: str) -> subprocess.CompletedProcess[str]:
    """`make loop`'s command."""
    command = [sys.executable, "-m", "deploy.loop", "--runs", world["RUNS"], "--page", page]
    return subprocess.run([*command, *more], cwd=ROOT, env=world, capture_output=True, text=True)


def test_200_scripted_corrections_ship_and_the_page_swaps(world: dict[str, str], page: str) -> None:
    before = released(world)
    done = loop(world, page, "--demo")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "synthetic" in done.stdout
    assert released(world) != before
    assert f"serves {released(world)}" in done.stdout
    assert served(page) == released(world)
    kept = Path(world["FRONTDESK_VAR"]) / "releases" / "sentiment" / before
    assert (kept / "release.json").is_file()


def test_corrections_that_teach_the_wrong_thing_are_refused(
    world: dict[str, str], page: str
) -> None:
    before = released(world)
    noise = DEMO / "feedback" / "sentiment_noise.jsonl"
    done = loop(world, page, "--source", str(noise))
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert released(world) == before
    assert served(page) == before


def test_a_thumbs_down_with_a_correction_reaches_the_training_file(
    world: dict[str, str], page: str, tmp_path: Path
) -> None:
    text = "Write me at anna.berg@example.org, this lid fits nothing"
    with urllib.request.urlopen(page, timeout=30) as first_visit:
        cookie = first_visit.headers["Set-Cookie"].split(";")[0]
    with post(page, "/v1/sentiment", {"texts": [text], "keep": True}, cookie) as response:
        message = json.load(response)["results"][0]["message_id"]
    body = {"message_id": message, "rating": -1, "correction": "negative", "consent": True}
    with post(page, "/v1/feedback", body, cookie) as response:
        assert response.status == 200
    out = tmp_path / "feedback.jsonl"
    command = [sys.executable, "-m", "finetune", "feedback", "--feature", "sentiment", "--out"]
    subprocess.run([*command, str(out)], cwd=ROOT, env=world, check=True, capture_output=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["label"] for row in rows] == ["negative"]
    assert "lid fits nothing" in rows[0]["text"]
    assert "anna.berg" not in out.read_text()


@pytest.mark.parametrize(
    ("saved", "asked"),
    [
        ({"r": 8, "lora_alpha": 24, "use_rslora": True}, ("lora", 8, 24, True)),
        ({"method": "head"}, ("head", 16, 32, False)),
    ],
)
def test_training_goes_on_with_the_shape_of_the_released_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: dict[str, Any], asked: tuple[Any, ...]
) -> None:
    write_json(tmp_path / "release" / "sentiment" / "adapter_config.json", saved)
    monkeypatch.setenv("FRONTDESK_RELEASES", str(tmp_path / "release"))
    commands: list[list[str]] = []
    monkeypatch.setattr(deploy.loop, "_run", lambda _, command: commands.append(command))
    deploy.loop._train("sentiment", tmp_path / "runs" / "one", tmp_path / "f.jsonl")
    [typed] = commands
    config = Path(typed[typed.index("--config") + 1])
    overrides = [typed[n + 1] for n, part in enumerate(typed) if part == "--set"]
    adapter = load(TrainConfig, config, overrides).adapter
    assert (adapter.method, adapter.rank, adapter.alpha, adapter.rslora) == asked


def post(page: str, path: str, body: dict[str, Any], cookie: str = "") -> Any:
    """POST JSON to the page."""
    headers = {"Content-Type": "application/json", **({"Cookie": cookie} if cookie else {})}
    request = urllib.request.Request(page + path, json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request, timeout=30)


def test_the_loop_with_a_broken_feedback_file_leaves_the_release(
    world: dict[str, str], page: str, tmp_path: Path
) -> None:
    before = released(world)
    write_jsonl(tmp_path / "f.jsonl", [{"text": "fine"}])
    done = loop(world, page, "--source", str(tmp_path / "f.jsonl"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert released(world) == before


def test_the_loop_reads_the_database_of_the_settings_and_trains_on_no_demo_unasked(
    world: dict[str, str], tmp_path: Path
) -> None:
    before = released(world)
    url = f"sqlite:///{tmp_path / 'prod.db'}"
    (tmp_path / "prod.yaml").write_text(f"database_url: {url}\n")
    done = loop(world, "http://127.0.0.1:9", "--settings", str(tmp_path / "prod.yaml"))
    assert done.returncode == 2, done.stdout[-3000:]
    assert f"{url} holds no sentiment feedback with consent" in done.stderr
    assert "feedback ended with status 2" in done.stderr
    assert released(world) == before
