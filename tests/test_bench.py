"""`python -m eval bench`: how many times faster, by ratios within rounds. Nothing is timed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from app.core.errors import AppError, InputError, NotFound
from app.core.files import ROOT, read_json, write_json
from app.models.encoder import HashEncoder
from eval import bench as registry
from eval.__main__ import app
from eval.bench import launch, others, page, retrieval, settings, speedups, turns
from eval.bench.base import Arm, Bench, Contest, Measure, Outcome
from eval.bench.others import Meter
from eval.bench.retrieval_peers import fused, passages
from eval.bench.turns import Round, take_turns, turn
from eval.bench.worker import Order, run
from eval.task import Request

NAMES = ("product", "default", "tuned")
"""Of the arms."""
PEERS = find_spec("sentence_transformers") and find_spec("rank_bm25")


def made(**over: Any) -> Bench:
    """A bench of fake arms: a time and a rate, quality of four samples."""
    fields: dict[str, Any] = {
        "name": "retrieval",
        "peer": "somebody",
        "measures": (Measure("wait", "ms", False), Measure("bulk", "things/s", True)),
        "quality": "recall@1",
        "needs": {},
        "packages": (),
        "build": lambda _: contest({}),
    }
    return Bench(**fields | over)


def contest(waits: dict[str, Sequence[float]]) -> Contest:
    """Arms that say one wait a run, the first for the warm-up; `tuned` is wrong once in four."""

    def arm(name: str) -> Arm:
        said = iter(waits.get(name, (1.0,) * 99))
        right = [1.0, 1.0, 1.0, 0.0 if name == "tuned" else 1.0]
        return Arm(name, f"does {name}", lambda: Outcome({"wait": next(said), "bulk": 2.0}, right))

    return Contest([arm(name) for name in NAMES], "4 things.", None, {"data": {"ref": "fake"}})


def rounds(*waits: tuple[float, float, float]) -> list[Round]:
    """Rounds of (product, default, tuned); who waits twice as long does half as much in bulk."""
    return [
        {
            n: Outcome({"wait": w, "bulk": 1 / w if w else 0.0}, [1.0])
            for n, w in zip(NAMES, each, strict=True)
        }
        for each in waits
    ]


def named(bench: Bench, found: Sequence[Round], suffix: str = "") -> dict[str, Any]:
    """The speed-ups by name."""
    return {metric.name: metric for metric in speedups.speedups(bench, found, suffix)}


def order(path: Path, count: int = 2) -> Order:
    """For a worker in this process."""
    return Order(
        bench="retrieval", setting="native", rounds=count, data=None, limit=None, path=path
    )


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Workers run in this process on fake arms; returns the environment of each."""
    given = []

    def worker(command: list[str], env: dict[str, str], **_: object) -> Any:
        given.append(env)
        asked = Order.model_validate_json(command[-1])
        with monkeypatch.context() as patch:
            patch.setattr(
                "torch.backends.cpu.get_cpu_capability",
                lambda: env.get("ATEN_CPU_CAPABILITY", "avx512").upper(),
            )
            found = run(made(), settings.SETTINGS[asked.setting], asked)
        write_json(asked.path, found.model_dump(mode="json"))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(launch.subprocess, "run", worker)
    monkeypatch.setattr(launch.provenance, "git", dict)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(others, "now", lambda: 0.0)
    monkeypatch.setattr(turns.gc, "collect", lambda: 0)  # of all that the other tests left
    monkeypatch.setattr(registry, "bench", lambda name: made(name=name))
    return given


def test_the_arms_start_each_round_one_further_on() -> None:
    arms = contest({}).arms
    started = [[arm.name for arm in turn(arms, number)] for number in range(4)]
    assert started[0] == ["product", "default", "tuned"]
    assert started[1] == ["default", "tuned", "product"]
    assert started[2] == ["tuned", "product", "default"]
    assert started[3] == started[0]


def test_the_warm_up_counts_in_no_round() -> None:
    waits = dict.fromkeys(NAMES, (999.0, 1.0, 2.0))
    lines: list[str] = []
    found = take_turns(contest(waits).arms, 2, lines.append)
    assert [each["tuned"].speeds["wait"] for each in found] == [1.0, 2.0]
    assert lines[:4] == [
        "warm-up, product", "warm-up, default", "warm-up, tuned", "round 1 of 2, product",
    ]  # fmt: skip
    assert len(lines) == 9


