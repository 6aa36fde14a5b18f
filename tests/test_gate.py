"""Compare and gate: paired differences, three verdicts, and what is refused before any number."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.core import fingerprints
from app.core.errors import ConfigError, InputError
from app.core.files import read_json, sha256_file, write_json
from app.core.prompt import DEFAULT
from app.core.release import Base
from app.models.adapters import Card
from eval import prompts, runs
from eval import report as reports
from eval.compare import Comparison, compare, pair
from eval.comparison_text import render, texts
from eval.evidence import Evidence
from eval.gate import Bounds, decide, gate, judge
from eval.policy import Rule, rule
from eval.report import Report
from eval.tasks import TASKS
from tests.helpers_eval import evaluated, file_data, register, toy, wrong_on

N = 200


class Bench:
    """A toy data set, its policy, and reports over it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.data = file_data(folder, N)
        self.policy = folder / "policy.yaml"
        self.write_policy("margin: 0.10, min_n: 100")
        register(monkeypatch, toy(wrong_on()))

    def write_policy(self, own: str, metric: str = "accuracy", top: str = "") -> None:
        line = f"tasks:\n  toy: {{metric: {metric}, {own}}}\n{top}"
        self.policy.write_text(line, encoding="utf-8")

    def report(self, name: str, *wrong: str, data: str | None = None, **more: Any) -> Path:
        identity = {"model": {"ref": "org/base", "sha256": name}, **more.pop("identity", {})}
        task = toy(wrong_on(*wrong), identity)
        evaluated(task, self.folder / name, data=data or self.data, **more)
        return self.folder / name

    def gate(self, candidate: Path, baseline: Path) -> Evidence:
        return judge(candidate, baseline, self.policy)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def ids(first: int, last: int) -> list[str]:
    return [f"s{i}" for i in range(first, last)]


def compared(a: Path, b: Path) -> Comparison:
    return compare(TASKS["toy"], reports.read(a), reports.read(b))


# compare


def test_compare_says_what_changed_by_how_much_and_where(bench: Bench) -> None:
    a, b = bench.report("a", "s0"), bench.report("b", *ids(0, 13))
    found = compared(a, b)
    change = found.metrics[0]
    assert (change.name, change.a, change.b) == ("accuracy", 0.995, 0.935)
    assert change.difference == pytest.approx(0.06)
    assert change.low < 0.06 < change.high
    assert (change.test, change.n) == ("McNemar", N)
    assert change.p == pytest.approx(2 / 2**12, rel=0.01)  # 12 gained, none lost
    assert sorted(flip.id for flip in found.flips) == sorted(ids(1, 13))


def test_compare_shows_no_text_of_other_peoples_data(bench: Bench) -> None:
    found = compared(bench.report("a"), bench.report("b", "s7"))
    assert [(flip.id, flip.text) for flip in found.flips] == [("s7", None)]


def test_the_rendered_comparison_has_the_numbers_and_the_flips(bench: Bench) -> None:
    text = render(compared(bench.report("a"), bench.report("b", "s7", "s8")))
    assert "| accuracy | 1.000 | 0.990 | +0.010 |" in text
    assert "accuracy: 2 samples better in a, 0 worse." in text
    assert "- s7: 0.00 -> 1.00" in text


