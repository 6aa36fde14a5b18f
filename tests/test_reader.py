"""Answers copied out of a passage: windows, spans, scores, training, and what is served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from app.core import data, spans
from app.core.errors import ConfigError, InputError, Mismatch
from app.core.files import read_json, sha256_file, write_jsonl
from app.core.questions import Question
from app.core.release import ADAPTER_FILE, Calibration, Engine, Release
from app.models import reader as readers
from app.models.encoder import HashEncoder
from app.models.loading import tokenizer
from app.models.references import resolve
from app.models.windows import padded, windows
from app.support.chat import SupportChat
from eval import chats
from eval.task import Request
from finetune import answering
from finetune.calibrate import answer_threshold
from finetune.tasks import reader
from tests.helpers_models import tiny_bert, tiny_gpt2, tiny_llama
from tests.helpers_train import OLD_NAMES, StopAfter, config, reviews, train

pytestmark = pytest.mark.filterwarnings(OLD_NAMES)
PASSAGE = "Returns are free within 30 days. Refunds take 5 working days. Orders ship free."


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT whose tokenizer puts [CLS] and [SEP] where BERT's does."""
    folder = tiny_bert(tmp_path_factory.mktemp("bert"))
    made = tokenizer(folder)
    special = [(name, made.convert_tokens_to_ids(name)) for name in ("[CLS]", "[SEP]")]
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    made.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(bert: Path) -> Any:
    """Its tokenizer."""
    return tokenizer(bert)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are quicker, and the same each time, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def asked(path: Path, n: int = 24) -> Path:
    """A reader's file: how long something takes, which every third passage does not say."""
    rows = []
    for i in range(n):
        days = f"{i + 2} working days"
        context = f"{f'Refunds take {days}' if i % 3 else 'Orders ship free'}. Returns are free."
        rows.append({"question": "How long do refunds take?", "context": context,
                     "answers": [days] if i % 3 else []})  # fmt: skip
    write_jsonl(path, rows)
    return path


# windows and spans


