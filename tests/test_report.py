"""Reports: what the files hold, and that one which was changed since is not believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.core.errors import ConfigError, InputError, Mismatch
from app.core.files import sha256_file, sha256_text
from eval import report as reports
from eval.harness import prepare, run
from eval.samples import Row, Sample, Scored, row
from eval.task import Request
from tests.helpers_eval import evaluated, file_data, register, toy, wrong_on


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    task = toy(wrong_on("s3", "s8"))
    register(monkeypatch, task)
    evaluated(task, tmp_path / "out", data=file_data(tmp_path))
    return tmp_path / "out"


def edit(folder: Path, change: Any) -> None:
    file = folder / "report.json"
    tree = json.loads(file.read_text(encoding="utf-8"))
    change(tree)
    file.write_text(json.dumps(tree), encoding="utf-8")


def test_a_report_has_three_files_and_reads_back_the_same(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["report.json", "report.md", "samples.jsonl"]
    loaded = reports.read(folder)
    assert loaded.report.value("accuracy").value == pytest.approx(38 / 40)
    assert len(loaded.rows) == 40
    assert reports.read(folder / "report.json") == loaded


def test_every_number_in_the_report_has_interval_n_and_seed(folder: Path) -> None:
    tree = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert tree["seed"] == 17
    assert {"task", "n", "seed", "metrics", "slices", "samples", "provenance"} <= tree.keys()
    numbers = [*tree["metrics"], *(m for part in tree["slices"] for m in part["metrics"])]
    fields = {"name", "value", "low", "high", "n", "unit", "higher_is_better"}
    assert all(number.keys() == fields for number in numbers)
    assert all(number["low"] <= number["value"] <= number["high"] for number in numbers)


def test_the_markdown_shows_value_interval_and_n(folder: Path) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "n = 40, seed 17" in text
    accuracy = reports.read(folder).report.value("accuracy")
    assert f"| accuracy | 0.950 | {accuracy.low:.3f} to {accuracy.high:.3f} | 40 |" in text
    assert "letter: a | 20" in text


def test_the_markdown_lists_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(sample: Sample) -> str:
        if sample.id == "s5":
            raise InputError("too long by 3")
        return sample.gold

    task = toy(answer)
    register(monkeypatch, task)
    evaluated(task, tmp_path / "out", data=file_data(tmp_path))
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "1 failed and count as wrong" in text
    assert "- s5: InputError: too long by 3" in text


def test_no_text_of_other_peoples_data_is_in_the_files(folder: Path) -> None:
    whole = "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())
    assert "text 3" not in whole
    rows = reports.read(folder).rows
    assert rows[3].text_sha256 == sha256_text("b text 3")
    assert rows[3].prediction["text_sha256"] == sha256_text("no")


def test_the_demo_datas_answers_are_kept_in_words() -> None:
    sample = Sample("q1", "how much?", [], {})
    scored = Scored({}, {"declined": False}, "It costs 5.")
    kept, hashed = (row(sample, scored, public=public).prediction for public in (False, True))
    assert kept == {"declined": False, "text": "It costs 5."}
    assert hashed == {"declined": False, "text_sha256": sha256_text("It costs 5.")}


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Row(id="x", text_sha256="", scores={"accuracy": float("nan")}, slices={})


def test_a_metric_raised_by_hand_is_found(folder: Path) -> None:
    edit(folder, lambda tree: tree["metrics"][0].update(value=0.99))
    with pytest.raises(Mismatch, match=r"report.json was changed after it was written"):
        reports.read(folder)


@pytest.mark.parametrize("field", ["code", "date", "system"])
def test_provenance_changed_by_hand_is_found(folder: Path, field: str) -> None:
    edit(folder, lambda tree: tree["provenance"].update({field: "other"}))
    with pytest.raises(Mismatch, match="was changed after"):
        reports.read(folder)


def test_a_sample_changed_by_hand_is_found(folder: Path) -> None:
    file = folder / "samples.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"accuracy": 0.0', '"accuracy": 1.0', 1), encoding="utf-8")
    with pytest.raises(Mismatch, match=r"samples.jsonl has sha256 .* evaluate again"):
        reports.read(folder)


def resealed(folder: Path) -> None:
    """What somebody would do who knows the seal: make both hashes right again."""

    def change(tree: dict[str, Any]) -> None:
        tree["samples_sha256"] = sha256_file(folder / "samples.jsonl")
        tree["provenance"]["seal"] = reports.seal(reports.Report.model_validate(tree))

    edit(folder, change)


def test_metrics_that_the_samples_do_not_give_are_found_under_a_right_seal(folder: Path) -> None:
    edit(folder, lambda tree: tree["metrics"][0].update(value=0.99))
    resealed(folder)
    with pytest.raises(Mismatch, match=r"accuracy is 0.99, the samples give 0.95"):
        reports.read(folder)


def test_a_dropped_sample_is_found_under_a_right_seal(folder: Path) -> None:
    file = folder / "samples.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[1:]), encoding="utf-8")
    resealed(folder)
    with pytest.raises(Mismatch, match="expected 40 samples"):
        reports.read(folder)


def test_a_report_cut_in_half_is_a_sentence(folder: Path) -> None:
    file = folder / "report.json"
    file.write_text(file.read_text(encoding="utf-8")[:200], encoding="utf-8")
    with pytest.raises(InputError, match=r"report.json is not JSON"):
        reports.read(folder)


def test_a_report_without_a_field_names_it(folder: Path) -> None:
    edit(folder, lambda tree: tree.pop("n"))
    with pytest.raises(ConfigError, match="n: field required"):
        reports.read(folder)


def test_samples_cut_in_half_are_a_sentence(folder: Path) -> None:
    file = folder / "samples.jsonl"
    file.write_text(file.read_text(encoding="utf-8")[:500], encoding="utf-8")
    with pytest.raises(InputError, match=r"samples.jsonl:\d+: not JSON"):
        reports.read(folder)


def test_a_folder_without_a_report_says_where_there_is_one(folder: Path) -> None:
    with pytest.raises(InputError, match=f"There is one in {folder}"):
        reports.read(folder.parent)


def test_a_metric_that_the_report_lacks_lists_those_it_has(folder: Path) -> None:
    with pytest.raises(InputError, match="it has: accuracy, macro_f1"):
        reports.read(folder).report.value("mrr")


def test_provenance_says_code_data_model_versions_and_machine(tmp_path: Path) -> None:
    identity = {"model": {"ref": "org/base", "sha256": "b" * 64}, "prompt": None}
    data = file_data(tmp_path)
    made = run(prepare(toy(wrong_on(), identity), Request(data)), "python -m eval run toy")
    found = made.report.provenance
    assert found.data.ref == data
    assert found.model == identity["model"]
    assert found.command == "python -m eval run toy"
    assert "scipy" in found.versions
    assert found.machine["cores"] >= 1
    assert len(found.code) == 64
