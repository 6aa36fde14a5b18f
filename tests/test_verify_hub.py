"""`make verify-hub` against a Hub on loopback that serves tiny models under the real names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.files import ROOT
from tests.helpers_hub import Hub
from tests.helpers_models import tiny_bert, tiny_gpt2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def verified(endpoint: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command behind `make verify-hub`, with a cache of its own."""
    env = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    env |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "hf"),
        "FRONTDESK_CACHE": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "finetune.verify_hub"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def test_bert_and_gpt2_are_fetched_by_name_trained_and_reported(tmp_path: Path) -> None:
    made = {
        "google-bert/bert-base-uncased": tiny_bert(tmp_path / "bert"),
        "openai-community/gpt2": tiny_gpt2(tmp_path / "gpt2"),
    }
    repos = {
        name: {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        for name, folder in made.items()
    }
    hub = Hub(repos)
    try:
        done = verified(hub.url, tmp_path)
    finally:
        hub.server.shutdown()
        hub.server.server_close()
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in done.stdout.splitlines() if "parameters trained" in line]
    assert [line.split(":")[0] for line in lines] == ["bert", "gpt2"]
    for name, line in zip(made, lines, strict=True):
        # the doctor fetched it first: the run itself then finds it in the cache, empty before
        assert f"{name} from cache" in line
        assert "6 steps" in line


def test_without_a_hub_it_is_a_sentence(tmp_path: Path) -> None:
    done = verified("http://127.0.0.1:9", tmp_path)
    assert done.returncode == 2
    assert "verify-hub needs the Hub" in done.stderr
    assert "Traceback" not in done.stderr
