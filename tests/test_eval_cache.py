"""Finished samples: kept, taken again, forgotten; an interrupted run ends as if it never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.core.errors import InputError, NotReady
from app.core.files import ROOT
from eval import cache, harness, report
from eval.__main__ import app
from eval.cache import Cache
from eval.engines import fixed
from eval.samples import Row, Sample
from eval.task import Request, Task
from tests.helpers_eval import file_data, register, toy

FIXED = {"model": {"ref": "org/base", "sha256": "b" * 64}}
SERVER = {"model": {"ref": "openai:http://h/v1#m", "source": "server", "name": "m"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where samples are kept in this test; nobody edits the code meanwhile."""
    monkeypatch.setattr(cache, "code_hash", lambda *_: "code of eval")
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "samples"


class Asked:
    """Answers (every seventh wrongly), notes what it was asked, and may be made to break."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.breaks: dict[str, BaseException] = {}

    def __call__(self, sample: Sample) -> str:
        self.ids.append(sample.id)
        if error := self.breaks.get(sample.id):
            raise error
        return "no" if int(sample.id[1:]) % 7 == 0 else str(sample.gold)

    def took(self) -> list[str]:
        """What was asked since the last call."""
        ids, self.ids = self.ids, []
        return ids


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def data(tmp_path: Path) -> str:
    return file_data(tmp_path)


def ids(*parts: Sequence[int] | range) -> list[str]:
    return [f"s{i}" for part in parts for i in part]


def run(task: Task, data: str, fresh: bool = False, **request: Any) -> harness.Evaluation:
    """As the command line does it."""
    plan = harness.prepare(task, Request(data, **request))
    kept = cache.of(plan, fresh)
    found = harness.run(plan, cache=kept)
    kept.finish()
    return found


def same(a: harness.Evaluation, b: harness.Evaluation) -> bool:
    """Equal in all that a report says, provenance apart, to the byte."""
    (one, rows), (two, others) = a, b
    hidden = {"provenance"}
    return one.model_dump_json(exclude=hidden) == two.model_dump_json(exclude=hidden) and [
        r.model_dump_json() for r in rows
    ] == [r.model_dump_json() for r in others]


# Going on


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_an_interrupted_run_goes_on_and_ends_as_if_it_never_was(
    asked: Asked, data: str, batch: int
) -> None:
    plain = harness.run(harness.prepare(toy(asked, FIXED, batch), Request(data)))
    asked.took()
    asked.breaks = {"s22": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(toy(asked, FIXED, batch), data)
    asked.took()
    asked.breaks = {}
    whole = run(toy(asked, FIXED, batch), data)
    assert asked.took() == ids(range(22 - 22 % batch, 40))
    assert same(whole, plain)


def test_what_remains_is_asked_in_the_batches_of_a_whole_run(asked: Asked, data: str) -> None:
    batches: list[list[str]] = []
    task = toy(asked, FIXED, 4)
    plan = harness.prepare(task, Request(data))

    def predict(samples: Sequence[Sample]) -> list[str]:
        batches.append([sample.id for sample in samples])
        return plan.system.predict(samples)  # type: ignore[return-value]

    watched = plan._replace(system=plan.system._replace(predict=predict))
    asked.breaks = {"s9": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        harness.run(watched, cache=cache.of(plan))
    asked.breaks, batches[:] = {}, []
    finished: list[int] = []
    harness.run(watched, progress=finished.append, cache=cache.of(plan))
    assert batches == [ids(range(n, n + 4)) for n in range(8, 40, 4)]
    assert finished == [4] * 8  # only what was asked now: else the time left would be wrong


def test_a_finished_run_is_not_asked_again_unless_fresh(asked: Asked, data: str) -> None:
    first = run(toy(asked, FIXED), data)
    assert len(asked.took()) == 40
    second = run(toy(asked, FIXED), data)
    assert asked.took() == []
    assert same(first, second)
    run(toy(asked, FIXED), data, fresh=True)
    assert len(asked.took()) == 40
    run(toy(asked, FIXED), data)
    assert asked.took() == []


def test_a_failed_sample_is_asked_again(asked: Asked, data: str) -> None:
    asked.breaks = {"s5": InputError("too long"), "s30": ValueError()}
    found = run(toy(asked, FIXED), data)
    assert found.report.failed == ["s5", "s30"]
    asked.took()
    asked.breaks = {"s5": InputError("too long")}
    again = run(toy(asked, FIXED), data)
    assert sorted(set(asked.took())) == ["s30", "s5"]
    assert again.report.failed == ["s5"]


def test_a_product_that_is_gone_ends_the_run_and_keeps_what_was_done(
    asked: Asked, data: str
) -> None:
    asked.breaks = {"s21": NotReady("the model server cannot be reached")}
    with pytest.raises(NotReady, match="cannot be reached"):
        run(toy(asked, FIXED), data)
    assert asked.took()[-1] == "s21"  # and nothing after it, nor its batch once more
    asked.breaks = {}
    run(toy(asked, FIXED), data)
    assert asked.took() == ids(range(20, 40))


@pytest.mark.parametrize("torn", [b'[{"id": "s0", "text_s', b"garbage", b'{"a": 1}', b"\xff\xfe"])
def test_a_torn_last_line_costs_its_batch_alone(
    asked: Asked, data: str, folder: Path, torn: bytes
) -> None:
    asked.breaks = {"s12": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(toy(asked, FIXED), data)
    (file,) = folder.iterdir()
    *lines, last = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines) + (torn if b"s0" not in torn else last[:40]))
    asked.took()
    asked.breaks = {"s20": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(toy(asked, FIXED), data)
    assert asked.took() == ids(range(8, 21))
    asked.breaks = {}
    run(toy(asked, FIXED), data)
    assert asked.took() == ids(range(20, 40))  # what came after the torn line is read


# What a row depends on


def test_other_systems_data_samples_and_code_are_asked_anew(
    asked: Asked, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(toy(asked, FIXED), data)
    asked.took()
    for changed in (
        {"model": {"ref": "org/base", "sha256": "c" * 64}},
        {**FIXED, "prompt": {"version": "support/2", "sha256": "d"}},
        {**FIXED, "adapter": {"path": "x", "sha256": "e"}},
        {**FIXED, "options": {"max_new_tokens": 9}},
        {**FIXED, "settings": {"temperature": 2.0}},
    ):
        run(toy(asked, changed), data)
        assert len(asked.took()) == 40
    run(toy(asked, FIXED), data, system="other")
    assert len(asked.took()) == 40
    run(toy(asked, FIXED, batch=5), data)
    assert len(asked.took()) == 40
    run(toy(asked, FIXED), data, limit=10)
    assert len(asked.took()) == 10
    file = tmp_path / "toy.jsonl"
    file.write_text(file.read_text().replace("text 39", "text 93"), encoding="utf-8")
    run(toy(asked, FIXED), data)
    assert len(asked.took()) == 40
    for part in ("code_hash", "versions", "machine"):
        with monkeypatch.context() as patch:
            patch.setattr(cache, part, lambda *_: {"other": "one"})
            run(toy(asked, FIXED), data)
            assert len(asked.took()) == 40
    monkeypatch.setattr(Task, "code", lambda _: "other code")
    run(toy(asked, FIXED), data)
    assert len(asked.took()) == 40


def test_a_text_that_changed_under_its_id_is_not_taken(tmp_path: Path) -> None:
    kept = Cache(tmp_path / "x.jsonl")
    kept.add([Row(id="a", text_sha256="of another text", scores={}, slices={})])
    assert kept.rows([Sample("a", "this text", "yes", {})]) == {}


# Systems that no hash fixes


def test_samples_of_a_server_serve_the_interrupted_run_alone(
    asked: Asked, data: str, folder: Path
) -> None:
    asked.breaks = {"s8": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(toy(asked, SERVER), data)
    asked.took()
    asked.breaks = {}
    run(toy(asked, SERVER), data)
    assert asked.took() == ids(range(8, 40))
    assert list(folder.iterdir()) == []
    run(toy(asked, SERVER), data)
    assert len(asked.took()) == 40


def test_after_a_day_a_server_is_asked_from_the_beginning(
    asked: Asked, data: str, folder: Path
) -> None:
    for identity, again in ((SERVER, range(40)), (FIXED, range(8, 40))):
        asked.breaks = {"s8": KeyboardInterrupt()}
        with pytest.raises(KeyboardInterrupt):
            run(toy(asked, identity), data)
        asked.took()
        asked.breaks = {}
        (file,) = folder.iterdir()
        os.utime(file, (time.time() - cache.SERVER_S - 9,) * 2)
        run(toy(asked, identity), data)
        assert asked.took() == ids(again)


@pytest.mark.parametrize(
    ("identity", "known"),
    [
        (FIXED, True),
        ({"model": {"ref": "scripted"}}, True),  # fixed by the hash of the code
        ({**FIXED, "encoder": {"ref": "x", "sha256": "y"}}, True),
        (SERVER, False),
        ({**SERVER, "encoder": {"ref": "x", "sha256": "y"}}, False),
        ({}, False),
    ],
)
def test_a_system_is_fixed_where_all_its_weights_have_a_sha256(
    identity: dict[str, Any], known: bool
) -> None:
    assert fixed(identity) is known


# Bounds and faults of the disk


def test_the_evaluations_used_longest_ago_are_forgotten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    for n in range(5):
        Cache(folder / f"{n}.jsonl").finish()
        os.utime(folder / f"{n}.jsonl", (n, n))
    Cache(folder / "2.jsonl").finish()  # used again
    assert sorted(p.stem for p in folder.iterdir()) == ["2", "3", "4"]


def test_evaluations_beyond_the_bytes_are_forgotten_but_never_the_present_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    for n in range(3):
        (folder / f"{n}.jsonl").write_text("x" * 400)
        os.utime(folder / f"{n}.jsonl", (n, n))
    monkeypatch.setattr(cache, "MOST_BYTES", 900)
    Cache(folder / "new.jsonl").finish()
    assert sorted(p.stem for p in folder.iterdir()) == ["1", "2", "new"]
    monkeypatch.setattr(cache, "MOST_BYTES", 10)
    Cache(folder / "2.jsonl").finish()
    assert [p.stem for p in folder.iterdir()] == ["2"]


def test_a_disk_that_takes_nothing_ends_no_evaluation(
    asked: Asked, data: str, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "file"))
    assert run(toy(asked, FIXED), data).report.n == 40
    assert "finished samples are not kept" in caplog.text


def test_a_disk_that_is_full_midway_keeps_what_it_took(
    asked: Asked, data: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = os.write, []

    def full(handle: int, block: bytes) -> int:
        written.append(block)
        if len(written) > 3:
            raise OSError(28, "No space left on device")
        return write(handle, block)

    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "write", full)
        assert run(toy(asked, FIXED), data).report.n == 40
    assert caplog.text.count("No space left on device") == 1
    asked.took()
    run(toy(asked, FIXED), data)
    assert asked.took() == ids(range(12, 40))


def test_texts_of_other_peoples_data_are_not_kept(asked: Asked, data: str, folder: Path) -> None:
    run(toy(asked, FIXED), data)
    (file,) = folder.iterdir()
    assert "text 3" not in file.read_text(encoding="utf-8")


# The command


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(
    asked: Asked, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, toy(asked, FIXED))
    asked.breaks = {"s21": KeyboardInterrupt()}
    done = CliRunner().invoke(app, ["run", "toy", "--data", data])
    assert done.exit_code == 130
    assert "20 of 40 samples are kept: the same command goes on from there" in done.stderr
    asked.breaks = {}
    done = CliRunner().invoke(app, ["run", "toy", "--data", data])
    assert done.exit_code == 0
    assert "20 of 40 samples from the cache (--fresh asks them again)" in done.stderr
    done = CliRunner().invoke(app, ["run", "toy", "--data", data, "--fresh"])
    assert "from the cache" not in done.stderr


def test_the_bar_begins_where_the_run_before_it_stopped(
    asked: Asked, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rich.progress

    bars: list[rich.progress.Task] = []

    class Seen(rich.progress.Progress):
        def stop(self) -> None:
            bars.append(self.tasks[0])
            super().stop()

    monkeypatch.setattr(rich.progress, "Progress", Seen)
    register(monkeypatch, toy(asked, FIXED))
    asked.breaks = {"s21": KeyboardInterrupt()}
    CliRunner().invoke(app, ["run", "toy", "--data", data])
    asked.breaks = {}
    CliRunner().invoke(app, ["run", "toy", "--data", data])
    assert [(bar.completed, bar.total) for bar in bars] == [(20, 40), (40, 40)]
    # The speed, from which the time left is reckoned, knows of the twenty asked now.
    assert sum(step.completed for step in bars[1]._progress) == 20


SCRIPT = """
import sys, time
from pathlib import Path
from eval import cache, harness, report
from eval.task import Request, Task
from tests.helpers_eval import toy

