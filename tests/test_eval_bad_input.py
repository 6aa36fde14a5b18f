"""Bad input to `python -m eval`: a sentence, status 2, and what was finished is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.core.errors import guarded
from app.core.files import sha256_file
from app.models import openai_chat, openai_server
from app.support.chat import SupportChat
from eval import report
from eval.__main__ import app
from eval.samples import Sample, Scored
from eval.task import Task
from tests.helpers_eval import evaluated, file_data, register, toy, wrong_on
from tests.helpers_openai import FakeOpenAI, serving


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


Typed = Callable[..., Done]


@pytest.fixture
def typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Typed:
    """`python -m eval ...` in this process, with a cache of its own."""
    monkeypatch.setenv("FRONTDESK_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Done:
        monkeypatch.setattr("sys.argv", ["eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            guarded(app)
        code = left.value.code
        return Done(int(code or 0), *capsys.readouterr())

    return run


def write(file: Path, *rows: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


# Data

DOCS = [{"id": "cost", "title": "Delivery cost", "text": "Delivery within the EU costs €4.90."}]
ASKED = {"id": "q1", "text": "what does delivery cost", "gold": ["cost"]}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.pdf", b"%PDF-1.7", "expected .csv, .jsonl or .parquet (optionally .gz), found .pdf"),
        ("a.csv", b"", "a.csv holds no rows"),
        ("a.csv", b"text,label\n", "a.csv holds no rows"),
        ("a.csv", b"text,lable\nfine,positive\n", "no column 'label' for 'label'. Did you mean"),
        ("a.csv", b"text,label\nfine,positive,1\n", "a.csv:2: expected 2 columns as in the header"),
        ("a.csv", b"text,label\ncaf\xe9,positive\n", "a.csv:2: not UTF-8 (byte 0xe9)"),
        ("a.csv", b"text,label\nfine,\n", "no labelled rows"),
        ("a.csv", b"text,label\nfine,fabulous\n", "the data has the labels fabulous; the class"),
        ("a.jsonl", b'{"text": "fine", "label"\n', "a.jsonl:1: not JSON"),
        ("a.jsonl", b'[{"text": "fine"}]\n', "a.jsonl:1: expected an object, found list"),
        ("a.csv.gz", b"text,label\n", "a.csv.gz: not a whole gzip file"),
        ("a.parquet", b"PAR1", "a.parquet: not a parquet file"),
    ],
)
def test_data_of_another_format_is_named_with_its_line(
    typed: Typed, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = typed("run", "sentiment", "--model", "scripted", "--data", f"file:{tmp_path / name}")
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert sentence in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("docs", "queries", "sentence"),
    [
        (DOCS, [], "queries.jsonl holds no rows"),
        ([], [ASKED], "docs.jsonl holds no rows"),
        (DOCS, [ASKED | {"gold": ["ghost"]}], "queries.jsonl:1: gold names no document: ghost"),
        (DOCS, [ASKED | {"gold": "cost"}], "queries.jsonl:1: expected a list of article ids"),
        (DOCS, [ASKED, ASKED], "two samples have the id 'q1'"),
        (DOCS, [ASKED | {"text": " "}], "queries.jsonl:1: expected text in 'text', found ' '"),
        ([{"id": 1, "text": "x"}], [ASKED], "docs.jsonl:1: expected text in 'id', found 1"),
    ],
)
@pytest.mark.parametrize("task", ["support", "retrieval"])
def test_a_corpus_that_does_not_hold_together_is_named(
    typed: Typed, tmp_path: Path, task: str, docs: list[Any], queries: list[Any], sentence: str
) -> None:
    write(tmp_path / "shop" / "docs.jsonl", *docs)
    write(tmp_path / "shop" / "queries.jsonl", *queries)
    done = typed("run", task, "--model", "scripted", "--data", f"file:{tmp_path / 'shop'}")
    assert done.status == 2
    assert sentence in done.err
    assert done.err.count("\n") == 1


def test_data_of_another_kind_is_no_corpus(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nfine,positive\n")
    for task in ("support", "retrieval"):
        ref = f"file:{tmp_path / 'a.csv'}"
        done = typed("run", task, "--model", "scripted", "--data", ref)
        assert (done.status, "expected a folder" in done.err) == (2, True)


def test_an_unknown_task_is_refused_before_the_known_ones_run(typed: Typed) -> None:
    done = typed("run", "sentiment", "sentimen", "--model", "scripted")
    assert (done.status, done.out) == (2, "")
    assert "no task 'sentimen'. Did you mean 'sentiment'?" in done.err


def test_a_task_that_cannot_run_does_not_lose_the_results_of_the_others(
    typed: Typed, tmp_path: Path
) -> None:
    done = typed(
        "run", "recommend", "sentiment", "retrieval", "--model", "scripted",
        "--data", "demo:reviews#test", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.status == 2
    assert "error: recommend: " in done.err
    assert "not evaluated: recommend, retrieval" in done.err
    assert report.read(tmp_path / "out" / "sentiment").report.n > 100
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["sentiment"]


# NaN


def nan_on(*ids: str, where: str = "score") -> Task:
    """The toy task, with a number that is none on these samples."""

    def score(sample: Sample, said: str | None) -> Scored:
        found = TOY.score(sample, said)
        wrong = math.nan if said is not None and sample.id in ids else 0.5
        if where == "score":
            return found._replace(scores={**found.scores, "confidence": wrong})
        return found._replace(prediction={**found.prediction, "confidence": [wrong]})

    return replace(TOY, score=score)


TOY = toy(wrong_on(), {"model": {"ref": "org/base", "sha256": "b"}})


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("score", "InputError: the score confidence is nan: expected a finite number"),
        ("prediction", "InputError: the prediction holds a number that is not finite"),
    ],
)
def test_a_sample_that_scores_nan_counts_as_failed(
    tmp_path: Path, where: str, sentence: str
) -> None:
    data = file_data(tmp_path)
    found = evaluated(nan_on("s3", where=where), tmp_path / "out", data=data)
    assert found.failed == ["s3"]
    assert found.value("accuracy").value == pytest.approx(39 / 40)
    (failed,) = [row for row in rows(tmp_path / "out") if row.get("error")]
    assert failed["error"] == sentence


def test_a_model_that_gives_nan_for_everything_is_no_report(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, nan_on(*(f"s{i}" for i in range(40))))
    done = typed("run", "toy", "--data", file_data(tmp_path), "--out", tmp_path / "out")
    assert done.status == 2
    assert "all 40 samples of" in done.err
    assert "the score confidence is nan" in done.err
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_scorer_that_breaks_on_an_output_fails_that_sample(tmp_path: Path) -> None:
    def score(sample: Sample, said: str | None) -> Scored:
        if sample.id == "s3" and said is not None:
            raise KeyError("text of the sample")
        return TOY.score(sample, said)

    found = evaluated(replace(TOY, score=score), tmp_path / "out", data=file_data(tmp_path))
    assert found.failed == ["s3"]
    assert [row["error"] for row in rows(tmp_path / "out") if row.get("error")] == ["KeyError"]


# Reports


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reports one and two over 40 samples, short over 30 of them, and a policy."""
    register(monkeypatch, TOY)
    data = file_data(tmp_path)
    for name, limit in (("one", None), ("two", None), ("short", 30)):
        evaluated(TOY, tmp_path / name, data=data, limit=limit)
    (tmp_path / "policy.yaml").write_text(
        "tasks: {toy: {metric: accuracy, margin: 0.1, min_n: 9}}\n", encoding="utf-8"
    )
    return tmp_path


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / report.SAMPLES).read_text().splitlines()]


