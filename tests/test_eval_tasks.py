"""The tasks: what they read and score, that they call the product, and what a failure costs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.data import corpus
from app.core.errors import InputError, Mismatch
from app.core.files import sha256_file, write_json
from app.core.release import ADAPTER_FILE, Calibration, Engine, Release
from app.knowledge import ranker
from app.sentiment.classifier import PROMPT_VERSION, Prediction, ScriptedSentiment
from app.support.chat import Answer, Citation, SupportChat
from eval import unseen
from eval.samples import Sample
from eval.tasks import TASKS, support
from eval.tasks.support import Turn
from tests.helpers_eval import (
    assert_failing_never_pays,
    prepared,
    rows_of,
    run,
    values,
    write_lines,
)

WITHOUT_WEIGHTS = ("sentiment", "retrieval", "support", "recommend", "safety")
"""Tasks on demo data whose scripted system needs no weights; the others have tests of their own."""


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_every_task_runs_on_its_demo_data_without_weights(name: str) -> None:
    found = run(name, model="scripted", limit=12)
    assert found.report.n == 12
    assert found.report.failed == []
    assert TASKS[name].metrics[0].name in values(found)
    assert all(0 <= value <= 1 for value in values(found).values())


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_a_failure_is_never_better_than_any_answer(name: str) -> None:
    assert_failing_never_pays(prepared(name, model="scripted", limit=20))


def test_the_code_of_a_task_covers_the_product_it_calls() -> None:
    parts = {name: task.code_parts for name, task in TASKS.items()}
    for name, package in (("sentiment", "app/sentiment"), ("support", "app/support")):
        assert {"app/core", "app/models", package, f"eval/tasks/{name}.py"} <= set(parts[name])
    assert "app/knowledge" in parts["support"]
    assert "eval/metrics/ece.py" in parts["sentiment"]
    assert "eval/metrics/ece.py" not in parts["support"]


# sentiment


def test_sentiment_asks_the_classifier_and_keeps_its_labels(tmp_path: Path) -> None:
    texts = {"good": "a lovely film", "bad": "a dull mess", "hard": "not what I hoped for"}
    file = tmp_path / "texts.jsonl"
    write_lines(file, [{"id": i, "text": t, "label": "positive"} for i, t in texts.items()])
    found = run("sentiment", model="scripted", data=f"file:{file}")
    said = ScriptedSentiment().predict(list(texts.values()))
    rows = found.rows
    assert [row.prediction["label"] for row in rows] == [p.label for p in said]
    assert values(found)["accuracy"] == pytest.approx(
        sum(p.label == "positive" for p in said) / 3, abs=1e-6
    )


def test_the_base_of_sentiment_learns_a_head_from_the_train_split_alone(tmp_path: Path) -> None:
    words = {"positive": "warm lovely", "negative": "stale dull"}
    rows = [
        {"text": f"{said} tea number {i}", "label": label, "split": split}
        for split, n in (("train", 20), ("test", 8))
        for label, said in words.items()
        for i in range(n)
    ]
    write_lines(tmp_path / "rows.jsonl", rows)
    found = run(
        "sentiment", system="base", model="scripted", data=f"file:{tmp_path}/rows.jsonl#test"
    )
    assert values(found)["accuracy"] == 1.0
    made = found.report.provenance
    assert (made.system, found.report.n) == ("base", 16)
    assert "logistic regression on file:" in made.settings["head"]
    assert made.settings["head"].endswith("#train")


def test_sentiment_is_sliced_by_language_and_length(tmp_path: Path) -> None:
    texts = ["good", "很好喝", "good " * 11, "good " * 26]
    file = tmp_path / "texts.jsonl"
    write_lines(file, [{"text": text, "label": "positive"} for text in texts])
    rows = run("sentiment", model="scripted", data=f"file:{file}").rows
    assert [row.slices["length"] for row in rows] == ["short", "short", "medium", "long"]
    assert [row.slices["language"] for row in rows] == ["en", "zh", "en", "en"]


def test_labels_that_the_classifier_cannot_say_are_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"text": "x", "label": "mixed"}])
    with pytest.raises(InputError, match="labels mixed; the classifier knows negative, positive"):
        run("sentiment", model="scripted", data=f"file:{tmp_path / 'a.jsonl'}")


def test_a_wrong_prediction_keeps_its_confidence_for_calibration() -> None:
    sample = Sample("x", "text", "positive", {})
    said = Prediction("negative", 0.9, {"negative": 0.9, "positive": 0.1}, False)
    scored = TASKS["sentiment"].score(sample, said)
    assert scored.scores == {"accuracy": 0.0, "confidence": 0.9}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: an untrained adapter on a tiny BERT, with run.json beside it."""
    import torch

    from app.models import adapters
    from app.models.classifier import build
    from app.models.lora import attach_lora
    from app.models.references import resolve
    from tests.helpers_models import tiny_bert

    folder = tmp_path_factory.mktemp("runs") / "one"
    weights = resolve(str(tiny_bert(tmp_path_factory.mktemp("base"))))
    torch.manual_seed(3)
    labels = ["negative", "positive"]
    model, _ = build(weights, labels)
    card = adapters.Card(
        kind="classifier", base=weights.record(), prompt_version=PROMPT_VERSION, labels=labels
    )
    sha256 = adapters.save(attach_lora(model, rank=4), folder / "adapter", card)
    record = {"labels": labels, "calibration": {"temperature": 2.0}, "adapter_sha256": sha256}
    write_json(folder / "run.json", record)
    return folder


