"""What one sees of a run: progress, curves, trackers."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.errors import ConfigError
from finetune import callbacks, curves, progress, tracking
from finetune.progress import Bar, Lines, Meter, Newest
from finetune.runs import RunFolder
from tests.helpers_models import tiny_bert
from tests.helpers_train import OLD_NAMES, StopAfter, config, reviews, train

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)
ARGS = SimpleNamespace(
    train_batch_size=4, gradient_accumulation_steps=2, world_size=1,
    metric_for_best_model="accuracy",
)  # fmt: skip


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are quicker on one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def state(step: int, total: int = 100, main: bool = True, history: Any = ()) -> Any:
    return SimpleNamespace(
        global_step=step, max_steps=total, is_world_process_zero=main, log_history=list(history)
    )


# progress


def test_speed_and_time_left_count_from_the_step_that_the_process_began_with(clock: Clock) -> None:
    meter = Meter(ARGS, state(40))  # gone on from a checkpoint
    clock.now += 10
    assert meter.told(state(60)) == (20 * 8 / 10, 10 / 20 * 40)
    assert Meter(ARGS, state(40)).told(state(40))[0] == 0


def test_the_loss_that_is_shown_is_smoothed_and_dev_is_the_newest() -> None:
    newest = Newest()
    for logs in ({"loss": 1.0}, {"loss": 0.0}, {"eval_loss": 0.4, "eval_accuracy": 0.75}):
        newest.hear(logs, ARGS)
    assert newest.told() == {"loss": "0.9000", "dev loss": "0.4000", "dev accuracy": "0.7500"}


def test_a_log_file_gets_a_line_each_half_minute_and_at_each_look_at_dev(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.on_train_begin(ARGS, state(0), None)
    for step in range(1, 101):
        clock.now += 1
        lines.on_log(ARGS, state(step), None, logs={"loss": 0.5})
        if step == 50:
            lines.on_log(ARGS, state(step), None, logs={"eval_loss": 0.3, "eval_accuracy": 0.8})
    lines.on_train_end(ARGS, state(100), None)
    said = stream.getvalue().splitlines()
    steps = [int(line.split("/")[0].removeprefix("step ")) for line in said]
    assert steps == [5, 35, 50, 80, 100]
    assert said[0] == "step 5/100, loss 0.5000, 8.0 examples/s, 1.6 min left"
    assert "dev accuracy 0.8000" in said[2]
    assert "\r" not in stream.getvalue()


def test_other_processes_than_the_first_say_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.on_train_begin(ARGS, state(0, main=False), None)
    clock.now += 99
    lines.on_log(ARGS, state(9, main=False), None, logs={"loss": 0.5})
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_and_a_file_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(progress.progress(Terminal()), Bar)
    assert isinstance(progress.progress(io.StringIO()), Lines)


def test_the_bar_shows_loss_and_speed_and_goes_on_where_a_run_went_on(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    bar = Bar()
    bar.on_train_begin(ARGS, state(40), None)
    clock.now += 4
    bar.on_step_end(ARGS, state(41), None)
    bar.on_log(ARGS, state(41), None, logs={"loss": 0.25})
    bar.on_train_end(ARGS, state(41), None)
    shown = capsys.readouterr().err
    assert "loss=0.2500, examples/s=2.0" in shown
    assert "41/100" in shown


# a whole run


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "bert")


def test_a_run_leaves_its_curves_and_readable_progress(
    tmp_path: Path, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(config("classification", bert, reviews(tmp_path / "r.jsonl"), tmp_path))
    assert (run / curves.FILE).read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().err
    assert re.search(r"^step 4/4, loss \d.*examples/s, 0.0 s left$", said, re.MULTILINE)
    assert "\r" not in said


def test_a_stopped_run_has_the_curves_of_what_it_did(tmp_path: Path, bert: Path) -> None:
    made = config("classification", bert, reviews(tmp_path / "r.jsonl"), tmp_path,
                  loop__max_steps=8)  # fmt: skip
    with pytest.raises(SystemExit):
        train(made, stop=StopAfter(3))
    assert (made.folder / curves.FILE).is_file()


def test_a_picture_that_cannot_be_written_costs_a_warning_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(curves, "draw", full)
    drawn = callbacks.Curves(RunFolder(tmp_path, {}, ours=True))
    drawn.on_evaluate(ARGS, state(3), None)
    assert "No space left on device" in caplog.text


def test_pictures_are_drawn_now_and_then_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(curves, "draw", lambda history, _: drawn.append(len(history)))
    curve = callbacks.Curves(RunFolder(tmp_path, {}, ours=True))
    for looks in range(1, 6):
        curve.on_evaluate(ARGS, state(looks, history=range(looks)), None)
    curve.on_train_end(ARGS, state(6, history=range(6)), None)
    assert drawn == [1, 6]


# trackers


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    made = config("classification", bert, reviews(tmp_path / "r.jsonl"), tmp_path / "runs",
                  run__tracker="trackio")  # fmt: skip
    with pytest.raises(ConfigError, match=r"run.tracker is trackio.*'.\[tracking\]'"):
        train(made)
    assert not made.folder.exists()
    tracking.ready("none", tmp_path)


def test_trackers_get_finite_numbers_by_where_they_come_from() -> None:
    logs = {"loss": 0.5, "eval_accuracy": 0.9, "note": "x", "grad_norm": float("nan")}
    assert tracking.named(logs) == {"train/loss": 0.5, "dev/accuracy": 0.9}


def test_tensorboard_reads_the_curve_of_a_run(tmp_path: Path, bert: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard: extra `tracking` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = config("classification", bert, reviews(tmp_path / "r.jsonl"), tmp_path,
                  run__tracker="tensorboard")  # fmt: skip
    found = EventAccumulator(str(train(made) / "tensorboard")).Reload()
    assert [event.step for event in found.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [event.step for event in found.Scalars("dev/accuracy")] == [2, 4]


@pytest.mark.filterwarnings("default")  # trackio's own
def test_trackio_writes_into_the_run_folder_and_nowhere_else(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trackio", reason="trackio: extra `tracking` is not installed")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/space")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "elsewhere"))
    for name in [name for name in sys.modules if name.split(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, name)  # as in a new process
    made = config("classification", bert, reviews(tmp_path / "r.jsonl"), tmp_path,
                  run__tracker="trackio")  # fmt: skip
    run = train(made)
    assert "TRACKIO_SPACE_ID" not in os.environ
    assert list((run / "trackio").glob("*.db"))


def test_the_trackers_of_the_config_are_those_that_exist() -> None:
    from typing import get_args

    from finetune.config import Run

    named = get_args(Run.model_fields["tracker"].annotation)
    assert set(named) == {"none", *tracking.BOOKS}
