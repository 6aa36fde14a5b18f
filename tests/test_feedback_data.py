"""What users said becomes training data: only with consent, redacted, damped, and counted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from app.core.errors import InputError
from app.core.files import DEMO, read_json, write_jsonl
from app.core.messages import Conversation
from app.core.records import read_rows
from app.store.db import Store, open_store
from finetune import corrections, feedback
from finetune.__main__ import cli
from finetune.corrections import Given, Source
from finetune.feedback import build


@pytest.fixture
def no_test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is held out, so that these texts may be any."""
    monkeypatch.setattr(feedback, "TEST_SETS", {"sentiment": (), "support": ()})


def given(text: str, correction: str = "negative", **more: Any) -> Given:
    """A thumbs-down with a correction."""
    values = {"owner": "ann", "answer": "positive", "rating": -1, **more}
    return Given(text=text, correction=correction, **values)


def sentiment(*rows: Given, **options: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """(rows, counts) for sentiment."""
    built = build(rows, "sentiment", **options)
    return built.rows, built.counts


pytestmark = pytest.mark.usefixtures("no_test_sets")


def test_a_correction_and_a_thumb_up_teach_and_a_thumb_down_alone_does_not() -> None:
    rows, counts = sentiment(
        given("the lid broke"),
        given("what a lovely pot", "", answer="positive", rating=1),
        given("hm", ""),
    )
    assert rows == [
        {"text": "the lid broke", "label": "negative"},
        {"text": "what a lovely pot", "label": "positive"},
    ]
    assert counts["says_nothing_usable"] == 1
    assert (counts["given"], counts["used"]) == (3, 2)


def test_personal_data_is_replaced_and_counted() -> None:
    rows, counts = sentiment(given("broken, write to anna.berg@example.org"))
    assert rows[0]["text"] == "broken, write to <EMAIL>"
    assert counts["redacted_pieces_of_personal_data"] == 1


def test_the_same_text_counts_once_whatever_its_case() -> None:
    rows, counts = sentiment(given("The lid broke!"), given("the lid broke", owner="bob"))
    assert len(rows) == 1
    assert counts["said_before"] == 1


def test_contradictory_labels_are_dropped_all() -> None:
    rows, counts = sentiment(
        given("so small", "negative"), given("So small.", "positive", owner="bob"), given("bad")
    )
    assert [row["text"] for row in rows] == ["bad"]
    assert counts["contradicted"] == 2


def test_one_loud_user_is_damped_to_the_newest() -> None:
    loud = [given(f"bad thing number {n}") for n in range(30)]
    rows, counts = sentiment(*loud, given("fine", "positive", owner="bob"), max_per_user=5)
    assert [row["text"] for row in rows] == [
        *(f"bad thing number {n}" for n in range(25, 30)),
        "fine",
    ]
    assert counts["beyond_one_users_share"] == 25


def test_texts_of_a_test_set_never_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "TEST_SETS", {"sentiment": ("demo:reviews#test",)})
    known = next(r for r in read_rows(DEMO / "sentiment" / "reviews.jsonl") if r["split"] == "test")
    rows, counts = sentiment(given(known["text"].upper()), given("my own words"))
    assert [row["text"] for row in rows] == ["my own words"]
    assert counts["in_a_test_set"] == 1


def cited(text: str = "Refunds take 5 working days.") -> list[dict[str, str]]:
    """A citation as the store keeps it."""
    return [{"id": "refund", "title": "Refunds", "url": "/help/refund", "passage": text}]


def support(correction: str, **more: Any) -> feedback.Built:
    """The build of one support correction."""
    values = {"answer": "Soon.", "citations": cited(), **more}
    return build([given("How long do refunds take?", correction, **values)], "support")


def test_support_feedback_becomes_a_conversation_over_what_was_cited() -> None:
    history = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}]
    (row,) = support("They take 5 working days.", history=history).rows
    conversation = Conversation.model_validate(row)
    assert [m.role for m in conversation.messages] == ["user", "assistant"] * 2
    assert conversation.messages[-1].content == "They take 5 working days."
    assert [p.text for p in conversation.passages] == ["Refunds take 5 working days."]


def test_a_correction_with_a_number_that_the_passage_lacks_does_not_train() -> None:
    built = support("They take 500 days.")
    assert built.rows == []
    assert built.counts["number_not_in_the_article"] == 1


def test_a_correction_without_passages_does_not_train() -> None:
    assert support("Soon.", citations=[]).counts["cites_no_article"] == 1
    assert support("Soon.", citations=["no-such-article"]).counts["cites_no_article"] == 1


def test_scripted_support_corrections_cite_articles_of_the_shop() -> None:
    built = build(corrections.scripted(DEMO / "feedback" / "support.jsonl"), "support")
    assert len(built.rows) >= 50
    assert all(row["passages"] for row in built.rows)


