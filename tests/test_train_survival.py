"""What a run survives: broken and foreign checkpoints, a full disk, a kill in the last moment.

Kills by the dozen: tests/prove_resume.py, run by `make prove` and in miniature in the slow tier.
"""

from __future__ import annotations

import os
import pickletools
import resource
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.core.errors import InputError
from app.core.files import RELEASES, read_json, sha256_file, write_json
from app.core.records import read_rows
from finetune import checkpoints, runs
from finetune.checkpoints import SEAL
from finetune.config import TrainConfig
from tests.helpers_models import tiny_bert
from tests.helpers_train import OLD_NAMES, Quiet, StopAfter, config, reviews, train
from tests.prove_resume import proved

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)
WEIGHTS = "adapter_model.safetensors"
Damage = Callable[[Path], object]


@pytest.fixture(autouse=True, scope="module")
def no_pictures() -> Iterator[None]:
    """curves.png is half the time of so small a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finetune.curves.draw", lambda *_: False)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT and rows for it."""
    made = tmp_path_factory.mktemp("survival")
    tiny_bert(made / "bert")
    reviews(made / "rows.jsonl", 12)
    return made


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """An uninterrupted run."""
    return train(made_in(folder, folder / "whole"))


@pytest.fixture(scope="module")
def stopped_once(folder: Path) -> Path:
    """A run stopped after 7 of 9 steps, with the checkpoints of steps 4 (or the best), 6 and 7."""
    with pytest.raises(SystemExit):
        train(made_in(folder, folder / "stopped"), stop=StopAfter(7))
    return folder / "stopped" / "r"


@pytest.fixture
def stopped(stopped_once: Path, folder: Path, tmp_path: Path) -> TrainConfig:
    """A copy of it, somewhere else."""
    shutil.copytree(stopped_once, tmp_path / "r")
    made = made_in(folder, tmp_path)
    text = (tmp_path / "r" / "config.yaml").read_text()
    moved = text.replace(str(stopped_once.parent), str(tmp_path))
    (tmp_path / "r" / "config.yaml").write_text(moved)
    for one in kept(tmp_path / "r"):  # the config names the folder, and the seals the config
        resealed(one, made)
    return made


def made_in(folder: Path, out: Path, **changes: Any) -> TrainConfig:
    """The config of all runs here."""
    same = {"loop__max_steps": 9, "adapter__dropout": 0.2, "optim__lr": 1e-2} | changes
    return config("classification", folder / "bert", folder / "rows.jsonl", out, **same)


def kept(run: Path) -> list[Path]:
    """Its checkpoints, newest first."""
    found = (run / "checkpoints").iterdir()
    return sorted(found, key=lambda path: int(path.name.split("-")[1]), reverse=True)


def resealed(checkpoint: Path, made: TrainConfig) -> None:
    """Seal it anew, as somebody could who has write access."""
    (checkpoint / SEAL).unlink(missing_ok=True)
    checkpoints.seal(checkpoint, runs.RunFolder(made.folder, {}, ours=True))


def same(run: Path, other: Path) -> bool:
    """Whether two runs have the same curve and the same adapter, bit for bit."""
    return all(
        sha256_file(run / name) == sha256_file(other / name)
        for name in ("metrics.jsonl", f"adapter/{WEIGHTS}")
    )


# checkpoints


def test_a_checkpoint_is_sealed_with_the_sums_of_its_files_and_of_the_config(whole: Path) -> None:
    newest = kept(whole)[0]
    sealed = read_json(newest / SEAL)
    files = {p.relative_to(newest).as_posix() for p in newest.rglob("*") if p.is_file()}
    assert set(sealed["files"]) == files - {SEAL}
    assert {"optimizer.pt", "rng_state.pth", "trainer_state.json", WEIGHTS} < files
    assert "training_args.bin" not in files
    assert sealed["files"][WEIGHTS] == sha256_file(newest / WEIGHTS)
    assert sealed["config"] == sha256_file(whole / "config.yaml")


