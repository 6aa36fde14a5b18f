"""Only what passed the gate is released, whole or not at all; what was served before comes back."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.core import release as releases
from app.core.errors import InputError, Mismatch, NotFound
from app.core.files import ROOT, sha256_file, write_json, write_text
from app.core.release import Engine
from deploy import admitted, promote
from deploy.__main__ import cli
from eval import gate
from eval.policy import Rule
from tests.helpers_eval import evaluated, file_data, register, toy, wrong_on

BASE = {"ref": "org/base", "source": "folder", "file": "model.safetensors", "sha256": "b" * 64}
RULE = Rule(
    metric="accuracy", margin=0.1, min_n=10, seed=17, alpha=0.05, power=0.8, resamples=200,
    max_overlap=0.01,
)  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Releases of their own; bf16 parity is measured elsewhere (tests/test_parity.py)."""
    monkeypatch.setenv("FRONTDESK_RELEASES", str(tmp_path / "release"))
    monkeypatch.setattr(
        promote, "engines", lambda *_: [Engine(engine="transformers", dtype="float32")]
    )
    return tmp_path / "release"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelf: Path) -> Any:  # noqa: ARG001
    """make(name, *wrong ids): an evaluated run that the gate has judged against itself."""
    data = file_data(tmp_path)

    def run(name: str, *wrong: str, against: Path | None = None) -> Path:
        folder = tmp_path / "runs" / name
        write_text(folder / "adapter" / "adapter_model.safetensors", f"weights of {name}")
        write_json(folder / "adapter" / "adapter_config.json", {"r": 4})
        write_json(folder / "run.json", record())
        adapter = folder / "adapter" / "adapter_model.safetensors"
        identity = {
            "model": BASE,
            "adapter": {"path": str(adapter), "sha256": sha256_file(adapter)},
            "prompt": {"version": "sentiment/1", "sha256": "c" * 64},
            "settings": {"temperature": 1.5, "thresholds": {"not_sure": 0.6}},
        }
        task = dataclasses.replace(toy(wrong_on(*wrong), identity), name="sentiment")
        register(monkeypatch, task)
        monkeypatch.setattr(gate, "rule_for", lambda *_: RULE)
        monkeypatch.setattr(gate, "refusals", lambda *_: [])
        evaluated(task, folder, data=data)
        judged = gate.judge(folder, against or folder)
        write_json(folder / "gate.json", judged.model_dump(mode="json"))
        return folder

    return run


def record() -> dict[str, Any]:
    """What a run wrote down."""
    return {
        "seed": 17,
        "git": {"commit": "abc"},
        "labels": ["negative", "positive"],
        "data": {"data:sst2#train": "d" * 64},
    }


def test_a_release_names_base_adapter_prompt_labels_and_evidence(make: Any, shelf: Path) -> None:
    run = make("one")
    release = promote.promote(run, "sentiment")
    folder = shelf / "sentiment"
    assert releases.read(folder) == release
    assert release.base.sha256 == "b" * 64
    assert release.adapter_sha256 == sha256_file(folder / "adapter_model.safetensors")
    assert (release.prompt_version, release.labels) == ("sentiment/1", ["negative", "positive"])
    assert release.calibration.temperature == 1.5
    assert release.evidence is not None
    assert release.evidence.sha256 == sha256_file(folder / release.evidence.path)
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "release.json", "reports",
    }  # fmt: skip
    releases.check(release, folder, "sentiment/1")


def test_the_earlier_release_is_kept_and_rollback_brings_it_back(make: Any, shelf: Path) -> None:
    first = promote.promote(make("one"), "sentiment")
    second = promote.promote(make("two"), "sentiment")
    assert first.id != second.id
    assert promote.rollback("sentiment") == first
    text = (shelf / "sentiment" / "adapter_model.safetensors").read_text()
    assert text == "weights of one"
    assert promote.rollback("sentiment", second.id) == second


def test_the_rollback_command_serves_the_earlier_release_again(make: Any) -> None:
    first = promote.promote(make("one"), "sentiment")
    promote.promote(make("two"), "sentiment")
    done = CliRunner().invoke(cli, ["rollback", "--feature", "sentiment"])
    assert done.exit_code == 0, done.output
    assert f"back to {first.id}" in done.output
    assert releases.read(releases_folder()) == first


