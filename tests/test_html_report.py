"""The pages of reports: self-contained, escaped, repeatable, and their plots' numbers by hand."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from app.core.files import read_json, sha256_text
from eval import curves, pages, plots, verdicts
from eval.__main__ import app
from eval.curves import Confusion, Point
from eval.markup import page, records, shown, table
from eval.measure import by_slice, measure
from eval.metrics import accuracy, recall
from eval.plots import Bar, Told
from eval.report import DataRecord, Provenance, Report, read
from eval.samples import Row, Sample
from eval.task import Data, System, Task
from tests.helpers_eval import evaluated, file_data, register, toy, wrong_on

EVIL = "<script>alert(1)</script>\"'&$x_1$ 中文"

METRICS = (accuracy.METRIC, recall.metric(5))


class Markup(HTMLParser):
    """Tags, ids, and what refers to other places."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [v or "" for n, v in attrs if n in ("src", "href", "xlink:href", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def row(name: str, right: bool, sure: float, gold: str = "yes", said: str | None = None) -> Row:
    """A classified sample."""
    label = said if said is not None else gold if right else "no"
    scores = {"accuracy": float(right), "confidence": sure}
    part = {"letter": name[0]}
    return Row(id=name, text_sha256=sha256_text(name), gold=gold, prediction={"label": label},
               scores=scores, slices=part)  # fmt: skip


def ranked(name: str, gold: Any, said: list[str]) -> Row:
    """A ranking of articles."""
    hit = float(bool(set(said) & set(gold)))
    return Row(id=name, text_sha256="x", gold=gold, prediction={"articles": said},
               scores={"mrr": hit, "recall@5": hit}, slices={})  # fmt: skip


def labelling(samples: list[Sample]) -> Task:
    """A task whose demo data are `samples`."""
    return Task(
        name="labels", summary="is the label right?", data="demo:made#test",
        metrics=METRICS, systems=(), packages=(),
        read=lambda _: Data(samples, {}), build=lambda *_: System("s", lambda _: [], {}, 1),
        score=lambda *_: pytest.fail("not asked"),
    )  # fmt: skip


def reported(rows: list[Row], ref: str = "demo:made#test", date: str = "2026-01-01") -> Report:
    """A report over `rows`."""
    metrics = [METRICS["mrr" in rows[0].scores]]
    made = Provenance(
        system="released", code="c", data=DataRecord(ref=ref, sha256="d"), command="run",
        date=date, versions={}, machine={},
    )  # fmt: skip
    return Report(
        task="labels", n=len(rows), seed=17, confidence=0.95, metrics=measure(metrics, rows, {}),
        slices=by_slice(metrics, rows, {}), failed=[], left_out=[], context={}, provenance=made,
    )  # fmt: skip


ROWS = [row(f"{'ab'[i % 2]}{i}", i % 3 > 0, 0.5 + i / 100) for i in range(40)]


def made(rows: list[Row] = ROWS, texts: dict[str, str] | None = None, **more: Any) -> str:
    """The page over `rows`."""
    task = labelling([])
    return pages.report_page(task, reported(rows, **more), rows, texts or {})


# The page ----------------------------------------------------------------------------------------


def test_a_page_needs_no_network_and_runs_no_script() -> None:
    found = Markup(made())
    assert "script" not in found.tags
    assert found.handlers == []
    assert [link for link in found.links if not link.startswith("#")] == []
    assert "://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", made())
    assert "default-src 'none'" in made()


def test_the_same_samples_give_the_same_page_provenance_apart() -> None:
    assert made() == made()
    one, two = made(date="2026-01-01"), made(date="2027-02-02")
    assert one != two
    assert one.split("Where it comes from")[0] == two.split("Where it comes from")[0]


def test_the_headline_says_value_interval_and_n_in_words() -> None:
    text = " ".join(Markup(made()).text.split())
    assert "accuracy is 65.0 %" in text
    assert "Is the label right? accuracy (the share of samples with the right label) lies" in text
    assert "by 40 samples" in text
    assert "n = 40, seed 17, intervals of 95%" in text


