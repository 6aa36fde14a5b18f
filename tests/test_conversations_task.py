"""The task conversations: pass^k by hand, its report, surprises, and whole runs."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from app.core import data
from app.core.errors import InputError
from app.core.memory import Memory
from app.store.conversations import Conversations
from eval import harness, report
from eval.harness import Evaluation
from eval.metrics import as_expected, pass_k
from eval.samples import Row
from eval.task import Request
from eval.tasks import conversations, task
from tests.helpers_eval import assert_failing_never_pays, prepared, run, values
from tests.helpers_scenarios import ALL, SCENARIOS, Desk, guarding

# Metrics ----------------------------------------------------------------------------------------


def ran(name: str, *passed: int, gold: str = "pass", crashed: int = 0) -> list[Row]:
    """Runs of one scenario, 1 where it passed."""
    return [
        Row(id=f"{name}#{seed}", text_sha256="", gold=gold, slices={},
            scores={"pass^1": one, "crashed": crashed}, prediction={"reasons": ["because"]})
        for seed, one in enumerate(passed)
    ]  # fmt: skip


def test_pass_k_is_the_chance_that_k_runs_drawn_without_repeating_all_passed() -> None:
    assert pass_k.pass_k(3, 4, 1) == 3 / 4
    # Of the 6 pairs of 4 runs, 3 hold only passes.
    assert pass_k.pass_k(3, 4, 2) == 3 / 6
    assert pass_k.pass_k(3, 4, 4) == 0.0
    assert pass_k.pass_k(4, 4, 4) == 1.0
    assert pass_k.pass_k(0, 8, 8) == 0.0


def test_pass_k_estimates_the_power_without_bias() -> None:
    p, n, k, rng = 0.7, 8, 3, np.random.default_rng(5)
    drawn = rng.binomial(n, p, size=40_000)
    mean = np.mean([pass_k.pass_k(int(c), n, k) for c in drawn])
    assert mean == pytest.approx(p**k, abs=0.006)


def test_pass_k_is_the_mean_over_scenarios_not_over_runs() -> None:
    rows = [*ran("a", 1, 1, 1, 1), *ran("b", 1, 0)]
    of = {k: pass_k.metric(k) for k in (1, 2, 4)}
    assert of[1].units(rows, {}).tolist() == [[1.0], [0.5]]
    assert of[2].units(rows, {}).tolist() == [[1.0], [0.0]]
    assert of[4].units(rows, {}).tolist() == [[1.0]], "b has too few runs"
    assert float(of[1].of(of[1].units(rows, {}))) == 0.75
    assert of[1].units([], {}).shape == (0, 1)


def test_as_expected_counts_scenarios_that_turn_out_as_marked() -> None:
    eight, seven = [1] * 8, [1] * 7 + [0]
    read = as_expected.METRIC.units
    assert read(ran("a", *eight), {}).tolist() == [[1.0]]
    assert read(ran("a", *seven), {}).tolist() == [[0.0]]
    assert read(ran("a", *seven, gold="fail"), {}).tolist() == [[1.0]]
    assert read(ran("a", *eight, gold="fail"), {}).tolist() == [[0.0]]
    assert read(ran("a", *[0] * 8, gold="fail", crashed=1), {}).tolist() == [[0.0]]
    assert read(ran("a", 1, 1, 1), {}).shape == (0, 1), "too few runs to say"


def test_surprises_name_what_broke_and_what_works_by_now() -> None:
    rows = [
        *ran("fine", *[1] * 8), *ran("known", *[0] * 8, gold="fail"),
        *ran("broken", *[1] * 6, 0, 0), *ran("works-by-now", *[1] * 8, gold="fail"),
        *ran("perhaps", 1, 1, gold="fail"),
    ]  # fmt: skip
    unexpected = [
        "broken failed 2 of 8 (seeds 6, 7): because",
        "works-by-now passes with all seeds: mark it `expected: pass`",
    ]
    assert conversations.surprises(rows) == unexpected
    assert conversations.remarks(rows) == [
        *(f"unexpected: {line}" for line in unexpected),
        "known failed 8 of 8 (seeds 0, 1, 2, 3, 4, 5, 6, 7): because",
    ]


# Runs -------------------------------------------------------------------------------------------


def some(folder: Path, *names: str) -> str:
    """A data reference to copies of these scenarios."""
    for name in names:
        shutil.copy(SCENARIOS / f"{name}.yaml", folder)
    return f"file:{folder}"


FAILING = """summary: Asks what the articles answer, and expects to be declined.
kind: plain
expected: fail
reason: the question is answered
systems: [real, scripted]
customer:
  lines:
    - says: ["How much coarsely ground coffee for cold brew, per litre of cold water?"]
      expect: {declines: true}