def store_with_feedback(url: str) -> Store:
    """A store with three sentiment ratings, two of them with consent."""
    store = open_store(url)
    for owner, text, consent in (
        ("ann", "this lid fits nothing", True),
        ("bob", "mail me at bob@example.org, awful", True),
        ("cat", "my secret", False),
    ):
        message = store.conversations.keep_sample(owner, text, "positive", 0.9, "r1", "sentiment/1")
        store.feedback.add(owner, message, -1, correction="negative", consent=consent)
    return store


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the test's own."""
    url = f"sqlite:///{tmp_path / 'f.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def run(*arguments: str) -> str:
    """`python -m finetune feedback ARGUMENTS`; returns what it printed."""
    done = CliRunner().invoke(cli, ["feedback", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_only_consented_rows_leave_the_store(database: str, tmp_path: Path) -> None:
    store_with_feedback(database).close()
    out = tmp_path / "rows.jsonl"
    said = run("--out", str(out), "--feature", "sentiment")
    assert f"feedback from {database} (2 with consent)" in said
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows == [
        {"text": "this lid fits nothing", "label": "negative"},
        {"text": "mail me at <EMAIL>, awful", "label": "negative"},
    ]
    record = read_json(tmp_path / "rows.jsonl.json")
    assert record["counts"]["used"] == 2
    assert "my secret" not in out.read_text() + json.dumps(record)


@pytest.mark.parametrize("demo", [(), ("--demo",)])
def test_the_settings_of_a_server_name_the_database_that_is_read(
    tmp_path: Path, demo: tuple[str, ...]
) -> None:
    url = f"sqlite:///{tmp_path / 'prod.db'}"
    store_with_feedback(url).close()
    (tmp_path / "prod.yaml").write_text(f"database_url: {url}\n")
    out = tmp_path / "rows.jsonl"
    settings = ("--settings", str(tmp_path / "prod.yaml"))
    said = run("--out", str(out), "--feature", "sentiment", *settings, *demo)
    assert f"feedback from {url} (2 with consent)" in said
    assert len(out.read_text().splitlines()) == 2


def test_an_empty_store_trains_on_nothing_and_says_what_to_do(
    database: str, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    with pytest.raises(InputError, match=r"expected at least one .* found none") as refused:
        run("--out", str(out), "--feature", "sentiment")
    assert refused.value.message.startswith(f"{database} holds no sentiment feedback with consent")
    for way in ("--settings", "DATABASE_URL", "--source", "--demo"):
        assert way in refused.value.message
    assert not out.exists()


def test_the_password_of_the_database_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://shop:hidden@db/shop"
    empty = SimpleNamespace(
        engine=SimpleNamespace(url=make_url(url)),
        feedback=SimpleNamespace(consented=lambda _: []),
        close=lambda: None,
    )
    monkeypatch.setattr(corrections, "open_store", lambda _: empty)
    with pytest.raises(InputError) as refused:
        corrections.gathered("sentiment", Source())
    assert "postgresql+psycopg://shop:***@db/shop" in refused.value.message


@pytest.mark.parametrize("more", [("--demo",), ("--settings", "prod.yaml")])
def test_a_file_beside_a_database_or_the_demo_is_refused(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    noise = DEMO / "feedback" / "sentiment_noise.jsonl"
    with pytest.raises(InputError, match=r"leave --settings and --demo out, or --source"):
        run("--out", str(tmp_path / "x"), "--feature", "sentiment", "--source", str(noise), *more)


def test_an_empty_store_says_so_and_takes_the_synthetic_corrections_of_the_demo(
    database: str, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    said = run("--out", str(out), "--feature", "sentiment", "--demo")
    assert "200 synthetic corrections" in said
    assert f"{database} holds no sentiment feedback with consent" in said
    assert len(out.read_text().splitlines()) > 150
    assert "synthetic" in read_json(tmp_path / "rows.jsonl.json")["source"]
    assert "@example" not in out.read_text()


def test_a_scripted_file_can_be_named(tmp_path: Path) -> None:
    noise = DEMO / "feedback" / "sentiment_noise.jsonl"
    out = tmp_path / "rows.jsonl"
    said = run("--out", str(out), "--feature", "sentiment", "--source", str(noise))
    assert "sentiment_noise.jsonl" in said


def test_scripted_rows_without_consent_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write_jsonl(path, [{"text": "bad", "correction": "negative", "consent": False}])
    assert corrections.scripted(path) == []


@pytest.mark.parametrize(
    ("header", "row"), [("comment,category", "too small,negative"), ("text,label", "bad,negative")]
)
def test_a_file_of_other_columns_says_which_it_has_and_which_it_should(
    tmp_path: Path, header: str, row: str
) -> None:
    (tmp_path / "train.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(InputError, match=r"expected .*text .*correction and consent") as refused:
        corrections.scripted(tmp_path / "train.csv")
    assert f"found {header.replace(',', ', ')}. " in refused.value.message
    assert "{" not in refused.value.message


def test_consent_is_read_from_csv_as_it_is_meant(tmp_path: Path) -> None:
    lines = ("text,correction,consent", "one,negative,true", "two,negative,false",
             "three,negative,", "four,negative,Yes")  # fmt: skip
    (tmp_path / "f.csv").write_text("\n".join(lines) + "\n")
    assert [g.text for g in corrections.scripted(tmp_path / "f.csv")] == ["one", "four"]


def test_a_file_in_which_nobody_consents_says_so(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write_jsonl(path, [{"text": "bad", "correction": "negative", "consent": False}])
    with pytest.raises(InputError, match=r"s\.jsonl can be trained on: none has consent"):
        run("--out", str(tmp_path / "x"), "--feature", "sentiment", "--source", str(path))


def test_a_scripted_row_without_correction_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write_jsonl(path, [{"text": "bad", "consent": True}])
    with pytest.raises(InputError, match=r"s\.jsonl:1: expected text in 'correction', found None"):
        corrections.scripted(path)


def test_nothing_to_train_on_is_an_error_with_the_counts_and_writes_nothing(tmp_path: Path) -> None:
    built = build([given("hm", "")], "sentiment")
    said = r"no row of x can be trained on: 1 given, 1 says nothing usable$"
    with pytest.raises(InputError, match=said):
        feedback.write(tmp_path / "out.jsonl", "sentiment", "x", built)
    assert list(tmp_path.iterdir()) == []