def test_the_weakest_slice_is_named() -> None:
    weak = [row(f"{'ab'[i % 2]}{i}", i % 2 == 0 or i % 4 == 1, 0.9) for i in range(40)]
    assert "Weakest slice: letter b, 50.0 %" in made(weak)


def test_markup_in_texts_labels_and_answers_is_shown_and_not_run() -> None:
    evil = [row(f"a{i}", False, 0.9, EVIL, f"{EVIL}{i}") for i in range(3)]
    html = made(evil, {"a0": EVIL})
    found = Markup(html)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_worst_samples_show_demo_texts_and_those_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = toy(wrong_on("s1"))
    register(monkeypatch, task)
    report = evaluated(task, tmp_path / "public", data=file_data(tmp_path))
    assert pages.texts(task, report) == {}
    pages.write_page(tmp_path / "public", task, report, read(tmp_path / "public").rows)
    html = (tmp_path / "public" / "report.html").read_text(encoding="utf-8")
    assert "Where it went worst" in html
    assert "text 1" not in html
    demo = labelling([Sample("s1", "the wording", "yes", {})])
    assert pages.texts(demo, reported(ROWS)) == {"s1": "the wording"}


def test_what_samples_do_not_carry_is_not_drawn() -> None:
    html = made([ranked(f"q{i}", ["x"], ["y", "x"]) for i in range(5)])
    assert "How far down one must look" in html
    assert "Does it know" not in html
    assert "mistaken" not in html
    assert "How far down" not in made()


def test_a_number_of_another_range_gets_a_plot_of_its_own() -> None:
    found = pages._drawn([Bar("a", 0.5, 0.4, 0.6), Bar("perplexity", 23, 20, 26)], "x")
    assert len(found) == 2


# Comparison and gate -----------------------------------------------------------------------------


def change(name: str, difference: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "a": 0.5 + difference, "b": 0.5, "difference": difference, "low": low,
            "high": high, "n": 40, "p": 0.0004, "test": "McNemar",
            "higher_is_better": True} | more  # fmt: skip


def compared(**more: Any) -> str:
    flips = [{"id": "s1", "a": 1.0, "b": 0.0, "text": EVIL}, {"id": "s2", "a": 0.0, "b": 1.0}]
    found = {
        "task": "labels", "data": "demo:made#test", "n": 40, "seed": 17, "confidence": 0.95,
        "a": "new", "b": "old", "primary": "accuracy", "flips": flips, "left_out": 0,
        "samples_sha256": {"a": "x", "b": "y"},
        "metrics": [change("accuracy", 0.2, 0.1, 0.3), change("ece", -0.1, -0.2, -0.05,
                    higher_is_better=False)],
    }  # fmt: skip
    return verdicts.comparison_page(found | more, reported(ROWS), reported(ROWS))


def test_a_comparison_says_who_is_better_and_which_samples_changed() -> None:
    html = compared()
    assert "<h1>new is better than old in accuracy</h1>" in html
    assert html.count('<span class="better">better</span>') == 2
    assert "1 worse with a" in html
    assert "1 better with a" in html
    assert "&lt; 0.001" in html
    assert "script" not in Markup(html).tags


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(-0.1, 0.1, "new and old do not differ clearly"), (-0.3, -0.1, "new is worse than old")],
)
def test_an_interval_decides_what_the_headline_says(low: float, high: float, told: str) -> None:
    assert f"<h1>{told} in accuracy</h1>" in compared(metrics=[change("accuracy", 0, low, high)])


def test_fields_that_the_page_does_not_know_are_shown_all_the_same() -> None:
    slices = [{"slice": "letter", "of": "a", "n": 20, "metrics": [change("accuracy", 0.1, 0, 0.2)]}]
    html = compared(
        metrics=[change("accuracy", 0.2, 0.1, 0.3, p_holm=0.25)], slices=slices,
        least_difference=0.071, warnings=["this set was used 9 times"],
    )  # fmt: skip
    for words in ("p holm", "0.250", "letter: a", "least difference", "0.071", "used 9 times"):
        assert words in html