@pytest.mark.parametrize("command", ["compare", "gate"])
@pytest.mark.parametrize("which", ["report.json", "samples.jsonl"])
def test_a_report_cut_in_half_is_a_sentence(
    typed: Typed, reports: Path, command: str, which: str
) -> None:
    file = reports / "one" / which
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    done = typed(command, reports / "one", reports / "two")
    assert done.status == 2
    assert which in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("command", ["compare", "gate"])
def test_reports_over_different_samples_are_not_compared(
    typed: Typed, reports: Path, command: str
) -> None:
    policy = ("--policy", reports / "policy.yaml") if command == "gate" else ()
    done = typed(command, reports / "one", reports / "short", *policy)
    assert done.status == 2
    assert "not over the same samples: 10 are in one only" in done.err


@pytest.mark.parametrize("command", ["compare", "gate"])
@pytest.mark.parametrize("which", ["report.json", "samples.jsonl"])
def test_nan_in_a_report_is_a_sentence_even_under_a_right_seal(
    typed: Typed, reports: Path, command: str, which: str
) -> None:
    folder = reports / "one"
    tree = json.loads((folder / "report.json").read_text())
    lines = rows(folder)
    if which == "report.json":
        tree["metrics"][0]["value"] = math.nan
    else:
        lines[0]["scores"]["accuracy"] = math.nan
    write(folder / "samples.jsonl", *lines)
    tree["samples_sha256"] = sha256_file(folder / "samples.jsonl")
    (folder / "report.json").write_text(json.dumps(tree))
    done = typed(command, folder, reports / "two")
    assert done.status == 2
    assert which in done.err
    assert "finite number" in done.err


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("tasks: {toy: {metric: acuracy, margin: 0.1, min_n: 9}}", "no metric 'acuracy'. Did you"),
        ("tasks: {other: {metric: accuracy, margin: 0.1, min_n: 9}}", "no policy for task toy"),
        ("tasks: [", "is not YAML in UTF-8"),
        ("", "expected a mapping of keys"),
    ],
)
def test_a_policy_that_does_not_hold_is_a_sentence(
    typed: Typed, reports: Path, policy: str, sentence: str
) -> None:
    (reports / "policy.yaml").write_text(policy)
    done = typed(
        "gate", reports / "one", reports / "two", "--policy", reports / "policy.yaml"
    )  # fmt: skip
    assert done.status == 2
    assert sentence in done.err