data, out, log = sys.argv[1:]
Task.code = lambda self: "code"
cache.code_hash = lambda *_: "code of eval"
asked = open(log, "a")

def answer(sample):
    print(sample.id, file=asked, flush=True)
    time.sleep(0.01)
    return "no" if int(sample.id[1:]) % 7 == 0 else sample.gold

plan = harness.prepare(toy(answer, {"model": {"ref": "scripted"}}, batch=4), Request(data))
kept = cache.of(plan)
found = harness.run(plan, cache=kept)
report.write(Path(out), found.report, found.rows)
kept.finish()
"""


@pytest.mark.slow
def test_a_killed_run_loses_its_batch_and_nothing_else(tmp_path: Path) -> None:
    """kill -9 while samples are asked; what was finished is neither lost nor asked again."""
    data = file_data(tmp_path, 100)
    script, log = tmp_path / "run.py", tmp_path / "asked"
    script.write_text(SCRIPT)

    def start(out: str, into: Path, kept: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "FRONTDESK_CACHE": str(tmp_path / kept)
        }  # fmt: skip
        command = [sys.executable, script, data, tmp_path / out, into]
        return subprocess.Popen(command, cwd=ROOT, env=environment)

    assert start("plain", tmp_path / "asked plain", "cache plain").wait() == 0
    running = start("killed", log, "cache")
    until = time.monotonic() + 60
    while not log.is_file() or len(log.read_text().split()) < 30:
        assert time.monotonic() < until
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = log.read_text().split()
    assert not (tmp_path / "killed").exists()
    assert start("killed", log, "cache").wait() == 0
    after = log.read_text().split()[len(before) :]
    lost = [name for name in before if name in after]
    assert len(lost) <= 4
    assert sorted([*before, *after]) == sorted([*(f"s{i}" for i in range(100)), *lost])
    trees = []
    for name in ("plain", "killed"):
        tree = json.loads((tmp_path / name / report.REPORT).read_text(encoding="utf-8"))
        tree.pop("provenance")
        trees.append((tree, (tmp_path / name / report.SAMPLES).read_bytes()))
    assert trees[0] == trees[1]