def evidence(**more: Any) -> dict[str, Any]:
    rule = {"metric": "accuracy", "margin": 0.05, "alpha": 0.05, "seed": 17}
    return {"verdict": "ship", "sentence": "Ship: on accuracy it gains.", "refused": [],
            "task": "labels", "data": "demo:made#test", "metric": "accuracy", "n": 40,
            "difference": 0.1, "low": 0.02, "high": 0.18, "rule": rule, "date": "now",
            "candidate": {"system": "new"}, "baseline": {"system": "old"},
            "versions": {}} | more  # fmt: skip


def test_the_gate_shows_its_verdict_its_bound_and_what_it_grew_by() -> None:
    html = verdicts.gate_page(evidence(secondary=[{"metric": "ece", "p_holm": 0.5}]))
    assert '<h1><span class="good">Ship</span></h1>' in html
    assert "must lie right of the dashed one (-0.05)" in html
    assert "Secondary" in html
    assert "On accuracy it gains." in html


def test_a_refusal_is_shown_with_its_reasons_and_no_number() -> None:
    html = verdicts.gate_page(
        {"verdict": "block", "sentence": "Block: edited.", "refused": [EVIL], "date": "now",
         "versions": {}}
    )  # fmt: skip
    assert '<span class="bad">Block</span>' in html
    assert "&lt;script&gt;" in html
    assert "svg" not in Markup(html).tags


def test_the_commands_write_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_data(tmp_path, 200)
    for name, wrong in (("new", 10), ("old", 60)):
        identity = {"model": {"ref": "org/base", "sha256": name}}
        task = toy(wrong_on(*(f"s{i}" for i in range(wrong))), identity)
        register(monkeypatch, task)
        evaluated(task, tmp_path / name, data=data)
    policy = tmp_path / "policy.yaml"
    policy.write_text("tasks: {toy: {metric: accuracy, margin: 0.05, min_n: 100}}\n")
    sides = [str(tmp_path / "new"), str(tmp_path / "old")]
    assert CliRunner().invoke(app, ["compare", *sides]).exit_code == 0
    assert CliRunner().invoke(app, ["gate", *sides, "--policy", str(policy)]).exit_code == 0
    for name, words in (("compare", "is better than"), ("gate", ">Ship<")):
        html = (tmp_path / "new" / f"{name}.html").read_text(encoding="utf-8")
        assert words in html
        assert "<svg" in html


# Plots -------------------------------------------------------------------------------------------