def test_rollback_without_an_earlier_release_says_what_there_is(make: Any) -> None:
    first = promote.promote(make("one"), "sentiment")
    with pytest.raises(NotFound, match=r"there is: none"):
        promote.rollback("sentiment")
    promote.promote(make("two"), "sentiment")
    with pytest.raises(NotFound, match=f"no earlier release nix .*there is: {first.id}"):
        promote.rollback("sentiment", "nix")


def test_what_the_gate_blocked_is_refused_and_the_release_stays(make: Any) -> None:
    good = make("good")
    released = promote.promote(good, "sentiment")
    worse = make("worse", *(f"s{n}" for n in range(20)), against=good)
    with pytest.raises(admitted.Refused, match=r"the gate says block"):
        promote.promote(worse, "sentiment")
    assert releases.read(releases_folder()) == released


def releases_folder() -> Path:
    """Where the release of these tests lies."""
    return promote.release_dir() / "sentiment"


def test_a_run_without_a_gate_names_the_command(make: Any) -> None:
    run = make("one")
    (run / "gate.json").unlink()
    with pytest.raises(InputError, match=r"python -m eval gate"):
        promote.promote(run, "sentiment")


def test_a_gate_about_another_report_is_refused(make: Any) -> None:
    one, two = make("one"), make("two", "s1")
    shutil.copy(one / "gate.json", two / "gate.json")
    with pytest.raises(admitted.Refused, match=r"about another report"):
        promote.promote(two, "sentiment")


def test_an_adapter_other_than_the_evaluated_one_is_refused(make: Any, shelf: Path) -> None:
    run = make("one")
    write_text(run / "adapter" / "adapter_model.safetensors", "the base under its name")
    with pytest.raises(admitted.Refused, match=r"evaluate this adapter"):
        promote.promote(run, "sentiment")
    assert not (shelf / "sentiment").exists()


def test_a_report_edited_by_hand_is_refused(make: Any) -> None:
    run = make("one", "s1")
    report = json.loads((run / "report.json").read_text())
    report["metrics"][0]["value"] = 1.0
    write_json(run / "report.json", report)
    with pytest.raises(Mismatch, match=r"was changed after it was written"):
        promote.promote(run, "sentiment")


def test_a_report_by_other_code_is_refused(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make("one")
    monkeypatch.setattr(admitted, "current_code", lambda _: False)
    with pytest.raises(admitted.Refused, match=r"made by other code"):
        promote.promote(run, "sentiment")


def test_a_swap_that_is_stopped_leaves_the_old_release(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = promote.promote(make("one"), "sentiment")
    second = make("two")
    rename = Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if self.name == "sentiment" and self.parent.name.startswith(".sentiment-"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        promote.promote(second, "sentiment")
    assert releases.read(releases_folder()) == first


@pytest.mark.parametrize(
    ("labels", "found"),
    [(["billing", "damage", "shipping"], "billing, damage, shipping"), (["positive"], "positive"),
     (["Negative", "Positive"], "Negative, Positive"), (None, "none")],
)  # fmt: skip
def test_labels_that_are_no_mood_are_refused_and_told_where_they_may_go(
    make: Any, labels: list[str] | None, found: str
) -> None:
    released = promote.promote(make("good"), "sentiment")
    run = make("own")
    write_json(run / "run.json", record() | {"labels": labels})
    with pytest.raises(admitted.Refused, match=f"found {found}. .*eval run intents --adapter"):
        promote.promote(run, "sentiment")
    assert releases.read(releases_folder()) == released


def test_neutral_may_be_a_third_mood(make: Any) -> None:
    run = make("three")
    write_json(run / "run.json", record() | {"labels": ["negative", "neutral", "positive"]})
    assert promote.promote(run, "sentiment").labels == ["negative", "neutral", "positive"]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({}, "verdict: field required.* found nothing"),
        ({"verdict": "ship"}, "sentence: field required.* found verdict"),
        ({"verdict": "ship", "sentence": "Ship."}, "says ship about no candidate"),
        ({"verdict": "ship", "sentence": "Ship.", "candidate": {}}, "candidate.report_seal: field"),
        ({"verdict": "yes", "sentence": "Ship."}, "verdict: input should be 'ship'"),
        (["ship"], "found list"),
    ],
)
def test_a_gate_that_no_gate_wrote_is_one_sentence(make: Any, said: Any, fault: str) -> None:
    run = make("one")
    write_json(run / "gate.json", said)
    with pytest.raises(InputError, match=rf"gate\.json .*{fault}.*python -m eval gate .* --out"):
        promote.promote(run, "sentiment")


def test_an_unknown_feature_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'sentiment'"):
        promote.promote(ROOT, "sentimnt")
