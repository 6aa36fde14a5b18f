"""The table of methods: which runs it is made of, what a line holds, and a queue that goes on."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.config import load
from app.core.errors import ConfigError, InputError
from app.core.files import ROOT, write_json, write_jsonl
from finetune.config import TrainConfig
from finetune.table import fill, lines, page, recipes, work
from tests.helpers_models import tiny_bert

TREE: dict[str, Any] = {
    "seeds": [1, 2],
    "base": {
        "task": "classification", "model": {"path": "m"}, "optim": {"lr": 1},
        "loop": {"epochs": 2, "global_batch": 4, "device_batch": 4},
    },
    "grid": {"seed": 1, "config": {"data": {"limit": 16}}},
    "sets": {"s": {
        "config": {"data": {"train": ["file:t.jsonl"], "dev": ["file:d.jsonl"]}},
        "test": {"task": "sentiment", "data": "file:t.jsonl", "metric": "accuracy"},
    }},
    "recipes": [
        {"name": "one", "set": "s", "config": {"adapter": {"rank": 2}}, "lrs": [1e-3, 1e-2]},
        {"name": "two", "set": "s", "config": {"adapter": {"method": "head"}}, "lrs": [0.1]},
    ],
}  # fmt: skip


def queue(tmp_path: Path, **changes: Any) -> recipes.Queue:
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(TREE | changes), encoding="utf-8")
    return recipes.read(path)


def tried(job: recipes.Job, dev: float) -> dict[str, Any]:
    return {"key": job.key, "kind": job.kind, "lr": job.config.optim.lr, "dev": dev}


# the runs


def test_the_shipped_table_is_the_one_that_was_asked_for() -> None:
    found = recipes.read(ROOT / "finetune" / "table.yaml")
    assert [(one.set, one.config["adapter"]) for one in found.recipes] == [
        ("sst2", {"method": "none"}),
        ("sst2", {"rank": 4, "alpha": 8}),
        ("sst2", {"rank": 8, "alpha": 16}),
        ("sst2", {"rank": 16, "alpha": 32}),
        ("sst2", {"method": "head"}),
        ("banking77", {"rank": 8, "alpha": 16}),
        ("banking77", {"method": "none"}),
        ("banking77", {"method": "head"}),
        ("sst2", {"rank": 16, "alpha": 32, "dropout": 0.1}),
    ]
    assert found.seeds == [17, 18, 19]
    for one in found.recipes:
        for job in recipes.runs(found, one, one.lrs[0], Path("out")):
            refs = (*job.config.data.train, *job.config.data.dev)
            assert not any(ref.endswith("#test") for ref in refs)
            assert job.test.data.endswith("#test")
            assert job.test.data in job.config.data.exclude_overlap_with


def test_the_shipped_sentiment_config_is_in_the_table() -> None:
    queue = recipes.read(ROOT / "finetune" / "table.yaml")
    (recipe,) = recipes.chosen(queue, "sst2-sentiment")
    shipped = load(TrainConfig, ROOT / "finetune" / "configs" / "sentiment.yaml")
    job = recipes.runs(queue, recipe, recipe.lrs[0], Path("out"))[0]
    assert job.config.model_copy(update={"run": shipped.run}) == shipped


def test_a_rate_is_tried_on_less_data_before_any_seed_runs(tmp_path: Path) -> None:
    made = queue(tmp_path)
    todo = list(fill.left(made, made.recipes[:1], [], tmp_path))
    assert [(job.kind, job.config.optim.lr, job.config.data.limit) for job in todo] == [
        ("grid", 1e-3, 16),
        ("grid", 1e-2, 16),
    ]


def test_the_rate_that_is_best_on_dev_is_taken_and_the_lower_of_equals(tmp_path: Path) -> None:
    made = queue(tmp_path)
    one = made.recipes[0]
    low, high = recipes.tries(made, one, tmp_path)
    assert recipes.best_lr(made, one, [tried(low, 0.7)]) is None
    assert recipes.best_lr(made, one, [tried(low, 0.7), tried(high, 0.8)]) == 1e-2
    assert recipes.best_lr(made, one, [tried(low, 0.8), tried(high, 0.8)]) == 1e-3
    todo = list(fill.left(made, [one], [tried(low, 0.7), tried(high, 0.8)], tmp_path))
    assert [(job.kind, job.config.run.seed, job.config.optim.lr) for job in todo] == [
        ("run", 1, 1e-2),
        ("run", 2, 1e-2),
    ]


def test_one_rate_alone_is_taken_as_it_is(tmp_path: Path) -> None:
    made = queue(tmp_path)
    assert [job.kind for job in fill.left(made, made.recipes[1:], [], tmp_path)] == ["run", "run"]


def test_a_run_is_known_by_all_that_its_result_depends_on(tmp_path: Path) -> None:
    made = queue(tmp_path)
    first, second = recipes.runs(made, made.recipes[1], 0.1, tmp_path / "a")
    again = recipes.runs(made, made.recipes[1], 0.1, tmp_path / "b")[0]
    assert first.key == again.key != second.key
    assert first.recipe_key == second.recipe_key
    longer = queue(tmp_path, base=recipes.merged(TREE["base"], {"loop": {"epochs": 3}}))
    assert recipes.runs(longer, longer.recipes[1], 0.1, tmp_path)[0].key != first.key


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipes": [TREE["recipes"][1], TREE["recipes"][1]]}, "two have one name"),
        ({"recipes": [TREE["recipes"][1] | {"set": "z"}]}, "no set 'z'"),
        ({"base": TREE["base"] | {"optim": {"lr": 1, "speed": 2}}}, "unknown key 'optim.speed'"),
        ({"recipes": [TREE["recipes"][1] | {"config": {"data": {"dev": []}}}]}, "no data.dev"),
    ],
)
def test_a_wrong_queue_says_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        queue(tmp_path, **changes)


def test_a_pattern_that_fits_nothing_lists_the_recipes(tmp_path: Path) -> None:
    made = queue(tmp_path)
    assert [one.name for one in recipes.chosen(made, "t*")] == ["two"]
    with pytest.raises(InputError, match="fits none of one, two"):
        recipes.chosen(made, "x*")


def test_steps_are_counted_before_a_run(tmp_path: Path) -> None:
    made = queue(tmp_path)
    grid = recipes.tries(made, made.recipes[0], tmp_path)[0]
    assert fill.steps(grid.config, rows=100) == 2 * 4  # 16 rows in fours, twice
    run = recipes.runs(made, made.recipes[0], 0.1, tmp_path)[0]
    assert fill.steps(run.config, rows=101) == 2 * 26


# lines


def line(recipe: str, seed: int, value: float, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "run", "recipe": recipe, "recipe_key": recipe, "key": f"{recipe}{seed}",
        "seed": seed, "lr": 1e-3, "epochs": 3, "trained": 1000, "wall_s": 120.0, "cpu_s": 180.0,
        "peak_bytes": 2**30, "adapter_bytes": 2**20, "test": {"data": "d#test", "metric": "acc"},
        "metric": {"value": value, "low": 0, "high": 1, "n": 9}, "serving": {"p95_ms": 12.0},
        "machine": {"processor": "P", "cores": 2},
    } | changes  # fmt: skip


def test_the_interval_over_seeds_is_students() -> None:
    found = lines.spread([0.88, 0.90, 0.92])
    half = 4.302653 * 0.02 / 3**0.5  # t with two degrees of freedom
    assert found.mean == pytest.approx(0.90)
    assert (found.low, found.high) == pytest.approx((0.90 - half, 0.90 + half))
    assert lines.spread([0.5])[1:] == (None, None, 1)


def test_a_line_is_appended_once(tmp_path: Path) -> None:
    to = tmp_path / "t.jsonl"
    assert lines.read(to) == []
    lines.append(to, line("a", 1, 0.9))
    lines.append(to, line("a", 2, 0.8))
    assert [one["key"] for one in lines.read(to)] == ["a1", "a2"]
    with pytest.raises(InputError, match="has a line of a with the key a2"):
        lines.append(to, line("a", 2, 0.8))


def test_two_queues_do_not_fill_one_table(tmp_path: Path) -> None:
    to = tmp_path / "t.jsonl"
    with (
        lines.locked(to),
        pytest.raises(InputError, match="filled by another queue"),
        lines.locked(to),
    ):
        pass


def test_the_markdown_has_means_and_intervals_of_the_newest_settings() -> None:
    old = [line("a", 1, 0.1, recipe_key="old", key="old1")]
    tries = [line("a", 1, 0.2, kind="grid", key="g")]
    new = [line("a", 1, 0.88), line("a", 2, 0.90), line("a", 3, 0.92), line("b", 1, 0.5)]
    shown = page.markdown([*old, *tries, *new]).splitlines()
    assert shown[2].startswith("| a | d#test acc | 0.9000 (3) | 0.8503 to 0.9497 | 2.0 min |")
    assert shown[3].startswith("| b | d#test acc | 0.5000 (1) | - |")
    assert "Student's t" in shown[-1]
    assert "P, 2 cores" in shown[-1]


def test_an_empty_table_says_how_it_is_filled() -> None:
    assert page.markdown([]) == "No run is finished yet: python -m finetune table"


# doing it


def test_the_time_and_memory_of_a_process_are_its_own(tmp_path: Path, python: str) -> None:
    code = "import time; a = bytearray(80 << 20); [x * x for x in range(10**6)]; time.sleep(0.3)"
    used = work._run([python, "-c", code], tmp_path / "log")
    assert used["wall_s"] >= 0.3
    assert 0 < used["cpu_s"] < 5
    assert used["peak_bytes"] > 80 << 20
    with pytest.raises(work.Failed, match=r"ended with 3: what went wrong"):
        work._run([python, "-c", "print('what went wrong'); raise SystemExit(3)"], tmp_path / "log")


def test_a_run_that_is_still_being_written_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_WAIT_S", 0.0)
    folder = tmp_path / "r"
    folder.mkdir()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(work.Failed, match="still being written"):
            work._cleared(folder)
    work._cleared(folder)
    assert not folder.exists()


def test_a_report_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    made = queue(tmp_path)
    job = recipes.runs(made, made.recipes[1], 0.1, tmp_path)[0]
    metric = {"name": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6, "n": 8, "unit": ""}
    (tmp_path / "r" / "report").mkdir(parents=True)
    write_json(tmp_path / "r" / "report" / "report.json", {"metrics": [metric]})
    assert work._tested(job, tmp_path / "r") == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 8}


def test_a_run_that_fails_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = queue(tmp_path)

    def do(job: recipes.Job, _out: Path) -> dict[str, Any]:
        if job.config.run.seed == 1:
            raise work.Failed("it broke")
        return line(job.recipe, 2, 0.9, key=job.key, dev=0.8)

    monkeypatch.setattr(fill, "do", do)
    monkeypatch.setattr(fill, "_say_estimate", lambda *_: None)
    to = tmp_path / "t.jsonl"
    failed = fill.fill(made, made.recipes[1:], out=tmp_path, to=to, limit=None)
    assert len(failed) == 1
    assert failed[0].endswith("it broke")
    assert [one["recipe"] for one in lines.read(to)] == ["two"]
    assert "dev 0.8000, test 0.9000" in capsys.readouterr().out
    listed = list(fill.listed(made, made.recipes, lines.read(to), tmp_path))
    assert [one.split(maxsplit=1)[1] for one in listed] == [
        "to do", "to do", "waits for its rate", "waits for its rate", "to do",
        "dev 0.8000, test 0.9000, 2.0 min, 3.0 min of CPU",
    ]  # fmt: skip


# the whole of it, in miniature


def shops(path: Path, seed: int, n: int = 24) -> Path:
    """Rows of two labels, no two alike."""
    draw = random.Random(seed)
    words = ["kettle", "tea", "cup", "leaf", "jug", "oven", "lamp", "table", "chair", "mat", "tin"]
    rows = [
        {"text": " ".join(["good" if i % 2 else "bad", *draw.choices(words, k=6)]),
         "label": ("negative", "positive")[i % 2]}
        for i in range(n)
    ]  # fmt: skip
    write_jsonl(path, rows)
    return path


def mini(tmp_path: Path) -> list[str]:
    """Arguments of a queue of tiny runs."""
    model = tiny_bert(tmp_path / "bert")
    train, dev, test = (f"file:{shops(tmp_path / name, seed)}" for seed, name in enumerate(
        ("train.jsonl", "dev.jsonl", "test.jsonl")))  # fmt: skip
    tested = {"task": "sentiment", "data": test, "metric": "accuracy"}
    tree = TREE | {
        "seeds": [1],
        "base": recipes.merged(TREE["base"], {
            "model": {"path": str(model), "dtype": "float32"},
            "loop": {"eval_every": 6, "save_every": 6},
        }),
        "sets": {"s": {"config": {"data": {
            "train": [train], "dev": [dev],
        }}, "test": tested}},
    }  # fmt: skip
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return ["--config", str(path), "--table", str(tmp_path / "t.jsonl"),
            "--out", str(tmp_path / "runs")]  # fmt: skip


def table(python: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-m", "finetune", "table", *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
def test_a_killed_queue_goes_on_and_no_run_is_done_twice(tmp_path: Path, python: str) -> None:
    arguments = mini(tmp_path)
    first = table(python, *arguments)
    to, train_log = tmp_path / "t.jsonl", tmp_path / "runs" / "logs"
    while not (to.is_file() and len(list(train_log.glob("*.log"))) == 2):  # in its second run
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    before = lines.read(to)
    second = table(python, *arguments)
    said = second.communicate(timeout=600)[0]
    assert second.returncode == 0, said
    found = lines.read(to)
    assert found[: len(before)] == before
    assert [(one["recipe"], one["kind"]) for one in found] == [
        ("one", "grid"), ("one", "grid"), ("one", "run"), ("two", "run"),
    ]  # fmt: skip
    assert len({one["key"] for one in found}) == 4
    run = found[2]
    assert run["lr"] in (1e-3, 1e-2)
    assert 0 <= run["metric"]["low"] <= run["metric"]["value"] <= run["metric"]["high"] <= 1
    assert run["metric"]["n"] == 24
    assert run["peak_bytes"] > run["adapter_bytes"] > 0
    assert run["cpu_s"] > 0
    assert run["serving"]["p95_ms"] >= 0
    assert not list((tmp_path / "runs").glob("*/checkpoints"))
    third = table(python, *arguments)
    assert "about 0.0 s of training in all" in third.communicate(timeout=100)[0]
    assert json.dumps(lines.read(to)) == json.dumps(found)
    shown = table(python, *arguments, "--show").communicate(timeout=100)[0]
    assert shown.count("| one |") == shown.count("| two |") == 1


# What is kept in the README and shipped ---------------------------------------------------------

KEPT = ROOT / "finetune" / "table.jsonl"


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_keeps_the_table_as_it_was_measured(name: str) -> None:
    """Else put what `python -m finetune table --show` prints between the two comments."""
    text = (ROOT / name).read_text(encoding="utf-8")
    kept = text.partition("<!-- finetune table -->\n")[2].partition("\n<!-- end -->")[0]
    assert kept == page.markdown(lines.read(KEPT))


@pytest.mark.parametrize(
    ("shipped", "name", "least"),
    [("sst2", "sst2-full", 0.885), ("banking77", "banking77-lora8", 0.915)],
)
def test_a_shipped_config_is_a_recipe_that_reached_what_was_asked(
    shipped: str, name: str, least: float
) -> None:
    config = load(TrainConfig, ROOT / "finetune" / "configs" / f"{shipped}.yaml")
    queue = recipes.read(ROOT / "finetune" / "table.yaml")
    (recipe,) = recipes.chosen(queue, name)
    lr = recipes.best_lr(queue, recipe, lines.read(KEPT))
    assert lr is not None
    job = recipes.runs(queue, recipe, lr, ROOT)[0]
    assert config.model_copy(update={"run": job.config.run}) == job.config
    (row,) = [row for row in lines.rows(lines.read(KEPT)) if row.recipe == name]
    assert row.metric.n == 3
    assert row.metric.mean >= least
