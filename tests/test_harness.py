"""The harness: batches, failures that count, overlaps left out, limits, equal reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.core import fingerprints
from app.core.errors import InputError, NotFound
from eval import harness, uses
from eval.samples import Sample
from eval.task import Request
from eval.tasks import task as task_named
from tests.helpers_eval import evaluated, file_data, register, toy, wrong_on


@pytest.fixture
def data(tmp_path: Path) -> str:
    return file_data(tmp_path)


def run(task, **request):
    return harness.run(harness.prepare(task, Request(**request)))


def test_every_sample_is_asked_once_in_order_and_in_batches(data: str) -> None:
    asked: list[str] = []

    def answer(sample: Sample) -> str:
        asked.append(sample.id)
        return sample.gold

    finished: list[int] = []
    plan = harness.prepare(toy(answer, batch=16), Request(data))
    found = harness.run(plan, progress=finished.append)
    assert asked == [f"s{i}" for i in range(40)]
    assert finished == [16, 16, 8]
    assert found.report.value("accuracy").value == 1.0
    assert found.report.n == 40


def test_a_failing_sample_is_listed_and_counts_as_wrong(data: str) -> None:
    def answer(sample: Sample) -> str:
        if sample.id == "s5":
            raise RuntimeError("it broke on: text of the sample")
        return sample.gold

    found = run(toy(answer), data=data)
    assert found.report.failed == ["s5"]
    assert found.report.value("accuracy").value == pytest.approx(39 / 40)
    failed = next(row for row in found.rows if row.id == "s5")
    # Public data: the message of a foreign error may quote the text, so only its kind is kept.
    assert failed.error == "RuntimeError"
    assert failed.scores == {"accuracy": 0.0}


def test_an_error_of_ours_is_told_in_full(data: str) -> None:
    def answer(sample: Sample) -> str:
        if sample.id == "s5":
            raise InputError("too long by 3")
        return sample.gold

    rows = run(toy(answer), data=data).rows
    assert [row.error for row in rows if row.error] == ["InputError: too long by 3"]


def test_the_other_samples_of_a_failing_batch_are_asked_again_alone(data: str) -> None:
    def answer(sample: Sample) -> str:
        if sample.id in ("s1", "s9"):
            raise ValueError
        return sample.gold

    found = run(toy(answer, batch=8), data=data)
    assert found.report.failed == ["s1", "s9"]


def test_too_few_outputs_are_a_failure_and_never_shift_the_rest(data: str) -> None:
    task = toy(wrong_on())
    plan = harness.prepare(task, Request(data))
    short = plan.system._replace(predict=lambda samples: ["yes"] * (len(samples) - 1), batch=4)
    with pytest.raises(InputError, match=r"all 40 samples .* failed: ValueError"):
        harness.run(plan._replace(system=short))


def test_ctrl_c_is_not_taken_for_a_failing_sample(data: str) -> None:
    def answer(_: Sample) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(toy(answer), data=data)


def test_a_run_in_which_all_fails_is_an_error_and_no_report(data: str) -> None:
    def answer(_: Sample) -> str:
        raise NotFound("no model")

    with pytest.raises(InputError, match=r"all 40 samples of .* failed: NotFound: no model"):
        run(toy(answer), data=data)


def test_limit_draws_with_the_seed_and_keeps_the_order(data: str) -> None:
    first, second = (run(toy(wrong_on()), data=data, limit=10).rows for _ in range(2))
    ids = [row.id for row in first]
    assert ids == [row.id for row in second]
    assert ids == sorted(ids, key=lambda name: int(name[1:]))
    assert len(ids) == 10
    assert ids != [f"s{i}" for i in range(10)]


def test_a_limit_above_n_takes_all(data: str) -> None:
    assert run(toy(wrong_on()), data=data, limit=99).report.n == 40


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(data: str, limit: int) -> None:
    with pytest.raises(InputError, match="expected at least 1"):
        run(toy(wrong_on()), data=data, limit=limit)


def test_samples_of_the_training_data_are_left_out_and_counted(data: str, tmp_path: Path) -> None:
    adapter = tmp_path / "run" / "adapter"
    adapter.mkdir(parents=True)
    fingerprints.write(tmp_path / "run" / "fingerprints.bin", ["a text 4", "b text 7", "new"])
    found = run(toy(wrong_on("s4")), data=data, adapter=adapter)
    assert found.report.left_out == ["s4", "s7"]
    assert found.report.n == 38
    assert found.report.value("accuracy").value == 1.0  # s4 was the wrong one


def test_a_test_set_that_is_all_training_data_is_refused(tmp_path: Path) -> None:
    data = file_data(tmp_path, 4)
    (tmp_path / "adapter").mkdir()
    texts = [f"{'ab'[i % 4 // 2]} text {i}" for i in range(4)]
    fingerprints.write(tmp_path / "fingerprints.bin", texts)
    with pytest.raises(InputError, match="all 4 samples overlap the training data"):
        run(toy(wrong_on()), data=data, adapter=tmp_path / "adapter")


def test_two_samples_with_one_id_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "twice.jsonl"
    row = json.dumps({"id": "x", "text": "a", "label": "yes"})
    file.write_text(f"{row}\n{row}\n", encoding="utf-8")
    with pytest.raises(InputError, match="two samples have the id 'x'"):
        run(toy(wrong_on()), data=f"file:{file}")


def test_an_unknown_system_or_task_names_those_that_exist(data: str) -> None:
    with pytest.raises(InputError, match=r"no system 'othr'\. Did you mean 'other'"):
        run(toy(wrong_on()), data=data, system="othr")
    with pytest.raises(NotFound, match=r"no task 'sentimint'\. Did you mean 'sentiment'"):
        task_named("sentimint")


def test_slices_hold_their_own_n_and_metrics(data: str) -> None:
    found = run(toy(wrong_on("s0", "s1", "s2")), data=data).report
    parts = {part.of: part for part in found.slices}
    assert parts["a"].n == parts["b"].n == 20
    accuracy = {name: part.metrics[0].value for name, part in parts.items()}
    assert accuracy == pytest.approx({"a": 18 / 20, "b": 19 / 20})


def test_identical_runs_leave_identical_files_but_for_provenance(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = toy(wrong_on("s3", "s8"))
    register(monkeypatch, task)
    trees = []
    for name in ("one", "two"):
        evaluated(task, tmp_path / name, data=data)
        tree = json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))
        tree.pop("provenance")
        trees.append((tree, (tmp_path / name / "samples.jsonl").read_bytes()))
    assert trees[0] == trees[1]


def test_test_sets_are_counted_by_data_and_adapter(data: str) -> None:
    made = run(toy(wrong_on()), data=data).report

    def used(ref: str, adapter: str | None = None, model: str = "base") -> None:
        provenance = made.provenance.model_copy(
            update={
                "data": made.provenance.data.model_copy(update={"ref": ref}),
                "adapter": {"path": "x", "sha256": adapter} if adapter else None,
                "model": {"ref": model},
            }
        )
        uses.record(made.model_copy(update={"provenance": provenance}))

    sha = made.provenance.data.sha256
    assert uses.count(sha) == (0, 0)
    used("data:sst2#test", "one")
    used("data:sst2#test", "one")
    used("demo:reviews#test", "two")
    used("data:sst2#test", "three", model="scripted")  # a stand-in learns nothing
    used("data:sst2#dev", "three")
    used(f"{data}#test", "three")  # one's own file
    assert uses.count(sha) == (3, 2)
    assert uses.count("another") == (0, 0)


def test_a_broken_record_of_uses_is_named() -> None:
    uses.path().write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="not a line of test uses"):
        uses.count("x")
