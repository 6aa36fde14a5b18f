"""Bad input to training: one sentence on stderr, status 2, nothing half-written, nothing lost."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from app.core.files import read_json, write_json, write_jsonl
from finetune.train import main
from tests.helpers_models import tiny_bert, tiny_llama
from tests.helpers_train import (
    OLD_NAMES,
    StopAfter,
    config,
    config_tree,
    conversations,
    reviews,
    train,
    written,
)

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT."""
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama."""
    return tiny_llama(tmp_path_factory.mktemp("llama"))


class Refusal:
    """Calls train.py here and returns its sentence."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def __call__(self, tree: dict[str, Any], *arguments: str) -> str:
        path = written(self.folder / "config.yaml", tree)
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--config", str(path), *arguments])
        assert ended.value.code == 2
        said = self.capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("error: ")
        assert not (Path(tree["run"]["out_dir"]) / "r" / "adapter").exists()
        return said


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Calls train.py, expects a refusal."""
    return Refusal(tmp_path, capsys)


@pytest.fixture
def tree(tmp_path: Path, bert: Path) -> dict[str, Any]:
    """A good classification config."""
    return config_tree("classification", bert, reviews(tmp_path / "rows.jsonl"), tmp_path / "runs")


def data_of(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    """`tree` with `path` as its training data and no dev data."""
    return tree | {"data": {"train": [f"file:{path}"]}}


def test_a_config_that_is_not_there_names_its_neighbours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.yaml").write_text("run: {}")
    with pytest.raises(SystemExit, match="2"):
        main(["--config", str(tmp_path / "missing.yaml")])
    assert "other.yaml" in capsys.readouterr().err


def test_wrong_key_and_wrong_type(refused: Refusal, tree: dict[str, Any]) -> None:
    assert "Did you mean 'optim'" in refused(tree | {"optims": {}})
    assert "adapter.rank" in refused(tree, "--set", "adapter.rank=big")
    assert "expected key=value" in refused(tree, "--set", "optim.lr")


def test_missing_data_names_the_nearest_file(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    said = refused(data_of(tree, tmp_path / "rowz.jsonl"))
    assert "no data file" in said
    assert "Did you mean 'rows.jsonl'" in said


def test_empty_data(refused: Refusal, tree: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("text,label\n")
    assert "empty.csv holds no rows" in refused(data_of(tree, tmp_path / "empty.csv"))


def test_a_broken_line_is_named_with_its_number(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "a", "label": "x"}\n{"text": "b", "lab')
    assert "broken.jsonl:2: not JSON" in refused(data_of(tree, broken))


def test_non_utf8_data_is_named_with_its_line(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("text,label\nok,x\ncafé,y\n".encode("latin-1"))
    assert "latin.csv:3: not UTF-8 (byte 0xe9)" in refused(data_of(tree, latin))


def test_an_unknown_column_lists_those_found(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "c.jsonl", [{"sentence": "good", "label": "x"}])
    said = refused(data_of(tree, tmp_path / "c.jsonl"))
    assert "no column 'text'" in said
    assert "Columns found: sentence, label" in said


def test_named_columns_are_read(tmp_path: Path, bert: Path) -> None:
    rows = [{"sentence": f"film {n}", "y": "ab"[n % 2]} for n in range(8)]
    write_jsonl(tmp_path / "c.jsonl", rows)
    columns = {"text": "sentence", "label": "y"}
    made = config("classification", bert, tmp_path / "c.jsonl", tmp_path, data__columns=columns)
    assert read_json(train(made) / "run.json")["labels"] == ["a", "b"]


def test_one_label_alone(refused: Refusal, tree: dict[str, Any], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "one.jsonl", [{"text": "good", "label": "x"}] * 3)
    assert "two labels or more" in refused(data_of(tree, tmp_path / "one.jsonl"))


def test_an_unknown_model_says_where_was_looked(refused: Refusal, tree: dict[str, Any]) -> None:
    said = refused(tree, "--set", "model.path=nobody/nothing-of-the-kind")
    assert "Looked in" in said
    assert "HF_ENDPOINT" in said
    assert "no such model folder: /nowhere" in refused(tree, "--set", "model.path=/nowhere")


def test_an_unknown_layer_lists_the_layers(refused: Refusal, tree: dict[str, Any]) -> None:
    said = refused(tree, "--set", "adapter.targets=[querry]")
    assert "no linear layer 'querry'" in said
    assert "Did you mean 'query'" in said


def test_a_folder_that_cannot_be_written(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    said = refused(tree, "--set", f"run.out_dir={tmp_path / 'file'}")
    assert "cannot write in" in said


def test_a_finished_run_is_never_overwritten(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {"finished": True, "seed": 99})
    for arguments in ([], ["--resume"]):
        assert "finished run; train beside it with --set run.name=" in refused(tree, *arguments)
    assert read_json(folder / "run.json") == {"finished": True, "seed": 99}


def test_a_running_run_is_left_alone(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "is being written by another run" in refused(tree)
    assert not (folder / "run.json").exists()


def test_a_stopped_run_asks_for_resume_and_for_the_same_config(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path, bert: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(SystemExit):
        train(config("classification", bert, path, tmp_path / "runs"), stop=StopAfter(2))
    assert "go on with it by --resume" in refused(tree)
    said = refused(tree, "--resume", "--set", "optim.lr=0.5")
    assert "optim.lr was 0.005, is 0.5" in said
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": "late", "label": "positive"}) + "\n")
    assert "changed since the run began" in refused(tree, "--resume")


def test_resume_needs_a_name_without_time(refused: Refusal, tree: dict[str, Any]) -> None:
    said = refused(tree, "--resume", "--set", "run.name=x-{time}")
    assert "runs/NAME/config.yaml" in said


def test_an_adapter_that_is_not_there(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path
) -> None:
    said = refused(tree, "--set", f"adapter.init_from={tmp_path}/none")
    assert "no adapter in" in said


def test_an_adapter_of_another_base_prompt_or_rank(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path, bert: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first = train(config("classification", bert, tmp_path / "rows.jsonl", tmp_path / "first"))
    go_on = ["--set", f"adapter.init_from={first}"]
    other = tiny_bert(tmp_path / "other", seed=5)
    assert "sha256" in refused(tree, *go_on, "--set", f"model.path={other}")
    said = refused(tree, *go_on, "--set", "adapter.rank=2")
    assert "set adapter.rank=4" in said
    monkeypatch.setattr("finetune.texts.PROMPT_VERSION", "sentiment/99")
    assert "trained with prompt sentiment/1" in refused(tree, *go_on)


def test_a_label_that_the_adapter_does_not_know(
    refused: Refusal, tree: dict[str, Any], tmp_path: Path, bert: Path
) -> None:
    first = train(config("classification", bert, tmp_path / "rows.jsonl", tmp_path / "first"))
    rows = [("n0", "fine", "positive"), ("n1", "so so", "neutral")]
    write_jsonl(tmp_path / "n.jsonl", [{"id": i, "text": t, "label": y} for i, t, y in rows])
    new = data_of(tree, tmp_path / "n.jsonl")
    said = refused(new, "--set", f"adapter.init_from={first}")
    assert "row n1 has the label 'neutral'" in said
    assert "negative, positive" in said


def test_conversations_without_an_answer_or_with_a_wrong_role(
    refused: Refusal, tmp_path: Path, llama: Path
) -> None:
    path = tmp_path / "c.jsonl"
    sft = config_tree("sft", llama, path, tmp_path / "runs")
    write_jsonl(path, [{"messages": [{"role": "user", "content": "hello?"}]}])
    assert "c.jsonl:1: expected messages that end with the assistant" in refused(sft)
    write_jsonl(path, [{"messages": [{"role": "boss", "content": "hello?"}]}])
    said = refused(sft)
    assert "c.jsonl:1" in said
    assert "'boss'" in said


def test_an_unknown_prompt_lists_those_there_are(
    refused: Refusal, tmp_path: Path, llama: Path
) -> None:
    path = conversations(tmp_path / "c.jsonl")
    sft = config_tree("sft", llama, path, tmp_path / "runs", data__prompt="suport/1")
    assert "Did you mean 'support/1'" in refused(sft)


def test_a_model_without_chat_template_and_rows_that_never_fit(
    refused: Refusal, tmp_path: Path, llama: Path
) -> None:
    from tests.helpers_models import tiny_gpt2

    path = conversations(tmp_path / "c.jsonl")
    plain = config_tree("sft", tiny_gpt2(tmp_path / "gpt2"), path, tmp_path / "runs")
    assert "has no chat template" in refused(plain)
    short = config_tree("sft", llama, path, tmp_path / "runs", data__max_tokens=9)
    assert "no training row fits in data.max_tokens 9" in refused(short)