def test_windows_hold_the_whole_passage_and_overlap(loaded: Any) -> None:
    made = windows(loaded, "how long?", PASSAGE, max_tokens=16)
    assert len(made) > 2
    assert all(len(window.input_ids) <= 16 for window in made)
    whole = loaded(PASSAGE, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    seen = [[o for o, c in zip(w.offsets, w.candidates, strict=True) if c] for w in made]
    assert {tuple(o) for part in seen for o in part} == set(whole)
    assert all(set(one) & set(two) for one, two in pairwise(seen))


def test_a_long_question_is_cut_and_leaves_room_for_the_passage(loaded: Any) -> None:
    made = windows(loaded, "how long do refunds take " * 40, PASSAGE, max_tokens=32)
    assert all(any(window.candidates) for window in made)
    assert sum(made[0].candidates) > 16


def test_neither_question_nor_separators_can_be_an_answer(loaded: Any) -> None:
    [window] = windows(loaded, "how long?", PASSAGE)
    told = [i for i, c in zip(window.input_ids, window.candidates, strict=True) if c]
    assert told == loaded(PASSAGE, add_special_tokens=False)["input_ids"]
    assert window.input_ids[0] == loaded.cls_token_id


def test_the_best_span_is_the_best_pair_in_order_within_bounds() -> None:
    logits = torch.zeros(1, 5, 2)
    logits[0, 0] = 0.5
    logits[0, 3, 0], logits[0, 1, 1] = 9.0, 9.0  # an end before its start
    logits[0, 2, 0], logits[0, 4, 1] = 3.0, 2.0
    logits[0, 3, 1] = -20.0
    [[score, start, end]] = readers.best_spans(logits).tolist()
    assert (score, start, end) == (9.0 + 2.0 - 1.0, 3, 4)


def test_a_span_is_never_longer_than_the_bound() -> None:
    width = readers.MAX_ANSWER + 5
    logits = torch.zeros(1, width, 2)
    logits[0, 1, 0], logits[0, width - 1, 1] = 9.0, 9.0
    [[score, start, end]] = readers.best_spans(logits).tolist()
    assert end - start < readers.MAX_ANSWER
    assert score == 9.0


def test_the_place_of_an_answer_is_its_first_and_last_token(loaded: Any) -> None:
    row = Question("1", "how long?", PASSAGE, ("5 working days",))
    [window] = windows(loaded, row.question, PASSAGE)
    first, last = reader._place(row, window)
    assert PASSAGE[window.offsets[first][0] : window.offsets[last][1]] == "5 working days"
    assert reader._place(row._replace(answers=()), window) == (0, 0)


def test_a_window_that_cuts_the_answer_holds_none(loaded: Any) -> None:
    row = Question("1", "how long?", PASSAGE, (PASSAGE,))
    made = windows(loaded, row.question, PASSAGE, max_tokens=20)
    assert {reader._place(row, window) for window in made} == {(0, 0)}


def test_padding_changes_no_logit(bert: Path) -> None:
    model, loaded = readers.build(resolve(str(bert)))
    model.eval()
    short, long = (windows(loaded, "free?", text)[0] for text in ("Orders ship free.", PASSAGE))
    with torch.inference_mode():
        alone = model(**padded([short], loaded.pad_token_id)).logits[0]
        beside = model(**padded([short, long], loaded.pad_token_id)).logits[0]
    inside = torch.isfinite(alone)
    assert torch.allclose(alone[inside], beside[: len(alone)][inside], atol=1e-5)
    assert not torch.isfinite(beside[len(alone) :]).any()


def test_a_model_that_reads_one_way_or_has_no_cls_is_refused(tmp_path: Path) -> None:
    for make in (tiny_gpt2, tiny_llama, tiny_bert):
        weights = resolve(str(make(tmp_path / make.__name__)))
        with pytest.raises(InputError, match=r"a reader needs a BERT-shaped model"):
            readers.build(weights)


# scores


def test_declining_is_right_where_the_passage_does_not_say() -> None:
    golds: list[tuple[str, ...]] = [("red kite",), ("red kite", "kites"), (), ()]
    rows = [Question(str(n), "?", "a red kite", gold) for n, gold in enumerate(golds)]
    best = np.array([3.0, 2.0, 1.0, -1.0])
    found = answering.scores(rows, ["the Red kite", "red", "kite", "kite"], best, 0.5)
    assert found == pytest.approx(
        {"exact_match": 2 / 4, "f1": (1 + 2 / 3 + 0 + 1) / 4, "answer_f1": (1 + 2 / 3) / 2,
         "refusal_recall": 1 / 2}
    )  # fmt: skip


def test_the_answer_threshold_is_half_way_below_where_answering_brings_most() -> None:
    scores = np.array([2.0, 5.0, 3.0, 4.0])
    said, silent = np.array([1.0, 1.0, 0.0, 0.5]), np.array([0.0, 0.0, 1.0, 0.0])
    assert answer_threshold(scores, said, silent) == 3.5
    assert answer_threshold(scores, np.zeros(4), np.ones(4)) > 5.0  # never to answer
    tied = np.array([5.0, 4.0, 4.0])  # the last two are answered both or neither
    assert answer_threshold(tied, np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])) == 4.5


def test_the_best_of_the_windows_answers_the_question(loaded: Any) -> None:
    rows = [Question("1", "free?", PASSAGE, ()), Question("2", "long?", "Refunds take 5 days.", ())]
    made = answering.cut(rows, loaded, 20)
    first = [n for n, owner in enumerate(made.owners) if owner == 0]
    place = made.windows[first[1]].candidates.index(True)
    spoken = np.full((len(made.owners), 3), -np.inf)
    spoken[first[1]] = (2.0, place, place)
    spoken[first[0]] = (1.0, place, place)
    answers, best = answering.said(made, spoken)
    start, end = made.windows[first[1]].offsets[place]
    assert answers == [PASSAGE[start:end], ""]
    assert best.tolist() == [2.0, -np.inf]


# a run, and what it leaves