def test_several_metrics_and_slices_are_adjusted_and_say_what_they_could_show(
    bench: Bench,
) -> None:
    found = compared(bench.report("a"), bench.report("b", *ids(0, 12)))
    accuracy, macro = found.metrics
    assert accuracy.p_holm >= accuracy.p
    assert accuracy.p_holm == pytest.approx(min(1, 2 * min(accuracy.p, macro.p)), rel=0.02)
    # Standard error sqrt(0.06 * 0.94 / 200) = 0.0168; 2.8 of them can be shown.
    assert accuracy.detectable == pytest.approx(2.8016 * 0.0168, rel=0.05)
    assert [(s.slice, s.of, s.n) for s in found.slices] == [
        ("letter", "a", N // 2), ("letter", "b", N // 2),
    ]  # fmt: skip


def test_flips_of_other_peoples_data_show_their_text_where_the_data_lies(bench: Bench) -> None:
    found = compared(bench.report("a"), bench.report("b", "s7"))
    joined = texts(TASKS["toy"], found)
    assert joined == {"s7": "b text 7"}
    assert "- s7: 0.00 -> 1.00  b text 7" in render(found, joined)
    gone = found.model_copy(update={"data": "file:gone.jsonl"})
    assert texts(TASKS["toy"], gone) == {}


def test_a_report_against_itself_differs_nowhere(bench: Bench) -> None:
    a = bench.report("a", "s1")
    found = compared(a, a)
    assert all((c.difference, c.p) == (0.0, 1.0) for c in found.metrics)
    assert found.flips == []


def test_other_data_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    other = bench.report("b", data=file_data(tmp_path / "more", N + 1))
    with pytest.raises(InputError, match="the reports are over different data"):
        compared(bench.report("a"), other)


def test_another_limit_is_refused(bench: Bench) -> None:
    some = bench.report("b", limit=100)
    with pytest.raises(InputError, match="not over the same samples: 100 are in one only"):
        compared(bench.report("a"), some)


def test_another_task_is_refused(bench: Bench) -> None:
    a, b = (reports.read(bench.report(name)) for name in "ab")
    other = b._replace(report=b.report.model_copy(update={"task": "another"}))
    with pytest.raises(InputError, match="two tasks: toy and another"):
        compare(TASKS["toy"], a, other)


def adapter_trained_on(bench: Bench, *texts: str) -> Path:
    folder = bench.folder / f"run{len(texts)}" / "adapter"
    folder.mkdir(parents=True)
    fingerprints.write(folder.parent / "fingerprints.bin", texts)
    return folder


def test_samples_that_one_side_leaves_out_leave_the_other_too(bench: Bench) -> None:
    a = bench.report("a", adapter=adapter_trained_on(bench, "a text 0", "a text 1"))
    found = compared(a, bench.report("b", "s0", "s5"))
    assert (found.n, found.left_out) == (N - 2, 2)
    assert [flip.id for flip in found.flips] == ["s5"]


# the decision

RULE = Rule(
    metric="accuracy", margin=0.05, min_n=100, seed=17, alpha=0.05, power=0.8,
    resamples=500, max_overlap=0.01,
)  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.05, "ship"),  # better
        (-0.04, 0.03, "ship"),  # not worse by the margin
        (-0.04, -0.01, "ship"),  # worse, but by less than allowed
        (-0.05, 0.03, "inconclusive"),  # the bound must lie inside the margin, not on it
        (-0.08, 0.02, "inconclusive"),
        (-0.08, -0.01, "block"),  # loses, and may lose too much
        (-0.20, -0.10, "block"),
    ],
)
def test_without_a_required_gain(low: float, high: float, verdict: str) -> None:
    assert decide(Bounds((low + high) / 2, low, high, 200), RULE) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.03, 0.08, "ship"),
        (0.01, 0.08, "inconclusive"),
        (-0.04, 0.03, "inconclusive"),
        (-0.01, 0.01, "block"),  # an equal does not gain what is asked
        (-0.08, -0.01, "block"),
    ],
)
def test_with_a_required_gain(low: float, high: float, verdict: str) -> None:
    asked = RULE.model_copy(update={"min_gain": 0.02})
    assert decide(Bounds((low + high) / 2, low, high, 200), asked) == verdict


def test_too_few_samples_are_inconclusive_whatever_they_say() -> None:
    assert decide(Bounds(0.5, 0.4, 0.6, 99), RULE) == "inconclusive"
    assert decide(Bounds(-0.5, -0.6, -0.4, 99), RULE) == "inconclusive"


# the gate


def test_a_better_candidate_ships(bench: Bench) -> None:
    found = bench.gate(bench.report("a"), bench.report("b", *ids(0, 20)))
    assert found.verdict == "ship"
    assert found.difference == pytest.approx(0.1)
    assert found.sentence.startswith("Ship: on accuracy the candidate is +0.100")


def test_a_clearly_worse_candidate_is_blocked(bench: Bench) -> None:
    found = bench.gate(bench.report("a", *ids(0, 40)), bench.report("b"))
    assert found.verdict == "block"
    assert "it is worse" in found.sentence
    assert not found.refused


def test_a_small_loss_within_the_margin_ships_and_says_so(bench: Bench) -> None:
    found = bench.gate(bench.report("a", *ids(0, 6)), bench.report("b"))
    assert found.verdict == "ship"
    assert "worse, but by less than allowed" in found.sentence


def test_an_open_question_names_the_n_that_would_decide(bench: Bench) -> None:
    # 40 lost and 32 gained of 200: d = -0.04, se = 0.042, so from -0.11 to +0.03.
    found = bench.gate(bench.report("a", *ids(0, 40)), bench.report("b", *ids(50, 82)))
    assert found.verdict == "inconclusive"
    assert found.n_needed is not None
    se = math.sqrt((72 / 200 - 0.04**2) / 200)
    assert found.n_needed == pytest.approx(200 * ((1.645 + 0.842) * se / 0.06) ** 2, rel=0.08)
    assert f"About {found.n_needed} samples" in found.sentence