def test_the_newest_two_checkpoints_and_the_best_are_kept(folder: Path, tmp_path: Path) -> None:
    # nothing is learnt, so that the first look at dev stays the best
    run = train(made_in(folder, tmp_path, optim__lr=1e-9))
    assert read_json(run / "run.json")["best_step"] == 2
    assert [one.name for one in kept(run)] == ["checkpoint-9", "checkpoint-8", "checkpoint-2"]


def test_a_run_goes_on_where_its_folder_was_moved_to(stopped: TrainConfig, whole: Path) -> None:
    assert same(train(stopped, resume=True), whole)


def test_the_sampler_is_found_under_whatever_shares_its_batches_out() -> None:
    # accelerate names the epoch to the outermost two of these
    from accelerate.data_loader import BatchSamplerShard, SkipBatchSampler
    from torch.utils.data import BatchSampler, DataLoader

    from finetune.trainer import LengthGrouped, _sampler

    rows = LengthGrouped([3, 1, 2, 5], 2, seed=1)
    shard = BatchSamplerShard(BatchSampler(rows, 1, drop_last=False), 2, 0)
    for batches in (shard, SkipBatchSampler(shard, 1)):
        assert _sampler(DataLoader([0] * 4, batch_sampler=batches)) is rows


def test_another_number_of_processes_is_named(
    stopped: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    record = read_json(stopped.folder / "run.json")
    record["batch"]["processes"] = 2
    write_json(stopped.folder / "run.json", record)
    train(stopped, resume=True)
    assert "begun by 2 processes, gone on with by 1" in capsys.readouterr().out


# broken ones


def truncated(name: str) -> Damage:
    """The file is cut in half."""
    return lambda one: os.truncate(one / name, (one / name).stat().st_size // 2)


def garbage(name: str) -> Damage:
    """As many bytes of something else."""
    return lambda one: (one / name).write_bytes(os.urandom((one / name).stat().st_size))


def other_shapes(one: Path) -> None:
    """A good file of another rank."""
    tensors = {name: torch.cat([t, t]) for name, t in load_file(one / WEIGHTS).items()}
    save_file(tensors, one / WEIGHTS)


def gone(name: str) -> Damage:
    """The file is not there."""
    return lambda one: (one / name).unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncated("optimizer.pt"), "has another optimizer.pt than was written"),
        (garbage(WEIGHTS), f"has another {WEIGHTS} than was written"),
        (other_shapes, f"has another {WEIGHTS} than was written"),
        (truncated("trainer_state.json"), "has another trainer_state.json"),
        (gone("rng_state.pth"), "lacks rng_state.pth"),
        (gone(SEAL), "was cut short"),
        (garbage(SEAL), f"has a {SEAL} that cannot be read"),
        (lambda one: (one / SEAL).write_text("[]"), f"has a {SEAL} that cannot be read"),
    ],
)
def test_a_broken_checkpoint_is_named_and_the_one_before_is_taken(
    damage: Damage, said: str, stopped: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = stopped.folder / "checkpoints" / "checkpoint-7"
    damage(newest)
    taken = checkpoints.newest(runs.RunFolder(stopped.folder, {}, ours=True))
    assert taken == newest.with_name("checkpoint-6")
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith(f"--resume: checkpoint-7 {said}")
    assert told.endswith("going on from checkpoint-6")
    assert not newest.exists()


def test_a_run_whose_last_checkpoint_broke_ends_like_an_unbroken_one(
    stopped: TrainConfig, whole: Path
) -> None:
    truncated("optimizer.pt")(stopped.folder / "checkpoints" / "checkpoint-7")
    assert same(train(stopped, resume=True), whole)


def test_where_all_checkpoints_are_broken_the_run_is_refused_and_nothing_is_removed(
    stopped: TrainConfig,
) -> None:
    names = [one.name for one in kept(stopped.folder)]
    for one in kept(stopped.folder):
        truncated("optimizer.pt")(one)
    with pytest.raises(InputError, match=r"no checkpoint in .* \(checkpoint-7 has another optim"):
        train(stopped, resume=True)
    assert [one.name for one in kept(stopped.folder)] == names


def test_a_checkpoint_of_another_config_is_not_gone_on_from(
    stopped: TrainConfig, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        train(made_in(folder, tmp_path / "other", adapter__rank=2), stop=StopAfter(2))
    shutil.rmtree(stopped.folder / "checkpoints")
    foreign = tmp_path / "other" / "r" / "checkpoints"
    shutil.copytree(foreign, stopped.folder / "checkpoints")
    with pytest.raises(InputError, match="checkpoint-2 was made with another config"):
        train(stopped, resume=True)


def test_a_checkpoint_whose_best_is_broken_is_not_gone_on_from(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # the best, which the end of the run loads, is that of step 2: with it, all later ones go
    made = made_in(folder, tmp_path, optim__lr=1e-9)
    with pytest.raises(SystemExit):
        train(made, stop=StopAfter(7))
    truncated(WEIGHTS)(made.folder / "checkpoints" / "checkpoint-2")
    with pytest.raises(InputError, match="checkpoint-7 needs checkpoint-2, the best on dev"):
        train(made, resume=True)
    shutil.rmtree(made.folder / "checkpoints" / "checkpoint-2")
    with pytest.raises(InputError, match="the best on dev, which is gone"):
        train(made, resume=True)
    assert "going on" not in capsys.readouterr().out


def test_a_run_killed_before_its_first_checkpoint_begins_anew(
    stopped: TrainConfig, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in kept(stopped.folder):
        gone(SEAL)(one)
    (stopped.folder / ".run.json.x1").write_text("half")
    (stopped.folder / ".adapter").mkdir()
    assert same(train(stopped, resume=True), whole)
    assert "checkpoint-7 was cut short; beginning anew" in capsys.readouterr().out
    assert {path.name for path in stopped.folder.glob(".*")} == {".lock"}


# pickles


class Planted:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_planted_pickle_is_never_executed(
    name: str, zipped: bool, stopped: TrainConfig, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    newest, canary = kept(stopped.folder)[0], tmp_path / "canary"
    plant(newest / name, canary, zipped)
    resealed(newest, stopped)
    taken = checkpoints.newest(runs.RunFolder(stopped.folder, {}, ours=True))
    assert taken == newest.with_name("checkpoint-6")
    said = f"checkpoint-7 holds more than tensors in {name}, which is never loaded"
    assert said in capsys.readouterr().out
    assert not canary.exists()


def test_the_trainers_own_loading_executes_none_either(
    stopped: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest, canary = kept(stopped.folder)[0], tmp_path / "canary"
    plant(newest / "rng_state.pth", canary, zipped=True)
    resealed(newest, stopped)
    monkeypatch.setattr(checkpoints, "_tensors_only", lambda _: True)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        train(stopped, resume=True)
    assert not canary.exists()


def plant(path: Path, canary: Path, zipped: bool) -> None:
    """A pickle that makes the folder `canary` when it is loaded as any object."""
    torch.save({"x": Planted(canary)}, path, _use_new_zipfile_serialization=zipped)
    torch.load(path, weights_only=False)
    canary.rmdir()  # it works


def is_pickle(path: Path) -> bool:
    """Of any protocol, also within a zip as torch writes it."""
    if zipfile.is_zipfile(path):
        return True
    try:
        return len(list(pickletools.genops(path.read_bytes()))) > 1
    except Exception:  # whatever is no pickle
        return False


def test_what_is_published_holds_no_pickle(whole: Path, tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "new.pt")
    torch.save({"a": 1}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert is_pickle(tmp_path / "new.pt")
    assert is_pickle(tmp_path / "old.pt")
    published = [path for path in whole.rglob("*") if "checkpoints" not in path.parts]
    published += RELEASES.rglob("*")
    files = [path for path in published if path.is_file()]
    assert {WEIGHTS, "fingerprints.bin", "release.json"} <= {path.name for path in files}
    assert not [path for path in files if is_pickle(path)]
    assert {path.suffix for path in files} <= {
        "", ".safetensors", ".json", ".jsonl", ".yaml", ".md", ".html", ".bin", ".png",
    }  # fmt: skip


# a full disk


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes, as with a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["optimizer.pt", WEIGHTS])
def test_no_room_for_a_checkpoint_is_a_sentence_and_the_last_one_is_kept(
    name: str, stopped: TrainConfig, whole: Path
) -> None:
    size = (stopped.folder / "checkpoints" / "checkpoint-7" / name).stat().st_size
    with (
        files_up_to(size - 1),
        pytest.raises(InputError, match=r"no room left .*checkpoint-7 is whole: make room.*resume"),
    ):
        train(stopped, resume=True)
    assert kept(stopped.folder)[0].name == "checkpoint-7"
    assert same(train(stopped, resume=True), whole)


class DiskFull(Quiet):
    """From step `step` on, metrics.jsonl lies on a device without room."""

    def __init__(self, run: Path, step: int) -> None:
        self.run, self.left = run, step

    @property  # type: ignore[override]
    def signal(self) -> None:
        """Read once a step."""
        self.left -= 1
        if not self.left:
            (self.run / "metrics.jsonl").unlink()
            (self.run / "metrics.jsonl").symlink_to("/dev/full")


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_when_there_is_room(
    folder: Path, tmp_path: Path, whole: Path
) -> None:
    made = made_in(folder, tmp_path)
    with pytest.raises(InputError, match=r"no room left to write in .*checkpoint-4 is whole"):
        train(made, stop=DiskFull(made.folder, 5))
    assert same(train(made, resume=True), whole)


def test_another_error_of_the_system_is_no_lack_of_room(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), checkpoints.room(tmp_path):
        raise PermissionError(13, "no")
    with pytest.raises(RuntimeError, match="shapes"), checkpoints.room(tmp_path):
        raise RuntimeError("shapes")


# the last moment


def test_a_run_killed_after_its_last_step_takes_no_further_one(
    folder: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 9 steps of 3 an epoch, then 10: the one ends with its epoch, the other within it
    made = made_in(folder, tmp_path, loop__max_steps=10)
    expected = train(made_in(folder, tmp_path / "other", loop__max_steps=10))
    for killed_in in ("finetune.engine.adapters.save", "finetune.engine.fingerprints.write"):
        with monkeypatch.context() as killed:
            killed.setattr(killed_in, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                train(made, resume=True)
    run = train(made, resume=True)
    assert same(run, expected)
    assert read_json(run / "run.json")["steps"] == 10
    assert [row["step"] for row in read_rows(run / "metrics.jsonl") if "loss" in row][-1] == 10
    assert len(list(read_rows(whole / "metrics.jsonl"))) == 9 + 5


def test_a_run_that_had_lost_patience_takes_no_further_step(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_in(folder, tmp_path, loop__early_stopping=2, optim__lr=1e-9)
    with monkeypatch.context() as killed:
        killed.setattr("finetune.engine.adapters.save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(made)
    assert read_json(train(made, resume=True) / "run.json")["steps"] == 6


def test_a_run_record_that_was_never_written_is_begun_anew(
    folder: Path, tmp_path: Path, whole: Path
) -> None:
    made = made_in(folder, tmp_path)
    made.folder.mkdir()
    shutil.copy(whole / "config.yaml", made.folder)
    text = (made.folder / "config.yaml").read_text()
    (made.folder / "config.yaml").write_text(text.replace(str(whole.parent), str(tmp_path)))
    record = read_json(train(made, resume=True) / "run.json")
    assert record["seed"] == 3
    assert record["task"] == "classification"


@pytest.mark.slow
@pytest.mark.parametrize("case", ["classification", "sft"])
def test_killed_runs_end_as_uninterrupted_ones(case: str, tmp_path: Path) -> None:
    found = proved(case, 3, tmp_path)
    assert (found["kills"], found["unequal"], found["steps"]) == (3, 0, 14)