@pytest.fixture(scope="module")
def run(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt when a passage says how long something takes."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "MIN_DEV", 10)
        return train(config(
            "reader", bert, asked(folder / "rows.jsonl"), folder, loop__max_steps=150,
            loop__global_batch=8, loop__device_batch=8, loop__eval_every=75, loop__save_every=75,
            optim__lr=2e-2,
        ))  # fmt: skip


def test_a_reader_learns_to_answer_and_to_decline(run: Path) -> None:
    record = read_json(run / "run.json")
    assert record["prompt_version"] == readers.PROMPT_VERSION
    assert record["dev"]["refusal_recall"] == 1.0
    assert record["dev"]["answer_f1"] > 0.8
    assert record["dev"]["exact_match"] > 0.6
    assert record["dev"]["n"] == 24
    assert set(record["calibration"]["thresholds"]) == {"answer"}
    assert record["best_step"] in (75, 150)


def test_the_served_reader_says_what_the_trainer_said(run: Path, bert: Path) -> None:
    record = read_json(run / "run.json")
    threshold = record["calibration"]["thresholds"]["answer"]
    served = readers.load_reader(resolve(str(bert)), run / "adapter", threshold=threshold)
    rows = data.reader(f"file:{run.parent / 'rows.jsonl'}")
    found = [served.answer(row.question, [row.context]) for row in rows]
    answers = [span.text if span else "" for span in found]
    right = [spans.exact(a, r.answers) if r.answers else float(not a)
             for a, r in zip(answers, rows, strict=True)]  # fmt: skip
    assert np.mean(right) == pytest.approx(record["dev"]["exact_match"])


def test_an_answer_names_its_passage_and_place(run: Path, bert: Path) -> None:
    served = readers.load_reader(resolve(str(bert)), run / "adapter", threshold=-1e9)
    passages = [
        "Orders ship free. Returns are free.",
        "Refunds take 4 working days. Returns are free.",
    ]
    span = served.answer("How long do refunds take?", passages)
    assert span is not None
    assert span.passage == 1
    assert passages[1][span.start : span.end] == span.text
    served.threshold = span.score + 1
    assert served.answer("How long do refunds take?", passages) is None
    assert served.answer("How long do refunds take?", []) is None
    assert served.answer("How long do refunds take?", [""]) is None


SHOP: list[dict[str, Any]] = [
    {"id": "refunds", "title": "Refunds", "text": "Refunds take 4 working days. Returns are free."},
    {"id": "orders", "title": "Orders", "text": "Orders ship free. Returns are free."},
]
LONG = "How long do refunds take?"


def test_a_chat_reads_with_the_run_that_it_is_given(run: Path, bert: Path) -> None:
    chat = SupportChat.of_system(
        "reader", SHOP, adapter=run / "adapter", model=str(bert), encoder=HashEncoder(),
        threshold=0.0, span_threshold=-1e9,
    )  # fmt: skip
    answer = chat.answer(LONG)
    assert "Refunds take 4 working days." in answer.text
    assert answer.citations[0].id == "refunds"
    assert (chat.system, chat.prompt_version) == ("reader", readers.PROMPT_VERSION)


def test_a_released_reader_is_served_as_it_was_evaluated(
    run: Path, bert: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "adapter", tmp_path, dirs_exist_ok=True)
    Release(
        feature="support", id="support-9", created="2026-01-01T00:00:00Z", mode="reader",
        base=resolve(str(bert)).record(), encoder=resolve("scripted").record(),
        adapter_sha256=sha256_file(tmp_path / ADAPTER_FILE), prompt_version=readers.PROMPT_VERSION,
        calibration=Calibration(thresholds={"answer": 0.0, "span": -1e9}),
        engines=[Engine(engine="transformers", dtype="float32")],
    ).save(tmp_path)  # fmt: skip
    chat = SupportChat.load(tmp_path, SHOP)
    assert "Refunds take 4 working days." in chat.answer(LONG).text
    assert (chat.release_id, chat.reader.threshold if chat.reader else None) == ("support-9", -1e9)
    assert set(chat.weights) == {"encoder", "model"}


def test_an_evaluation_takes_the_reader_at_the_threshold_of_its_run(run: Path, bert: Path) -> None:
    built = chats.build(Request(system="reader", adapter=run / "adapter", model=str(bert)), SHOP)
    fitted = read_json(run / "run.json")["calibration"]["thresholds"]["answer"]
    assert built.name == "reader"
    assert built.identity["settings"]["thresholds"]["span"] == fitted
    assert built.identity["prompt"]["version"] == readers.PROMPT_VERSION
    assert built.identity["adapter"]["sha256"] == sha256_file(run / "adapter" / ADAPTER_FILE)


def test_a_reader_is_no_classifier_and_the_other_way_round(
    run: Path, bert: Path, tmp_path: Path
) -> None:
    from app.models.classifier import load_classifier

    with pytest.raises(Mismatch, match="is for reader, expected a classifier's"):
        load_classifier(resolve(str(bert)), run / "adapter")
    other = train(config("classification", bert, reviews(tmp_path / "r.jsonl"), tmp_path))
    with pytest.raises(Mismatch, match="is for classifier, expected a reader's"):
        readers.load_reader(resolve(str(bert)), other / "adapter")


def test_a_stopped_run_that_is_resumed_equals_an_uninterrupted_one(
    bert: Path, tmp_path: Path
) -> None:
    path = asked(tmp_path / "rows.jsonl", 12)
    same = {"loop__max_steps": 8, "adapter__dropout": 0.2}
    whole = train(config("reader", bert, path, tmp_path / "whole", **same))
    made = config("reader", bert, path, tmp_path / "parts", **same)
    with pytest.raises(SystemExit):
        train(made, stop=StopAfter(5))
    parts = train(made, resume=True)
    shas = [sha256_file(one / "adapter" / "adapter_model.safetensors") for one in (whole, parts)]
    assert shas[0] == shas[1]
    records = [read_json(one / "run.json") for one in (whole, parts)]
    assert records[0]["dev"] == records[1]["dev"]


# the data


def rejected(tmp_path: Path, **changes: Any) -> str:
    """What is said of a second row with these changes."""
    good = {"question": "how long?", "context": "Five days.", "answers": ["Five days"]}
    write_jsonl(tmp_path / "q.jsonl", [good, good | changes])
    with pytest.raises(InputError) as error:
        data.reader(f"file:{tmp_path / 'q.jsonl'}")
    assert "q.jsonl:2: " in error.value.message
    return error.value.message


def test_an_answer_that_is_not_in_the_context_is_named_with_its_line(tmp_path: Path) -> None:
    assert "the answer 'Six days' is not in the context" in rejected(tmp_path, answers=["Six days"])
    longer = "Five days. And five nights."
    assert f"the answer '{longer}' is not in the context" in rejected(tmp_path, answers=[longer])
    assert "expected a list of texts in 'answers'" in rejected(tmp_path, answers="Five days")
    assert "expected a list of texts in 'answers'" in rejected(tmp_path, answers=[""])
    assert "expected text in 'context'" in rejected(tmp_path, context=" ")


def test_answers_are_also_read_as_the_hub_has_them(tmp_path: Path) -> None:
    row = {"question": "how long?", "context": "Five days.",
           "answers": {"text": ["Five days", "Five days"], "answer_start": [0, 0]}}  # fmt: skip
    write_jsonl(tmp_path / "q.jsonl", [row, row | {"answers": {"text": [], "answer_start": []}}])
    assert [r.answers for r in data.reader(f"file:{tmp_path / 'q.jsonl'}")] == [("Five days",), ()]


def test_windows_longer_than_the_model_reads_are_refused(bert: Path, tmp_path: Path) -> None:
    from finetune.job import Order
    from finetune.runs import RunFolder

    made = config("reader", bert, asked(tmp_path / "q.jsonl"), tmp_path, data__max_tokens=513)
    with pytest.raises(ConfigError, match=r"data.max_tokens is 513, .* reads 512 tokens at most"):
        reader.build(Order(made, RunFolder(tmp_path / "r", {}, ours=False), 1))


@pytest.mark.realdata
def test_squad_is_split_by_article_and_its_answers_are_in_their_contexts() -> None:
    parts = {name: data.reader(f"data:squad2_small#{name}") for name in ("train", "dev", "test")}
    contexts = {name: {row.context for row in rows} for name, rows in parts.items()}
    assert not contexts["train"] & (contexts["dev"] | contexts["test"])
    assert {name: len(rows) for name, rows in parts.items()} == {
        "train": 3716, "dev": 364, "test": 1998,
    }  # fmt: skip
    assert sum(not row.answers for rows in parts.values() for row in rows) == 3168