def test_too_few_samples_ask_for_the_least_n(bench: Bench) -> None:
    bench.write_policy("margin: 0.10, min_n: 500")
    found = bench.gate(bench.report("a"), bench.report("b", *ids(0, 20)))
    assert found.verdict == "inconclusive"
    assert found.n_needed is not None
    assert found.n_needed >= 500


def test_a_report_passes_against_itself_whatever_its_n(bench: Bench) -> None:
    # Zero differences in 100 samples alone would not rule out a loss of 0.001.
    bench.write_policy("margin: 0.001, min_n: 100")
    a = bench.report("a", "s1")
    found = bench.gate(a, a)
    assert found.verdict == "ship"
    assert "The candidate is the baseline itself" in found.sentence


def test_another_system_with_the_same_answers_is_still_a_sample_of_them(bench: Bench) -> None:
    bench.write_policy("margin: 0.001, min_n: 100")
    found = bench.gate(bench.report("a", "s1"), bench.report("b", "s1"))
    assert found.verdict == "inconclusive"
    assert found.low == pytest.approx(-(1.64485**2) / (N + 1.64485**2), abs=1e-4)  # Tango


def test_evidence_pins_both_reports_and_the_rule(bench: Bench) -> None:
    a, b = bench.report("a"), bench.report("b")
    found = bench.gate(a, b)
    assert found.candidate is not None
    assert found.candidate.report_seal == reports.read(a).report.provenance.seal
    assert found.rule is not None
    assert (found.rule.margin, found.rule.metric) == (0.10, "accuracy")
    assert found.test_set_uses == 0
    round_trip = Evidence.model_validate_json(found.model_dump_json(exclude_none=True))
    assert round_trip == found


# refusals


def test_other_code_is_refused(bench: Bench) -> None:
    a, b = bench.report("a"), bench.report("b")
    bench.monkeypatch.setattr("eval.task.Task.code", lambda _: "changed since")
    found = bench.gate(a, b)
    assert found.verdict == "block"
    assert "made by other code" in found.refused[0]


def test_changed_data_is_refused(bench: Bench) -> None:
    a, b = bench.report("a"), bench.report("b")
    file = Path(bench.data.removeprefix("file:"))
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    found = bench.gate(a, b)
    assert found.verdict == "block"
    assert "has changed since" in found.refused[0]


def test_data_that_is_gone_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "sets" / "mine").mkdir(parents=True)
    Path(bench.data.removeprefix("file:")).rename(tmp_path / "sets" / "mine" / "test.jsonl")
    bench.monkeypatch.setenv("FRONTDESK_DATA", str(tmp_path / "sets"))
    a, b = (bench.report(name, data="data:mine#test") for name in "ab")
    bench.monkeypatch.setenv("FRONTDESK_DATA", str(tmp_path / "gone"))
    found = bench.gate(a, b)
    assert found.verdict == "block"
    assert "data cannot be checked: data:mine#test" in found.refused[0]


@pytest.mark.parametrize("prompt", [{"version": DEFAULT, "sha256": "0" * 64},
                                    {"version": "support/0", "sha256": "0" * 64}])  # fmt: skip
def test_another_prompt_is_refused(bench: Bench, prompt: dict[str, str]) -> None:
    a = bench.report("a", identity={"prompt": prompt})
    found = bench.gate(a, bench.report("b"))
    assert f"Its prompt {prompt['version']}" in found.refused[0]


def test_the_prompt_of_this_code_is_believed(bench: Bench) -> None:
    a = bench.report("a", identity={"prompt": prompts.identity(DEFAULT)})
    assert bench.gate(a, bench.report("b")).verdict == "ship"


def with_adapter(bench: Bench, update: float = 0.5) -> tuple[Path, Path]:
    """A report in a run folder with run.json, and its adapter's file."""
    folder = bench.folder / "a" / "adapter"
    folder.mkdir(parents=True)
    config, file = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    config.write_text("{}")
    base = Base(ref="org/base", source="folder", file="model.safetensors", sha256="a" * 64)
    card = Card(
        kind="classifier", base=base, prompt_version="sentiment/1", labels=["negative", "positive"],
        config_sha256=sha256_file(config),
    )  # fmt: skip
    weights = {"q.lora_A.weight": np.ones((2, 3)), "q.lora_B.weight": np.full((3, 2), update)}
    save_file(weights, file, {"frontdesk": card.model_dump_json()})
    run = {"labels": card.labels, "adapter_sha256": sha256_file(file)}
    write_json(bench.folder / "a" / "run.json", run)
    return bench.report("a", identity={"adapter": runs.adapter(file.parent)}), file


