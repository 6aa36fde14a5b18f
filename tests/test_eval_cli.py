"""`python -m eval` as it is typed: exit status, files written, one sentence for bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.core.errors import InputError
from app.core.files import ROOT
from eval.__main__ import app
from tests.helpers_eval import evaluated, file_data, register, toy, wrong_on

RUNNER = CliRunner()


def cli(*arguments: object) -> Result:
    """Run in this process; errors of ours come out as they are."""
    return RUNNER.invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def typed(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run as a user does."""
    command = [sys.executable, "-m", "eval", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reports good, same (20 of 200 wrong) and bad (80 wrong), and a policy for the toy task."""
    data = file_data(tmp_path, 200)
    for name, wrong in (("good", 0), ("same", 20), ("bad", 80)):
        identity = {"model": {"ref": "org/base", "sha256": name}}
        task = toy(wrong_on(*(f"s{i}" for i in range(wrong))), identity)
        register(monkeypatch, task)
        evaluated(task, tmp_path / name, data=data)
    policy = tmp_path / "policy.yaml"
    policy.write_text("tasks: {toy: {metric: accuracy, margin: 0.05, min_n: 100}}\n")
    return tmp_path


def test_list_names_every_task_with_metrics_and_data() -> None:
    done = cli("list")
    assert done.exit_code == 0
    for word in ("sentiment:", "retrieval:", "support:", "recommend:", "gold_fact_recall"):
        assert word in done.output
    assert "demo:reviews#test" in done.output


def test_run_prints_numbers_with_intervals_and_writes_four_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, toy(wrong_on("s0")))
    done = cli("run", "toy", "--data", f"file:{folder / 'toy.jsonl'}", "--out", folder / "new")
    assert done.exit_code == 0
    assert "| accuracy | 0.995 |" in done.output
    files = sorted(p.name for p in (folder / "new").iterdir())
    assert files == ["report.html", "report.json", "report.md", "samples.jsonl"]


@pytest.fixture
def comments(folder: Path) -> str:
    """A file whose columns have names of their own, with a second guess at the label."""
    lines = (
        "comment,category,other",
        "a lovely pot,positive,negative",
        "it broke,negative,negative",
    )
    (folder / "dev.csv").write_text("\n".join(lines) + "\n")
    return f"file:{folder / 'dev.csv'}"


def test_columns_of_a_file_may_have_other_names(folder: Path, comments: str) -> None:
    command = ("run", "sentiment", "--model", "scripted", "--data", comments, "--columns")
    done = cli(*command, "text=comment,label=category", "--out", folder / "a")
    assert done.exit_code == 0, done.output
    assert "| accuracy | 1.000 |" in done.output
    # The same file by other columns is other data, also to the cache.
    done = cli(*command, "text=comment,label=other", "--out", folder / "b")
    assert "| accuracy | 0.500 |" in done.output
    with pytest.raises(InputError, match="measured in different contexts"):
        cli("compare", folder / "a", folder / "b")


def test_a_missing_column_names_the_option_that_works(comments: str) -> None:
    with pytest.raises(InputError, match=r"no column 'text'.* Say --columns text=COLUMN$"):
        cli("run", "sentiment", "--model", "scripted", "--data", comments)


@pytest.mark.parametrize(
    ("task", "columns", "sentence"),
    [
        ("sentiment", "comment", r"--columns comment: expected FIELD=COLUMN"),
        ("sentiment", "", r"expected FIELD=COLUMN"),
        (
            "sentiment",
            "txt=comment",
            r"no field 'txt'\. Did you mean 'text'\? It reads: text, label",
        ),
        ("sentiment", "text=coment", r"no column 'coment' for 'text'\. Did you mean 'comment'"),
        ("retrieval", "text=comment", r"task retrieval takes no --columns"),
    ],
)
def test_columns_that_do_not_fit_are_one_sentence(
    comments: str, task: str, columns: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        cli("run", task, "--model", "scripted", "--data", comments, "--columns", columns)


def test_several_tasks_have_a_folder_each(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from eval.tasks import TASKS

    register(monkeypatch, toy(wrong_on()))
    monkeypatch.setitem(TASKS, "toy2", replace(TASKS["toy"], name="toy2"))
    data = f"file:{folder / 'toy.jsonl'}"
    assert cli("run", "toy", "toy2", "--data", data, "--out", folder / "two").exit_code == 0
    assert (folder / "two" / "toy" / "report.json").is_file()
    assert (folder / "two" / "toy2" / "report.json").is_file()


@pytest.mark.parametrize(("candidate", "status"), [("good", 0), ("same", 0), ("bad", 1)])
def test_gate_answers_by_its_exit_status(folder: Path, candidate: str, status: int) -> None:
    done = cli("gate", folder / candidate, folder / "same", "--policy", folder / "policy.yaml")
    assert done.exit_code == status
    assert done.output.startswith("Ship: " if status == 0 else "Block: ")
    evidence = json.loads((folder / candidate / "gate.json").read_text(encoding="utf-8"))
    assert evidence["verdict"] == ("ship" if status == 0 else "block")


def test_an_inconclusive_gate_exits_3_and_names_an_n(folder: Path) -> None:
    policy = folder / "policy.yaml"
    policy.write_text("tasks: {toy: {metric: accuracy, margin: 0.05, min_n: 900}}\n")
    done = cli("gate", folder / "good", folder / "same", "--policy", policy)
    assert done.exit_code == 3
    assert "at least 900 samples" in done.output


def test_gate_prints_json_and_writes_where_it_is_told(folder: Path) -> None:
    done = cli(
        "gate", folder / "good", folder / "same",
        "--policy", folder / "policy.yaml", "--json", "--out", folder / "evidence",
    )  # fmt: skip
    printed = json.loads(done.output)
    written = json.loads((folder / "evidence" / "gate.json").read_text(encoding="utf-8"))
    assert printed == written
    assert not (folder / "good" / "gate.json").exists()


def test_a_report_edited_by_hand_exits_1_with_the_reason(folder: Path) -> None:
    file = folder / "good" / "report.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"seed": 17', '"seed": 18'))
    done = cli("gate", folder / "good", folder / "same", "--policy", folder / "policy.yaml")
    assert done.exit_code == 1
    assert "was changed after it was written" in done.output
    evidence = json.loads((folder / "good" / "gate.json").read_text(encoding="utf-8"))
    assert evidence["verdict"] == "block"


def test_compare_prints_the_table_and_writes_compare_json(folder: Path) -> None:
    done = cli("compare", folder / "good", folder / "same" / "report.json")
    assert done.exit_code == 0
    assert "| accuracy | 1.000 | 0.900 | +0.100 |" in done.output
    written = json.loads((folder / "good" / "compare.json").read_text(encoding="utf-8"))
    assert written["metrics"][0]["difference"] == 0.1
    assert len(written["flips"]) == 20


def test_compare_prints_json(folder: Path) -> None:
    done = cli("compare", folder / "good", folder / "same", "--json", "--out", folder / "x")
    assert json.loads(done.output)["n"] == 200
    assert (folder / "x" / "compare.json").is_file()


def test_an_output_folder_that_cannot_be_written_is_found_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: object) -> str:
        raise AssertionError("asked before the folder was tried")

    register(monkeypatch, toy(answer))
    blocked = folder / "toy.jsonl" / "out"
    with pytest.raises(InputError, match="cannot write in"):
        cli("run", "toy", "--data", f"file:{folder / 'toy.jsonl'}", "--out", blocked)


def test_help_answers_within_a_second_and_loads_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['eval', '--help']\n"
        "import runpy\n"
        "try: runpy.run_module('eval', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'gradio', 'scipy', 'transformers'} & set(sys.modules)))"
    )
    began = time.process_time()
    children = os.times().children_user
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    spent = os.times().children_user - children + time.process_time() - began
    assert done.stdout.strip().endswith("[]"), done.stderr
    assert spent < 1.0  # processor time: the wall clock belongs to whoever else runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "sentimen"), "error: no task 'sentimen'. Did you mean 'sentiment'?"),
        (("run", "retrieval", "--system", "bm26"), "error: task retrieval has no system 'bm26'"),
        (("run", "sentiment", "--data", "demo:nothing"), "error: no demo data 'nothing'"),
        (("run", "sentiment", "--model", "scripted", "--data", "file:gone.csv"),
         "error: no data file gone.csv"),
        (("run", "sentiment", "--adapter", "gone"), "expected a folder with adapter_model"),
        (("run", "recommend", "--adapter", "x"), "error: task recommend takes no --adapter"),
        (("compare", "gone", "gone"), "error: no report at gone"),
        (("gate", "gone", "gone"), "error: no report at gone"),
        (("run", "sentiment", "--model", "org/some-base"), "a base model has no sentiment"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_status_2(arguments: tuple[str, ...], sentence: str) -> None:
    done = typed(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_whole_journey_without_weights(tmp_path: Path) -> None:
    """run, run, compare, gate as processes; a report passes against itself."""
    for name in ("one", "two"):
        done = typed("run", "sentiment", "--model", "scripted", "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "sentiment: scripted on demo:reviews#test" in done.stdout
    tree = json.loads((tmp_path / "one" / "report.json").read_text(encoding="utf-8"))
    assert str(ROOT) not in json.dumps(tree)
    assert str(tmp_path) not in json.dumps(tree)
    assert typed("compare", tmp_path / "one", tmp_path / "two").returncode == 0
    done = typed("gate", tmp_path / "one", tmp_path / "two")
    assert (done.returncode, done.stdout[:5]) == (0, "Ship:"), done.stdout