"""


def test_a_run_counts_scenarios_and_says_why_runs_failed(tmp_path: Path) -> None:
    ref = some(tmp_path, "cold-brew-plain", "returns-chinese")
    (tmp_path / "never-passes.yaml").write_text(FAILING)
    found = run("conversations", model="scripted", data=ref)
    assert found.report.n == 24
    assert values(found) == {"pass^1": 0.666667, "pass^8": 0.666667, "as_expected": 1.0}
    assert all(value.n == 3 for value in found.report.metrics), "scenarios, not runs"
    parts = {(s.slice, s.of): s.metrics[0].value for s in found.report.slices}
    assert parts["expected", "fail"] == 0.0
    assert parts["expected", "pass"] == 1.0
    assert parts["kind", "chinese"] == 1.0
    failed = next(row for row in found.rows if row.id == "never-passes#0")
    assert "turn 1: expected it to decline" in failed.prediction["reasons"]
    assert "text" not in failed.prediction, "not our own data: no words of it in a report"


def test_failed_runs_of_our_own_scenarios_leave_their_transcripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    some(scenarios, "order-status")
    (scenarios / "never-passes.yaml").write_text(
        FAILING.replace("cold water?", "cold water? Write to me@example.org.")
    )
    monkeypatch.setitem(data.DEMO_NAMES, "scenarios", scenarios)
    found = run("conversations", model="scripted", data="demo:scenarios#scripted")
    failed = [row for row in found.rows if row.scores["pass^1"] == 0]
    assert {row.id.partition("#")[0] for row in failed} == {"never-passes"}
    assert all("customer: " in row.prediction["text"] for row in failed)
    assert all("<EMAIL>" in row.prediction["text"] for row in failed), "redacted"
    assert all("@example" not in row.prediction["text"] for row in failed)
    written = report.write(tmp_path / "report", found.report, found.rows)
    assert report.read(tmp_path / "report").report == written
    remarks = (tmp_path / "report" / "report.md").read_text().partition("## Remarks")[2]
    assert " failed 8 of 8 (seeds " in remarks


def test_two_runs_give_the_same_report(tmp_path: Path) -> None:
    ref = some(tmp_path, "cold-brew-plain", "somebody-elses-order", "pour-over-typos")
    one, two = (run("conversations", model="scripted", data=ref) for _ in range(2))
    assert one.rows == two.rows
    assert one.report.metrics == two.report.metrics


def test_failing_never_pays(tmp_path: Path) -> None:
    ref = some(tmp_path, "cold-brew-plain", "human-at-once")
    assert_failing_never_pays(prepared("conversations", model="scripted", data=ref))


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("demo:scenarios#test", "expected #real, #scripted or neither"),
        ("hub:org/scenarios", "expected a folder of scenarios"),
        ("file:nowhere", r"expected scenarios \(\*\.yaml\), found none"),
    ],
)
def test_data_that_is_no_folder_of_scenarios_is_refused(ref: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        conversations.read(ref)


def test_the_code_hash_covers_customers_judge_and_what_they_talk_to() -> None:
    parts = set(task("conversations").code_parts)
    assert {"app/serving", "app/store", "app/services.py", "app/support"} <= parts
    assert {"eval/checks.py", "eval/customer.py", "eval/metrics/pass_k.py"} <= parts


# Whole sets -------------------------------------------------------------------------------------


def everything(ref: str, model: str | None) -> Evaluation:
    """All scenarios with all seeds."""
    plan = harness.prepare(task("conversations"), Request(data=ref, model=model))
    return harness.run(plan)


@pytest.mark.slow
def test_all_scenarios_without_weights_turn_out_as_marked_within_a_minute() -> None:
    """Processor time, which other work on the machine does not stretch."""
    began = time.process_time()
    found = everything("demo:scenarios", "scripted")
    assert found.report.n == 8 * len(ALL)
    assert found.report.failed == []
    assert time.process_time() - began < 60
    judged = {s.name for s in ALL.values() if "scripted" in s.systems}
    assert len(judged) >= 30
    rows = [row for row in found.rows if pass_k.scenario_of(row.id) in judged]
    assert conversations.surprises(rows) == []


@pytest.mark.slow
def test_all_scenarios_turn_out_as_marked_on_the_released_chat() -> None:
    found = everything("demo:scenarios", None)
    assert found.report.failed == []
    assert conversations.surprises(found.rows) == []


@pytest.mark.slow
@pytest.mark.parametrize("guard", ["citation", "decline", "memory"])
def test_the_released_chat_needs_its_guards(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.core import data
    from app.support.chat import SupportChat

    names = guarding(guard, "real")
    chat = SupportChat.of_system("quote", data.corpus(conversations.ARTICLES).docs)
    assert len(names) >= 2
    if guard == "citation":
        monkeypatch.setattr("app.support.chat.cite", lambda *_: [])
    elif guard == "decline":
        chat.threshold = 0.0
    else:  # neither what was said nor what a flow knows
        monkeypatch.setattr("app.serving.turns._messages", lambda *_: [])
        state = Conversations.state
        monkeypatch.setattr(
            Conversations, "state", lambda *asked: state(*asked)._replace(memory=Memory())
        )
    desk = Desk(chat)
    assert [n for n in names if any(desk.reasons(n, seed) for seed in range(8))] == names