def test_an_adapter_as_it_was_is_believed(bench: Bench) -> None:
    a, _ = with_adapter(bench)
    assert bench.gate(a, bench.report("b")).verdict == "ship"


def test_the_base_under_an_adapters_name_is_refused(bench: Bench) -> None:
    a, _ = with_adapter(bench, update=0.0)
    found = bench.gate(a, bench.report("b"))
    assert found.verdict == "block"
    assert "it is the base under an adapter's name" in found.refused[0]


def test_a_swapped_label_map_is_refused(bench: Bench) -> None:
    a, _ = with_adapter(bench)
    run = read_json(a / "run.json")
    write_json(a / "run.json", {**run, "labels": ["positive", "negative"]})
    found = bench.gate(a, bench.report("b"))
    assert found.verdict == "block"
    assert "the label map was changed" in found.refused[0]


def test_a_corrupted_adapter_is_refused(bench: Bench) -> None:
    a, file = with_adapter(bench)
    file.write_bytes(file.read_bytes()[:-1] + b"z")
    found = bench.gate(a, bench.report("b"))
    assert "is not the adapter it is about" in found.refused[0]


def test_an_adapter_that_is_gone_is_refused(bench: Bench) -> None:
    a, file = with_adapter(bench)
    file.unlink()
    assert "not at hand" in bench.gate(a, bench.report("b")).refused[0]


def test_overlap_up_to_one_percent_is_left_out_and_above_it_refused(bench: Bench) -> None:
    b = bench.report("b")
    two = adapter_trained_on(bench, "a text 0", "a text 1")
    assert bench.gate(bench.report("a", adapter=two), b).verdict == "ship"  # 2 of 200
    three = adapter_trained_on(bench, "a text 0", "a text 1", "b text 2")
    found = bench.gate(bench.report("c", adapter=three), b)
    assert found.verdict == "block"
    assert "3 test samples (1.5%) overlap" in found.refused[0]


@pytest.mark.parametrize("which", ["candidate", "baseline"])
def test_a_report_edited_by_hand_is_refused(bench: Bench, which: str) -> None:
    a, b = bench.report("a"), bench.report("b")
    file = (a if which == "candidate" else b) / "report.json"
    tree = json.loads(file.read_text(encoding="utf-8"))
    tree["metrics"][0]["value"] = 0.5
    file.write_text(json.dumps(tree), encoding="utf-8")
    found = bench.gate(a, b)
    assert found.verdict == "block"
    assert "was changed after it was written" in found.refused[0]


def test_an_old_report_is_refused_whichever_it_is(bench: Bench) -> None:
    a, b = bench.report("a"), bench.report("b")
    bench.write_policy("margin: 0.10, min_n: 100", top="max_age_days: 30\n")
    for old, young, whose in ((a, b, "It report"), (b, a, "The baseline's report")):
        loaded = reports.read(old)
        made = loaded.report.provenance.model_copy(update={"date": "2020-01-01T00:00:00Z"})
        aged = loaded._replace(report=loaded.report.model_copy(update={"provenance": made}))
        pairs = (aged, reports.read(young)) if old is a else (reports.read(young), aged)
        found = gate(TASKS["toy"], *pairs, rule(TASKS["toy"], bench.policy))
        assert found.verdict == "block"
        assert "days old, above the 30 allowed" in found.refused[0], whose


# guards


def guarded(bench: Bench, *wrong: str, b_wrong: tuple[str, ...] = ()) -> Evidence:
    bench.write_policy(
        "margin: 0.10, min_n: 100, guards: [macro_f1], protected: [letter]",
        top="guard_alpha: 0.05\n",
    )
    return bench.gate(bench.report("a", *wrong), bench.report("b", *b_wrong))


def test_a_harmed_slice_blocks_what_the_primary_metric_would_ship(bench: Bench) -> None:
    lost = [f"s{i}" for i in range(16) if i % 4 < 2]  # these have the letter a
    found = guarded(bench, *lost)
    assert found.verdict == "block"
    assert found.sentence.startswith("Block: the candidate harms what the policy guards")
    assert "accuracy on letter a" in found.sentence
    assert found.low is not None
    assert found.low > -0.10  # by the primary metric alone it ships


