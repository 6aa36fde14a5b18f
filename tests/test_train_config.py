"""Training configs: strict, explained, and refused with a sentence that says what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from app.core.config import load
from app.core.errors import ConfigError, InputError
from app.core.files import ROOT
from finetune.config import TrainConfig, accumulation, named, stamp
from finetune.launcher import _accelerate_arguments, _asked

CONFIGS = sorted((ROOT / "finetune" / "configs").glob("*.yaml"))
TINY = ROOT / "finetune" / "configs" / "tiny.yaml"


def configured(*overrides: str) -> TrainConfig:
    """tiny.yaml with `overrides`."""
    return load(TrainConfig, TINY, list(overrides))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    config = load(TrainConfig, path)
    assert accumulation(config.loop, 1) >= 1


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_say_what_they_do_and_explain_every_key(path: Path) -> None:
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ")
    keys = [line for line in lines if re.match(r"(  )?\w+: *\S", line)]
    assert len(keys) > 20
    assert not [line for line in keys if "#" not in line]


@pytest.mark.parametrize("name", ["sentiment", "preference"])
def test_two_configs_show_every_key_there_is(name: str) -> None:
    path = ROOT / "finetune" / "configs" / f"{name}.yaml"
    shown, known = yaml.safe_load(path.read_text()), load(TrainConfig, path).model_dump()
    groups = [group for group in known if isinstance(known[group], dict)]
    assert shown.keys() == known.keys()
    assert {g: set(shown[g]) for g in groups} == {g: set(known[g]) for g in groups}


def test_bert_and_gpt2_name_the_real_hub_models() -> None:
    names = {p.stem: load(TrainConfig, p).model.path for p in CONFIGS}
    assert names["bert"] == "google-bert/bert-base-uncased"
    assert names["gpt2"] == "openai-community/gpt2"


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'optim.learning'.*Known here: name, lr"):
        configured("optim.learning=1e-4")


def test_a_wrong_type_is_refused_with_what_was_found() -> None:
    with pytest.raises(ConfigError, match=r"adapter.rank.*integer.*found 'eight'"):
        configured("adapter.rank=eight")


def test_epochs_and_max_steps_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="either epochs or max_steps"):
        configured("loop.max_steps=5")
    with pytest.raises(ConfigError, match="either epochs or max_steps"):
        configured("loop.epochs=null")


def test_checkpoints_between_two_looks_at_dev_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"save_every \(6\) must be a multiple of eval_every \(4\)"
    ):
        configured("loop.save_every=6")


def test_an_uneven_batch_is_refused_naming_all_three_numbers() -> None:
    loop = configured("loop.global_batch=20", "loop.device_batch=4").loop
    assert accumulation(loop, 5) == 1
    with pytest.raises(ConfigError, match=r"20 is not a multiple of loop.device_batch 4 x 2 proc"):
        accumulation(loop, 2)


def test_accumulation_fills_up_to_the_global_batch() -> None:
    loop = configured("loop.global_batch=32", "loop.device_batch=4").loop
    assert (accumulation(loop, 1), accumulation(loop, 2)) == (8, 4)


def test_time_in_a_name_makes_it_new() -> None:
    config = named(configured("run.name=x-{time}"), stamp())
    assert config.run.name.startswith("x-20")
    assert "{" not in config.run.name


def test_a_name_cannot_leave_the_folder_of_runs() -> None:
    with pytest.raises(InputError, match=r"run\.name"):
        configured("run.name=../elsewhere")


def test_set_reads_numbers_lists_and_nothing() -> None:
    config = configured("optim.lr=1e-4", "adapter.targets=[query, value]", "data.limit=null")
    assert (config.optim.lr, config.adapter.targets) == (1e-4, ["query", "value"])
    assert config.data.limit is None


def test_saved_configs_read_back_equal(tmp_path: Path) -> None:
    from app.core.config import save

    save(configured(), tmp_path / "config.yaml")
    assert load(TrainConfig, tmp_path / "config.yaml") == configured()
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["run"]["seed"] == 17


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["python", "/env/bin/accelerate", "launch", "--cpu", "a.py"], ["--cpu", "a.py"]),
        (["python", "-m", "accelerate.commands.launch", "a.py"], ["a.py"]),
        (["python", "/env/bin/accelerate-launch", "a.py"], ["a.py"]),
        (["bash", "-c", "accelerate launch a.py"], None),
        ([], None),
    ],
)
def test_the_launcher_is_recognised_by_its_command_line(
    command: list[str], arguments: list[str] | None
) -> None:
    assert _accelerate_arguments(command) == arguments


def test_as_many_processes_are_asked_for_as_the_launcher_was_told() -> None:
    launch = ["python", "accelerate", "launch", "--cpu"]
    assert _asked({"WORLD_SIZE": "4"}, []) == 4
    assert _asked({}, ["bash"]) == 1
    assert _asked({}, [*launch, "--num_processes", "3", "a.py"]) == 3
    assert _asked({}, [*launch, "--num-processes=2", "a.py", "--num_processes", "9"]) == 2
    assert _asked({}, [*launch, "a.py"]) == 1


@pytest.mark.parametrize("program", [["finetune/train.py"], ["-m", "finetune", "feedback"]])
def test_help_answers_at_once_without_torch(program: list[str]) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *program, "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "usage" in done.stdout.lower()
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "gradio", "transformers", "numpy"}
    assert time.monotonic() - began < 10  # a loaded test machine; alone it is 0.2 s