# A model behind a server

N = 40
"""Questions: a whole batch and a part of one."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A shop with an article and a question for each of N parcels; no weights are needed."""
    monkeypatch.setattr("app.support.build.default_encoder", lambda: "scripted")
    for bound in ("_floor", "_certain"):
        monkeypatch.setattr(SupportChat, bound, lambda *_: 0.0)
    monkeypatch.setattr(openai_chat, "STALL_S", 0.3)
    monkeypatch.setattr(openai_server, "LIST_S", 0.3)
    monkeypatch.setattr(openai_server, "_WAITS", (0.01, 0.01))
    numbers = range(N)
    docs = [{"id": f"d{n}", "text": f"Parcel P{n}00 weighs {n} kilos."} for n in numbers]
    asked = [
        {"id": f"q{n}", "text": f"how much does parcel P{n}00 weigh", "gold": [f"d{n}"],
         "facts": [f"{n} kilos"]}
        for n in numbers
    ]  # fmt: skip
    write(tmp_path / "shop" / "docs.jsonl", *docs)
    write(tmp_path / "shop" / "queries.jsonl", *asked)
    return f"file:{tmp_path / 'shop'}"


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with serving() as running:
        yield running


def question(said: dict[str, Any]) -> str:
    return str(said["messages"][-1]["content"]).rpartition("Question:")[2]


def on(number: int, fault: Callable[..., object]) -> Callable[..., bool]:
    """`fault` on one of the shop's questions, however often it is asked."""
    return lambda handler, said: f"P{number}00 " in question(said) and (fault(handler), True)[1]


def midway(end: Callable[..., object]) -> Callable[..., object]:
    def fault(handler: Any) -> None:
        handler.begin()
        handler.chunk("Parcel ")
        end(handler)

    return fault


FAULTS = {
    "hangs": (lambda handler: handler.hang(), "ServerFailed: the model server said nothing"),
    "500": (lambda handler: handler.plain(500, {}), "ServerFailed: the model server failed (500)"),
    "garbage": (midway(lambda handler: handler.line("data: {oops")), "no chunk of an OpenAI"),
    "stops midway": (midway(lambda _: None), "broke off before its answer was whole"),
    "huge line": (
        midway(lambda handler: handler.wfile.write(b"data: " + b"x" * 300_000)),
        "sent more than is read",
    ),
}