def test_guards_that_nothing_harms_say_so_and_let_it_ship(bench: Bench) -> None:
    found = guarded(bench, "s1", b_wrong=("s2", "s3"))
    assert found.verdict == "ship"
    names = [guard.name for guard in found.guards or []]
    assert names == ["macro_f1", "accuracy on letter a", "accuracy on letter b"]
    assert not any(guard.harmed for guard in found.guards or [])


def test_a_guard_that_gains_ships_nothing(bench: Bench) -> None:
    bench.write_policy("margin: 0.10, min_gain: 0.2, min_n: 100, protected: [letter]")
    gains = bench.gate(bench.report("a"), bench.report("b", *ids(0, 20)))
    assert gains.verdict == "block"  # a gain of 0.1 where 0.2 are asked for, in every slice too


def test_a_protected_slice_that_is_not_there_lists_those_that_are(bench: Bench) -> None:
    bench.write_policy("margin: 0.10, min_n: 100, protected: [colour]")
    with pytest.raises(InputError, match=r"protects the slice 'colour'.*they have: letter"):
        bench.gate(bench.report("a"), bench.report("b", "s1"))


def test_a_test_set_that_many_systems_were_tried_on_ships_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = bench.report("a"), bench.report("b", "s1")
    monkeypatch.setattr("eval.uses.count", lambda _: (90, 51))
    found = bench.gate(a, b)
    assert found.verdict == "inconclusive"
    assert "51 systems have been tried on this test set" in found.sentence
    assert bench.gate(a, a).verdict == "ship"  # what is served may go on being served


# the policy


def test_the_shipped_policy_judges_every_task_by_the_brief() -> None:
    for task in TASKS.values():
        found = rule(task)
        assert found.metric in [metric.name for metric in task.metrics]
    assert rule(TASKS["sentiment"]).margin == 0.10
    assert rule(TASKS["support"]).metric == "gold_fact_recall"


def test_lower_is_better_turns_the_difference(bench: Bench) -> None:
    from dataclasses import replace

    from eval.gate import _bounds
    from eval.metrics.accuracy import METRIC

    task = replace(toy(wrong_on()), metrics=(replace(METRIC, higher_is_better=False),))
    a, b = (reports.read(bench.report(n, *w)) for n, w in (("a", ids(0, 20)), ("b", ())))
    found = _bounds(task, pair(a, b), RULE, same=False)
    assert found.value == pytest.approx(0.1)  # accuracy fell by 0.1, which is a gain here
    assert found.low > 0


@pytest.mark.parametrize(
    ("own", "metric", "top", "message"),
    [
        ("margin: 0.1, min_n: 9", "acuracy", "", "no metric 'acuracy'. Did you mean 'accuracy'"),
        ("margin: 0.1, min_n: 9, guards: [f2]", "accuracy", "", "no metric 'f2'"),
        ("margin: 0.1, min_n: 9, marginn: 3", "accuracy", "", "unknown key 'tasks.toy.marginn'"),
        ("margin: 2, min_n: 9", "accuracy", "", "less than 1"),
        ("min_n: 9", "accuracy", "", "tasks.toy lacks margin"),
        ("margin: 0.1, min_n: 9", "accuracy", "alpha: 0.9", "alpha: input should be less than"),
        ("margin: 0.1, feature: sent", "accuracy", "", "tasks.toy.feature"),
    ],
)
def test_a_wrong_policy_is_a_sentence(
    bench: Bench, own: str, metric: str, top: str, message: str
) -> None:
    bench.write_policy(own, metric, top)
    with pytest.raises(ConfigError, match=message):
        bench.gate(bench.report("a"), bench.report("b"))


def test_a_policy_that_does_not_name_the_task_lists_those_it_does(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("tasks: {sentiment: {feature: sentiment}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no policy for task support\. It has: sentiment"):
        rule(TASKS["support"], file)


def test_a_gate_over_reports_without_the_metric_is_bad_input(bench: Bench) -> None:
    a, b = bench.report("a"), bench.report("b")

    def gone(report: Report) -> Report:
        return report.model_copy(update={"metrics": report.metrics[1:]})

    first, second = reports.read(a), reports.read(b)
    with pytest.raises(InputError, match="has no metric 'accuracy'; it has: macro_f1"):
        gate(TASKS["toy"], first._replace(report=gone(first.report)), second, RULE)


def test_a_model_behind_a_server_is_never_known_to_be_the_same(bench: Bench) -> None:
    behind = {"model": {"ref": "openai:http://host/v1#m", "source": "server"}}
    a = bench.report("a", "s1", identity=behind)
    found = bench.gate(a, a)
    assert "The candidate is the baseline itself" not in found.sentence
    assert found.low is not None
    assert found.low < 0
