"""Training as it is launched: accelerate, torchrun, python; signals; and the files they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.core.files import ROOT, read_json, sha256_file
from app.core.records import read_rows
from tests.helpers_models import tiny_bert
from tests.helpers_train import config_tree, reviews, written

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
TINY = "finetune/configs/tiny.yaml"
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1"}


def run(command: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`command finetune/train.py ARGUMENTS` from the root."""
    return subprocess.run(
        [*command, "finetune/train.py", *arguments],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip


def begin(command: list[str], *arguments: str) -> subprocess.Popen[bytes]:
    """The same, in the background."""
    return subprocess.Popen(
        [*command, "finetune/train.py", *arguments],
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def waited(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Return when `condition` holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.1)


def losses(folder: Path) -> list[float]:
    """Training losses of a run, in order."""
    return [row["loss"] for row in read_rows(folder / "metrics.jsonl") if "loss" in row]


def has_begun(folder: Path) -> bool:
    """Whether some steps are done."""
    path = folder / "metrics.jsonl"
    return path.is_file() and path.read_text().count("\n") > 3


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A config of a tiny model that would train for minutes; its run folder is tmp_path/r."""
    model = tiny_bert(tmp_path / "bert")
    tree = config_tree(
        "classification", model, reviews(tmp_path / "rows.jsonl", 64), tmp_path,
        loop__max_steps=20_000, loop__eval_every=10_000, loop__save_every=10_000,
    )  # fmt: skip
    return written(tmp_path / "long.yaml", tree)


def test_accelerate_trains_the_tiny_config_twice_alike_and_leaves_the_run_folder(
    tmp_path: Path,
) -> None:
    same = ["--config", TINY, "--set", f"run.out_dir={tmp_path}", "--set", "loop.epochs=2",
            "--set", "model.dtype=float32"]  # fmt: skip
    for name in ("one", "two"):
        done = run(ACCELERATE, *same, "--set", f"run.name={name}")
        assert done.returncode == 0, done.stderr[-3000:]
        assert "rank: 8" in done.stdout  # the resolved config
        assert "examples/s" in done.stderr
        assert "loss " in done.stderr
        assert "done in" in done.stdout
    one, two = tmp_path / "one", tmp_path / "two"
    assert losses(one) == losses(two)
    assert len(losses(one)) == 8
    files = {p.relative_to(one).as_posix() for p in one.rglob("*") if p.is_file()}
    assert {f for f in files if not f.startswith("checkpoints/")} == {
        ".lock", "config.yaml", "run.json", "metrics.jsonl", "fingerprints.bin", "curves.png",
        "doctor.json",
        "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "adapter/README.md",
    }  # fmt: skip
    record = read_json(one / "run.json")
    assert record["finished"] is True
    assert record["base"]["ref"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert record["adapter_sha256"] == sha256_file(one / "adapter" / "adapter_model.safetensors")


def test_a_finished_run_is_refused_through_the_launcher_too(tmp_path: Path) -> None:
    arguments = ["--config", TINY, "--set", f"run.out_dir={tmp_path}", "--set", "run.name=x"]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.json").write_text(json.dumps({"finished": True}))
    done = run(ACCELERATE, *arguments)
    assert done.returncode == 1  # accelerate's own, for any failure of its child
    assert "holds a finished run; train beside it with --set run.name=" in done.stderr
    assert run([sys.executable], *arguments).returncode == 2


def test_processes_that_did_not_come_up_are_an_error(long: Path) -> None:
    done = run([*ACCELERATE, "--cpu", "--num_processes", "2"], "--config", str(long))
    assert done.returncode != 0
    assert "the launcher was asked for 2 processes, 1 came up" in done.stderr
    assert not (long.parent / "r").exists()


def test_a_signal_to_torchrun_saves_a_checkpoint_of_all_its_processes(long: Path) -> None:
    folder = long.parent / "r"
    launcher = begin(
        [*TORCHRUN, "--nproc_per_node", "2"], "--config", str(long), "--set", "loop.device_batch=2"
    )
    waited(lambda: has_begun(folder))
    launcher.terminate()
    assert launcher.wait(60) != 0
    (checkpoint,) = (folder / "checkpoints").iterdir()
    sealed = read_json(checkpoint / "whole.json")["files"]
    assert {"optimizer.pt", "rng_state_0.pth", "rng_state_1.pth"} < set(sealed)
    record = read_json(folder / "run.json")
    assert record["batch"] == {"processes": 2, "accumulated": 1}
    assert record["finished"] is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_a_checkpoint_and_leaves_nothing_half_done(long: Path, number: int) -> None:
    folder = long.parent / "r"
    process = begin([sys.executable], "--config", str(long))
    waited(lambda: has_begun(folder))
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    (checkpoint,) = (folder / "checkpoints").iterdir()
    assert (checkpoint / "whole.json").is_file()
    assert not (folder / "adapter").exists()
    assert read_json(folder / "run.json")["finished"] is False
    assert checkpoint.name == f"checkpoint-{len(losses(folder))}"


def test_a_signal_to_accelerate_saves_a_checkpoint_though_it_is_not_passed_on(long: Path) -> None:
    folder = long.parent / "r"
    launcher = begin(ACCELERATE, "--config", str(long))
    waited(lambda: has_begun(folder))
    (child,) = psutil.Process(launcher.pid).children()
    launcher.terminate()
    launcher.wait()
    child.wait(60)
    assert list((folder / "checkpoints").glob("*/whole.json"))