def test_a_server_is_evaluated_as_the_model_behind_it_is(
    typed: Typed, server: FakeOpenAI, shop: str, tmp_path: Path
) -> None:
    done = typed(
        "run", "support", "--model", server.ref, "--data", shop, "--out", tmp_path / "far"
    )  # fmt: skip
    assert done.status == 0
    assert 1 < server.most_open <= openai_chat.AT_ONCE  # all of them, unless the machine is busy
    assert list((tmp_path / "cache" / "samples").iterdir()) == []
    typed("run", "support", "--model", "scripted", "--data", shop, "--out", tmp_path / "near")
    assert rows(tmp_path / "far") == rows(tmp_path / "near")
    made = report.read(tmp_path / "far").report.provenance
    assert made.model == {
        "ref": server.ref, "source": "server", "name": "tiny", "reported": "acme/tiny-instruct",
    }  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_question_on_which_the_server_fails_counts_and_is_listed(
    typed: Typed, server: FakeOpenAI, shop: str, tmp_path: Path, fault: str
) -> None:
    broken, sentence = FAULTS[fault]
    server.fault = on(7, broken)
    done = typed(
        "run", "support", "--model", server.ref, "--data", shop, "--out", tmp_path / "out"
    )  # fmt: skip
    assert done.status == 0
    assert report.read(tmp_path / "out").report.failed == ["q7"]
    assert [sentence in row["error"] for row in rows(tmp_path / "out") if row.get("error")] == [
        True
    ]


def test_a_server_that_fails_on_everything_makes_no_report(
    typed: Typed, server: FakeOpenAI, shop: str, tmp_path: Path
) -> None:
    server.fault = lambda handler, _: handler.plain(500, {}) is None
    done = typed(
        "run", "support", "--model", server.ref, "--data", shop, "--out", tmp_path / "out"
    )  # fmt: skip
    # The circuit breaker opens: a server that is not there ends the run, and the next goes on.
    assert done.status == 2
    assert "the model server failed 5 times in a row" in done.err
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_server_that_goes_away_ends_the_run_and_the_next_goes_on(
    typed: Typed, server: FakeOpenAI, shop: str, tmp_path: Path
) -> None:
    command = ("run", "support", "--model", server.ref, "--data", shop, "--out", tmp_path / "out")
    server.fault = lambda handler, _: len(server.asked) > 34 and handler.hang() is None
    server.list_fault = lambda handler: len(server.asked) > 34 and handler.hang() is None
    done = typed(*command)
    assert done.status == 2
    assert f"error: no model server can be reached at {server.url}" in done.err
    assert f"32 of {N} samples are kept: the same command goes on from there" in done.err
    server.fault = lambda *_: False
    server.list_fault = lambda _: False
    server.asked.clear()
    done = typed(*command)
    assert done.status == 0
    assert f"32 of {N} samples from the cache" in done.err
    assert len(server.asked) == N - 32
    server.asked.clear()
    assert typed(*command).status == 0
    assert len(server.asked) == N  # the model behind the name may be another by now


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("openai:http://127.0.0.1:9/v1#tiny", "no model server can be reached at http://127.0"),
        ("openai:{url}#tinny", "has no model 'tinny'. Did you mean 'tiny'? It has: tiny"),
        ("openai:http://me:secret@h/v1#tiny", "expected an address without user, password"),
        ("openai:nonsense", "no model reference"),
    ],
)
def test_a_server_that_cannot_be_asked_is_found_before_any_question(
    typed: Typed, server: FakeOpenAI, shop: str, ref: str, sentence: str
) -> None:
    model = ref.format(url=server.url)
    done = typed("run", "support", "--model", model, "--data", shop)
    assert done.status == 2
    assert sentence in done.err
    assert "secret" not in done.err
    assert done.err.count("\n") == 1
    assert not server.asked


@pytest.mark.parametrize("task", ["retrieval", "recommend", "sentiment"])
def test_a_task_without_a_chat_takes_no_server(typed: Typed, task: str) -> None:
    done = typed("run", task, "--model", "openai:http://127.0.0.1:9/v1#tiny")
    assert done.status == 2
    assert "openai:http://127.0.0.1:9/v1#tiny: " in done.err