TOLD = Told("a title", f"a description {EVIL}")
POINTS = [Point(0.2, 0.3, 0.1, 0.5, 10), Point(0.9, 0.8, 0.7, 0.9, 20)]
DRAWN = {
    "intervals": lambda: plots.intervals([Bar(EVIL, 0.5, 0.4, 0.6), Bar("b", 0.1, 0, 1, 1)], TOLD),
    "reliability": lambda: plots.reliability(POINTS, TOLD),
    "risk_coverage": lambda: plots.risk_coverage(POINTS, TOLD),
    "ranks": lambda: plots.ranks(POINTS, TOLD),
    "confusion": lambda: plots.confusion(Confusion([EVIL, "b"], [[1, 2], [0, 0]]), TOLD),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_told_coloured_by_the_page_and_the_same_each_time(name: str) -> None:
    svg = DRAWN[name]()
    assert svg == DRAWN[name]()
    assert svg.startswith('<svg viewBox="')
    assert "<title>a title</title><desc>a description &lt;script&gt;" in svg
    assert re.findall(r": #[0-9a-f]{6}", svg) == []
    assert "var(--ours)" in svg
    assert not {"script", "style", "image", "metadata"} & set(Markup(svg).tags)
    assert "1970" not in svg


def test_plots_of_one_page_share_no_id_unless_it_is_the_same_shape() -> None:
    html = made()
    shapes: dict[str, set[str]] = {}
    for tag, name, inside in re.findall(r'<(path|clipPath) id="([^"]+)"([^/]*/)', html):
        shapes.setdefault(f"{tag} {name}", set()).add(inside)
    assert shapes
    assert all(len(found) == 1 for found in shapes.values())
    assert set(Markup(html).ids) == {name.split()[1] for name in shapes}


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    DRAWN["ranks"]()
    assert dict(matplotlib.rcParams) == before


# Numbers of the plots, worked by hand ------------------------------------------------------------


def test_reliability_is_the_share_right_among_those_of_like_confidence() -> None:
    """0.62 and 0.65 fall into the tenth of 15 bins (0.6 to 0.667], 0.97 into the last one."""
    found = curves.reliability(np.array([0.62, 0.65, 0.97]), np.array([1.0, 0.0, 1.0]))
    assert [(p.x, p.share, p.n) for p in found] == [(pytest.approx(0.635), 0.5, 2), (0.97, 1.0, 1)]


def test_risk_counts_the_wrong_among_the_surest_and_ties_come_together() -> None:
    """Surest first: right; then a tie of one right and one wrong; then wrong."""
    sure, right = np.array([0.5, 0.9, 0.7, 0.7]), np.array([0.0, 1.0, 0.0, 1.0])
    found = curves.risk_coverage(sure, right)
    assert [(p.x, p.share, p.n) for p in found] == [
        (0.25, 0.0, 1), (0.75, pytest.approx(1 / 3), 3), (1.0, 0.5, 4)
    ]  # fmt: skip


def test_exact_bounds_are_those_of_clopper_and_pearson() -> None:
    """0 of 10: 1 - 0.025 ** 0.1 = 0.3085; 10 of 10 is its mirror; 5 of 10: 0.187 to 0.813."""
    low, high = curves.exact(np.array([0, 5, 10]), np.array([10, 10, 10]))
    assert low == pytest.approx([0, 0.1871, 0.6915], abs=1e-4)
    assert high == pytest.approx([0.3085, 0.8129, 1], abs=1e-4)


def test_confusion_counts_each_pair_and_a_failure_is_a_label_of_its_own() -> None:
    rows = [row("a", True, 1), row("b", False, 1), row("c", True, 1, "no")]
    rows.append(rows[0].model_copy(update={"prediction": {"label": None}}))
    assert curves.confusion(rows) == Confusion(
        ["(failed)", "no", "yes"], [[0, 0, 0], [0, 1, 0], [1, 1, 1]]
    )


def test_recall_by_depth_is_the_mean_share_of_gold_found() -> None:
    """First question: 0, 1, 1 of one gold item; second: 1/2, 1/2, 1 of two."""
    rows = [ranked("p", "x", ["y", "x", "z"]), ranked("q", ["x", "z"], ["x", "y", "z"])]
    assert [p.share for p in curves.ranks(rows)] == [0.25, 0.75, 1.0]


def test_cited_articles_are_no_ranking() -> None:
    quoted = Row(id="q", text_sha256="x", gold=["x"], prediction={"articles": ["x"]},
                 scores={"cited": 1.0}, slices={})  # fmt: skip
    assert curves.ranks([quoted]) == []
    assert curves.sureness([quoted]) is None
    assert curves.confusion([quoted]) is None


def test_worst_are_failures_then_the_surest_mistakes() -> None:
    failed = row("f", False, 0.1).model_copy(update={"error": "ValueError"})
    rows = [row("a", True, 0.9), row("b", False, 0.6), row("c", False, 0.8), failed]
    assert [r.id for r in curves.worst(rows, "accuracy", True)] == ["f", "c", "b"]
    assert [r.id for r in curves.worst(rows[:3], "accuracy", False)] == ["a"]
    assert curves.worst(rows[:1], "accuracy", True) == []


# Markup ------------------------------------------------------------------------------------------


def test_values_are_shown_short_and_escaped() -> None:
    assert [shown(v) for v in (0.12345, 1234.5, 3, True, None, "<b>", {"a": "<"})] == [
        "0.123", "1,234", "3", "yes", "", "&lt;b&gt;", "{&quot;a&quot;: &quot;&lt;&quot;}"
    ]  # fmt: skip
    assert "<title>&lt;b&gt;</title>" in page("<b>")


def test_records_with_other_keys_share_a_table() -> None:
    html = records([{"a": 1}, {"b_c": "x"}])
    assert "b c" in html
    assert Markup(html).tags.count("td") == 2
    assert "<table>" in table(["x"], [])


def test_the_committed_comparison_and_verdicts_have_pages() -> None:
    from app.core.files import RELEASES

    for file in sorted(RELEASES.glob("*/reports/gate.json")):
        assert "<h1>" in verdicts.gate_page(read_json(file))