def test_a_shorter_time_and_a_higher_rate_are_both_above_one() -> None:
    found = named(made(), rounds((10.0, 30.0, 20.0)))
    assert {name: metric.value for name, metric in found.items()} == {
        "default_speedup": 3.0,
        "tuned_speedup": 2.0,
        "bulk_default_speedup": 3.0,
        "bulk_tuned_speedup": 2.0,
    }


def test_a_faster_peer_is_reported_below_one() -> None:
    found = named(made(), rounds((10.0, 30.0, 5.0)), "_avx2")
    assert found["tuned_speedup_avx2"].value == 0.5
    assert found["bulk_tuned_speedup_avx2"].value == 0.5
    assert found["default_speedup_avx2"].value == 3.0


def test_ratios_are_paired_within_rounds() -> None:
    """The third round met a busy machine: all took ten times as long, and the ratio is the same."""
    found = named(made(), rounds((1.0, 1.0, 2.0), (3.0, 1.0, 6.0), (10.0, 1.0, 20.0)))
    tuned = found["tuned_speedup"]
    assert (tuned.value, tuned.low, tuned.high, tuned.n) == (2.0, 2.0, 2.0, 3)
    default = found["default_speedup"]
    assert (default.value, default.low, default.high) == (0.3333, 0.1, 1.0)


def test_speeds_keep_every_round_beside_median_and_ends() -> None:
    speed = speedups.speeds(made().measures[0], rounds((4, 1, 1), (1, 1, 1), (2, 1, 1)), "product")
    assert (speed.value, speed.low, speed.high, speed.rounds) == (2, 1, 4, [4, 1, 2])


def test_the_ends_of_six_rounds_hold_the_median_and_those_of_one_do_not() -> None:
    assert speedups.held(6) == pytest.approx(1 - 2 * 0.5**6)  # all above or all below it
    assert speedups.held(1) == 0