def test_an_adapter_is_evaluated_with_what_its_run_recorded(run_folder: Path) -> None:
    made = run("sentiment", adapter=run_folder / "adapter", limit=8).report.provenance
    assert made.system == "lora"
    assert made.adapter is not None
    assert made.adapter["sha256"] == sha256_file(run_folder / "adapter" / ADAPTER_FILE)
    assert made.settings["temperature"] == 2.0
    assert made.model is not None
    assert made.model["file"] == "model.safetensors"
    assert made.prompt is not None
    assert made.prompt["version"] == PROMPT_VERSION


def test_an_adapter_that_its_run_did_not_save_is_refused(run_folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    file = copy / "adapter" / ADAPTER_FILE
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(Mismatch, match=r"has sha256 .* its run saved"):
        run("sentiment", adapter=copy / "adapter", limit=8)


def test_a_swapped_label_map_is_refused(run_folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    record = json.loads((copy / "run.json").read_text(encoding="utf-8"))
    write_json(copy / "run.json", record | {"labels": record["labels"][::-1]})
    with pytest.raises(Mismatch, match="labels"):
        run("sentiment", adapter=copy / "adapter", limit=8)


# retrieval


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """Three articles, one of them translated, and questions of every sort."""
    docs = [
        {"id": "cost", "title": "Delivery cost", "text": "Delivery within the EU costs €4.90."},
        {"id": "cost-zh", "title": "邮费", "text": "欧盟境内邮费是4.90欧元。", "lang": "zh",
         "same_as": "cost"},
        {"id": "time", "title": "Delivery time", "text": "Parcels to Norway take 5 to 7 days."},
    ]  # fmt: skip
    queries = [
        {"id": "q1", "text": "what does delivery cost", "gold": ["cost"], "facts": ["€4.90|4.90"]},
        {"id": "q2", "text": "邮费多少", "gold": ["cost"], "facts": ["4.90"], "lang": "zh"},
        {"id": "q3", "text": "do you rent bicycles", "gold": [], "kind": "unanswerable"},
    ]
    write_lines(tmp_path / "shop" / "docs.jsonl", docs)
    write_lines(tmp_path / "shop" / "queries.jsonl", queries)
    return f"file:{tmp_path / 'shop'}"


def test_retrieval_asks_the_answerable_and_counts_a_translation_as_the_article(shop: str) -> None:
    found = run("retrieval", model="scripted", system="bm25", data=shop)
    rows = rows_of(found)
    assert sorted(rows) == ["q1", "q2"]
    assert rows["q2"].prediction["articles"][0] == "cost"  # found as cost-zh
    assert values(found)["recall@1"] == 1.0


def test_retrieval_over_data_without_gold_is_refused(shop: str) -> None:
    file = Path(shop.removeprefix("file:")) / "queries.jsonl"
    write_lines(file, [{"id": "q", "text": "anything", "gold": []}])
    with pytest.raises(InputError, match="no question has a gold article"):
        run("retrieval", model="scripted", data=shop)


def test_a_gold_article_that_does_not_exist_is_named(shop: str) -> None:
    file = Path(shop.removeprefix("file:")) / "queries.jsonl"
    write_lines(file, [{"id": "q", "text": "anything", "gold": ["ghost"]}])
    with pytest.raises(InputError, match=r"queries\.jsonl:1: gold names no document: ghost"):
        run("retrieval", model="scripted", data=shop)


# support


def answer(text: str, *cited: str, declined: bool = False, near: Sequence[str] = ()) -> Turn:
    citations = [Citation(c, f"Title of {c}", "/", "Delivery costs €4.90.") for c in cited]
    finish = "declined" if declined else "stop"
    said = Answer(text, citations, declined, 0.5, "en", finish, ["replaced: x"], "model", "r")
    return Turn(said, list(cited), list(near))


def question(shop: str, name: str) -> Sample:
    return next(s for s in TASKS["support"].read(shop).samples if s.id == name)


def scores(shop: str, name: str, said: Turn | None) -> dict[str, float]:
    return dict(TASKS["support"].score(question(shop, name), said).scores)


def test_a_right_answer_with_its_article(shop: str) -> None:
    assert scores(shop, "q1", answer("It costs €4.90.", "cost")) == {
        "unanswerable": 0, "declined": 0, "answered": 1, "gold_fact_recall": 1,
        "cited": 1, "gold_articles": 1, "cited_gold": 1, "reached_gold": 1,
        "unsupported": 0, "wrong": 0, "wrong_unhedged": 0, "hedged": 0,
        "unsupported_numbers": 0, "unsupported_dates": 0, "unsupported_names": 0,
        "said": 0, "kept": 0,
    }  # fmt: skip


def test_a_wrong_answer_from_the_wrong_article(shop: str) -> None:
    found = scores(shop, "q1", answer("It costs €9.90.", "time"))
    assert (found["gold_fact_recall"], found["cited_gold"]) == (0, 0)
    assert (found["unsupported"], found["wrong_unhedged"]) == (1, 1)


def test_an_article_that_is_only_offered_is_in_reach_and_the_answer_wrong_all_the_same(
    shop: str,
) -> None:
    found = scores(shop, "q1", answer("It costs €9.90.", "time", near=["cost"]))
    assert (found["reached_gold"], found["cited_gold"], found["wrong_unhedged"]) == (1, 0, 1)
    declined = scores(shop, "q1", answer("Sorry.", declined=True, near=["cost"]))
    assert declined["reached_gold"] == 1


def test_a_wrong_answer_under_the_right_article_is_hedged(shop: str) -> None:
    found = scores(shop, "q1", answer("Not much.", "cost"))
    assert (found["gold_fact_recall"], found["wrong_unhedged"]) == (0, 0)


def test_a_declined_question_states_and_cites_nothing(shop: str) -> None:
    # The words of a refusal are no answer, whatever facts they hold.
    found = scores(shop, "q1", answer("Sorry, not even 4.90.", "cost", declined=True))
    assert (found["declined"], found["answered"]) == (1, 0)
    assert (found["gold_fact_recall"], found["cited"], found["wrong_unhedged"]) == (0, 0, 0)


def test_answering_the_unanswerable_is_wrong_and_unhedged(shop: str) -> None:
    found = scores(shop, "q3", answer("Yes, we do.", "cost"))
    assert (found["unanswerable"], found["declined"], found["wrong_unhedged"]) == (1, 0, 1)
    assert "gold_fact_recall" not in found  # it has no facts to recall


def test_declining_the_unanswerable_is_right(shop: str) -> None:
    found = scores(shop, "q3", answer("I could not find that.", declined=True))
    assert (found["unanswerable"], found["declined"], found["wrong_unhedged"]) == (1, 1, 0)


def test_support_asks_the_chat_and_sees_the_translation_as_the_article(shop: str) -> None:
    found = run("support", model="scripted", system="quote", data=shop)
    row = rows_of(found)["q2"]
    if not row.scores["declined"]:
        assert row.prediction["articles"] == ["cost"]
        assert row.scores["cited_gold"] == 1
    assert found.report.n == 3
    assert "text" not in row.prediction  # one's own data: words become a hash
    assert row.prediction["text_sha256"]


def test_the_demo_keeps_what_was_answered_and_says_what_it_ran_on() -> None:
    found = run("support", model="scripted", system="base", limit=5)
    assert all(row.prediction["text"] for row in found.rows)
    made = found.report.provenance
    assert made.system == "base"
    assert made.model is not None
    assert made.model["ref"] == "scripted"
    assert made.prompt is not None
    assert made.prompt["version"].startswith("support")
    assert made.options == {"mode": "model", "max_new_tokens": 160}


def test_the_base_models_prompt_can_be_named_and_only_its(shop: str) -> None:
    made = run("support", model="scripted", prompt="support-copy/1", data=shop).report.provenance
    assert made.prompt is not None
    assert made.prompt["version"] == "support-copy/1"
    with pytest.raises(InputError, match="--prompt is for system base; quote has its own"):
        run("support", model="scripted", system="quote", prompt="support-copy/1", data=shop)
    with pytest.raises(InputError, match="task retrieval takes no --prompt"):
        run("retrieval", model="scripted", prompt="support-copy/1", data=shop)


def test_without_options_the_released_system_is_asked(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.models.references import resolve

    base = resolve("scripted").record()
    release = Release(
        feature="support", id="support-7", created="2026-01-01T00:00:00Z", mode="quote",
        base=base, encoder=base, prompt_version="support/1",
        calibration={"thresholds": {"answer": 0.0}},
        engines=[Engine(engine="transformers", dtype="float32")],
    )  # fmt: skip
    release.save(tmp_path / "releases" / "support")
    monkeypatch.setenv("FRONTDESK_RELEASES", str(tmp_path / "releases"))
    made = run("support", data=shop).report.provenance
    assert (made.system, made.release) == ("released", "support-7")
    assert Calibration(**made.settings).thresholds == {"answer": 0.0}  # as promote reads it
    assert made.encoder is not None
    assert made.encoder["sha256"] == base.sha256
    assert made.model == made.encoder


# recommend


@pytest.fixture
def orders(tmp_path: Path) -> str:
    """Four customers: two like tea, one coffee, and one who bought a single thing."""
    rows = [
        ("ann", "pot", 1), ("ann", "tea", 2), ("ann", "cup", 3), ("ann", "tea", 9),
        ("bob", "tea", 1), ("bob", "pot", 2), ("bob", "cup", 3),
        ("cat", "mill", 1), ("cat", "beans", 2),
        ("dan", "tea", 5),
    ]  # fmt: skip
    folder = tmp_path / "orders"
    folder.mkdir()
    with (folder / "ratings.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("user", "item", "timestamp"), *rows])
    return f"file:{folder}"


def test_the_last_new_item_is_held_out_and_not_learnt_from(orders: str) -> None:
    data = TASKS["recommend"].read(orders)
    # ann bought tea again at 9: her last new item is the cup.
    assert {s.id: s.gold for s in data.samples} == {"ann": "cup", "bob": "cup", "cat": "beans"}
    learnt = {(row["user"], row["item"]) for row in data.source.ratings}
    assert not learnt & {("ann", "cup"), ("bob", "cup"), ("cat", "beans")}
    assert {("ann", "tea"), ("dan", "tea")} <= learnt


def test_the_whole_catalogue_is_ranked_without_what_one_has(orders: str) -> None:
    found = run("recommend", model="scripted", system="popular", data=orders)
    rows = rows_of(found)
    assert set(rows["ann"].prediction["items"]) == {"cup", "mill", "beans"}
    assert found.report.context["catalogue"] == ["beans", "cup", "mill", "pot", "tea"]


def test_ratings_below_four_are_not_taken_for_liking(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    lines = ["user,item,rating,timestamp", "u,a,5,1", "u,b,4,2", "u,c,2,3", "v,a,3,1"]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = TASKS["recommend"].read(f"file:{folder}")
    assert [(s.id, s.gold) for s in data.samples] == [("u", "b")]


def test_customers_with_one_item_alone_leave_nothing_to_hold_out(tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "ratings.csv").write_text("user,item\nu,a\nv,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="no customer took two different items"):
        TASKS["recommend"].read(f"file:{folder}")


def test_histories_are_sliced_by_their_length(orders: str) -> None:
    rows = rows_of(run("recommend", model="scripted", system="popular", data=orders))
    assert {name: row.slices["history"] for name, row in rows.items()} == dict.fromkeys(
        ("ann", "bob", "cat"), "short"
    )


# public data


@pytest.mark.parametrize(
    ("ref", "known"),
    [("data:stackfaq", True), ("data:squad2_small#test", True), ("demo:support#test", False),
     ("data:sst2#test", False)],
)  # fmt: skip
def test_the_ranker_learnt_from_two_public_sets_and_not_from_the_demos_test(
    ref: str, known: bool
) -> None:
    assert unseen.learnt(ref) is known


def test_a_question_is_put_to_the_ranker_that_never_saw_its_document(shop: str) -> None:
    sample = question(shop, "q1")
    chat = SupportChat.of_system("quote", corpus(shop).docs, model="scripted")
    before = chat.knowledge.fitted.order
    made = support._of_fold(chat, unseen.fold(sample))
    assert made.knowledge.fitted.order == ranker.without(sample.source)
    assert chat.knowledge.fitted.order is before


@pytest.mark.realdata
def test_squad_leaves_no_words_of_its_own_in_the_report() -> None:
    found = run(
        "support", model="scripted", system="quote", data="data:squad2_small#test", limit=40
    )
    assert "answer_f1" in values(found)
    assert not [row for row in found.rows if "text" in row.prediction]
    kept = "\n".join(row.model_dump_json() for row in found.rows)
    data = TASKS["support"].read("data:squad2_small#test")
    asked = [s for s in data.samples if s.id in rows_of(found)]
    assert not [s.text for s in asked if s.text in kept]


@pytest.mark.realdata
def test_sst2_and_stackfaq_and_movielens_are_read() -> None:
    assert len(TASKS["sentiment"].read("data:sst2#test").samples) == 1821
    assert len(TASKS["retrieval"].read("data:stackfaq").samples) > 1000
    assert len(TASKS["recommend"].read("data:ml-latest-small").samples) > 500