@pytest.mark.parametrize("wait", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(wait: float) -> None:
    with pytest.raises(InputError, match=r"wait of the arm tuned is .* a positive number"):
        speedups.speedups(made(), rounds((1.0, 1.0, wait)), "")


def test_an_arm_that_is_wrong_is_seen_beside_its_speed(tmp_path: Path) -> None:
    waits = {"product": (9, 2, 2), "default": (9, 4, 4), "tuned": (9, 1, 1)}
    bench = made(build=lambda _: contest(waits))
    found = run(bench, settings.NATIVE, order(tmp_path / "run.json"))
    right = {arm.name: arm.quality.value for arm in found.arms}
    assert right == {"product": 1.0, "default": 1.0, "tuned": 0.75}
    assert all(arm.quality.low < 1 and arm.quality.n == 4 for arm in found.arms)
    assert found.metrics[1].value == 0.5


def test_the_record_has_both_settings_and_the_headline_is_the_tuned_peer(
    workers: list[dict[str, str]], tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["bench", "retrieval", "--out", str(tmp_path), "--rounds", "3"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.md"]
    record = read_json(tmp_path / "bench.json")
    assert record["headline"] == "tuned_speedup"
    assert [metric["name"] for metric in record["metrics"]] == [
        f"{prefix}{peer}_speedup{suffix}"
        for suffix in ("", "_avx2")
        for prefix in ("", "bulk_")
        for peer in ("default", "tuned")
    ]
    assert [each["capability"] for each in record["runs"]] == ["AVX512", "AVX2"]
    assert (record["n"], record["rounds"], record["seed"]) == (4, 3, 17)
    assert "| arm | wait, ms | bulk, things/s | recall@1, 95 % interval |" in done.output
    assert len(workers) == 2


def test_avx2_reaches_the_second_worker_and_the_first_has_the_machine_as_it_is(
    workers: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    launch.measure(made(), Request(), 1, "")
    native, narrowed = workers
    for name, value in settings.AVX2.environment.items():
        assert native.get(name) == os.environ.get(name)
        assert narrowed[name] == value
    assert native["OMP_NUM_THREADS"] == narrowed["OMP_NUM_THREADS"] == "2"


def test_a_processor_without_avx2_is_measured_once_and_the_record_says_so(
    workers: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    record = launch.measure(made(), Request(), 1, "")
    assert len(workers) == 1
    assert record.missing == ["avx2: arm64 has no such instructions"]
    assert "arm64" in page.render(record)


def test_a_run_that_was_not_held_to_avx2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    with pytest.raises(InputError, match="the run on AVX2 uses AVX512"):
        settings.capability(settings.AVX2)


@pytest.mark.parametrize(("status", "how"), [(-9, "signal 9"), (1, "status 1")])
def test_a_worker_that_dies_leaves_no_record(
    workers: list[dict[str, str]], status: int, how: str, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    died = subprocess.CompletedProcess([], status)
    monkeypatch.setattr(launch.subprocess, "run", lambda *_, **__: died)
    with pytest.raises(AppError, match=f"the run native ended with {how}"):
        CliRunner().invoke(
            app, ["bench", "retrieval", "--out", str(tmp_path)], catch_exceptions=False
        )
    assert not list(tmp_path.iterdir())
    assert not workers


def test_a_worker_that_said_why_is_not_explained_again(
    workers: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = subprocess.CompletedProcess([], 2)
    monkeypatch.setattr(launch.subprocess, "run", lambda *_, **__: refused)
    done = CliRunner().invoke(app, ["bench", "retrieval"])
    assert (done.exit_code, done.output) == (2, "")
    assert not workers


def test_who_stops_the_bench_stops_its_worker() -> None:
    worker = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    code = (
        "import sys; from eval.bench import launch, settings; "
        f"launch.finish(settings.NATIVE, [sys.executable, '-c', {worker!r}], {{}})"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        number = int(bench.stdout.readline())
        bench.terminate()
        assert bench.wait(timeout=30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


@pytest.mark.parametrize(
    ("wait", "count", "verdict"),
    [
        ((1.0, 1.0, 2.0), 6, "the product is faster than the tuned peer"),
        ((2.0, 1.0, 1.0), 6, "the product is slower than the tuned peer"),
        ((1.0, 1.0, 1.0), 6, "the product and the tuned peer are not told apart"),
        ((1.0, 1.0, 2.0), 2, "2 rounds are too few to tell"),
    ],
)
def test_the_headline_says_what_the_spread_allows(
    workers: list[dict[str, str]], wait: tuple[float, float, float], count: int, verdict: str
) -> None:
    metrics = speedups.speedups(made(), rounds(*[wait] * count), "")
    found = {"metrics": metrics, "held": speedups.held(count)}
    record = launch.measure(made(), Request(), 1, "").model_copy(update=found)
    assert verdict in page.headline(record)
    assert len(workers) == 2


def test_what_other_processes_used_is_counted_without_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began, ended = Meter(everyone=100, own=10, at=50), Meter(everyone=116, own=18, at=54)
    monkeypatch.setattr(Meter, "read", lambda: ended)
    assert began.others() == 2.0


def test_a_busy_machine_is_told_before_the_first_run(
    workers: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(others, "now", lambda: 1.4)
    launch.measure(made(), Request(), 1, "")
    assert capsys.readouterr().err.startswith("1.4 cores are busy with other work")
    assert len(workers) == 2


def test_a_missing_peer_is_named_with_the_command_that_installs_it() -> None:
    bench = made(needs={"nobody_has_this": "no-such-peer", "numpy": "numpy"})
    with pytest.raises(NotFound, match=r"compares with no-such-peer, not .* -e '\.\[bench\]'"):
        launch.measure(bench, Request(), 1, "")


@pytest.mark.parametrize("bad", [{"rounds": 0}, {"limit": 0}])
def test_counts_below_one_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected at least 1"):
        launch.measure(made(), Request(limit=bad.get("limit")), bad.get("rounds", 1), "")


def test_a_wrong_name_is_a_sentence_and_status_two() -> None:
    command = [sys.executable, "-m", "eval", "bench", "retreival"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "error: no bench 'retreival'. Did you mean 'retrieval'? There is: retrieval, "
        "chat, train-encoder, train-chat\n"
    )


def test_every_registered_bench_is_there_under_its_name() -> None:
    for name in registry.BENCHES:
        assert registry.bench(name).name == name


def test_the_extra_installs_what_the_benches_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = {line.partition(">=")[0] for line in project["optional-dependencies"]["bench"]}
    needed = [registry.bench(name).needs.values() for name in registry.BENCHES]
    assert extra == {package for packages in needed for package in packages}


def test_retrieval_asks_questions_that_stand_alone() -> None:
    work = retrieval.read("demo:support", None)
    assert len(work.asked) > 100
    assert not any(sample.source.history for sample in work.asked)
    assert work.asked == retrieval.read("demo:support", None).asked


def test_retrieval_indexes_the_documents_of_its_questions() -> None:
    work = retrieval.read("demo:support", 3)
    assert len(work.asked) == 3
    gold = {article for sample in work.asked for article in sample.gold}
    assert set(work.originals(str(doc["id"]) for doc in work.docs)) == gold


def test_the_product_encodes_its_articles_anew_in_every_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path))

    class Counting(HashEncoder):
        seen = 0

        def encode(self, texts: Sequence[str]) -> Any:
            self.seen += len(texts)
            return super().encode(texts)

    encoder, work = Counting(), retrieval.read("demo:support", 3)
    index = retrieval.product_index(encoder)
    assert len(index(work.docs)(work.asked[0].text)) > 0
    first = encoder.seen
    index(work.docs)(work.asked[0].text)
    assert encoder.seen == 2 * first
    assert os.environ["FRONTDESK_CACHE"] == str(tmp_path)
    assert not list(tmp_path.iterdir())


def test_retrieval_is_timed_per_question_and_scored_per_article(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Indexing takes 4 s by this clock, each question 1 s."""
    ticks = iter(np.cumsum([0, 4, *[0, 1] * 3]))
    monkeypatch.setattr(retrieval.time, "perf_counter", lambda: float(next(ticks)))
    work = retrieval.read("demo:support", 3)
    gold = work.asked[0].gold[0]
    found = retrieval.arm("x", "", lambda _: lambda _: [gold], work).run()
    assert found.speeds == {"query": 1000.0, "index": len(work.docs) / 4}
    assert found.scores[0] == 1 / len(work.asked[0].gold)


def test_the_peers_fuse_ranks_as_the_paper_says() -> None:
    # Row 1 is second and first, row 0 first and third: 1/62 + 1/61 is more than 1/61 + 1/63.
    assert fused([0, 1, 2], [1, 3, 0]) == [1, 0, 3]


def test_the_peers_put_the_title_in_front_of_every_paragraph() -> None:
    doc = {"id": "a", "title": "Refunds", "text": "One.\n\nTwo.\n"}
    assert passages([doc]) == (["a", "a"], ["Refunds\nOne.", "Refunds\nTwo."])


@pytest.mark.slow
@pytest.mark.skipif(not PEERS, reason="the extra `bench` is not installed")
def test_the_retrieval_bench_runs_on_the_packaged_weights(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "eval", "bench", "retrieval", "--data", "demo:support",
        "--limit", "4", "--rounds", "1", "--out", str(tmp_path), "--json",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    record = read_json(tmp_path / "bench.json")
    assert json.loads(done.stdout) == record
    assert (record["n"], record["rounds"]) == (4, 1)
    for each in record["runs"]:
        assert each["threads"] == 1
        assert [arm["name"] for arm in each["arms"]] == list(NAMES)
        # "float32" stands in the line of each: the peers have the dtype that the product chose.
        assert all("float32, batch 32" in arm["does"] for arm in each["arms"])
        assert all(arm["quality"]["value"] > 0 for arm in each["arms"])
        own, _, tuned = (arm["speeds"][0]["rounds"][0] for arm in each["arms"])
        assert each["metrics"][1]["value"] == pytest.approx(tuned / own, abs=0.01)
    if len(record["runs"]) == 2:
        assert record["runs"][1]["capability"] == "AVX2"
        assert record["runs"][1]["environment"].items() >= settings.AVX2.environment.items()
    assert "too few to tell" in (tmp_path / "bench.md").read_text()
