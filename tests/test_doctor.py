"""The doctor finds every planted defect, with its place, and nothing in clean data."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.errors import ConfigError, InputError
from app.core.files import read_json
from finetune.doctor import (
    CHECKS,
    before,
    chats,
    duplicates,
    examine,
    report,
    rows,
    texts,
)
from finetune.doctor.finding import LISTED, SHOWN, Diagnosis
from finetune.doctor.held_out import PENALTY, HeldOut
from finetune.runs import open_run
from tests.helpers_doctor import (
    CLEAN,
    config,
    diagnosed,
    grave,
    judged,
    labelled,
    pairs,
    rated,
    tagged,
)
from tests.helpers_doctor import chats as conversations
from tests.helpers_models import tiny_bert, tiny_gpt2, tiny_llama

TELLTALE = "zoe.quill@example.org"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random encoder."""
    return tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random chat model, whose pad token is the one that ends a turn."""
    return tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def model(bert: Path, llama: Path) -> Any:
    """Task -> a model of the right shape."""
    return lambda task: llama if task in ("sft", "preference") else bert


# clean data


@pytest.mark.parametrize("task", CLEAN)
def test_clean_data_has_no_finding_that_asks_for_anything(
    task: str, tmp_path: Path, model: Any
) -> None:
    found = diagnosed(tmp_path, task, model(task), CLEAN[task](60), CLEAN[task](30, seed=1))
    assert grave(found) == []
    assert {one.check for one in found.of("info")} <= {"template", "loss_share", "end_token"}
    assert found.rows == {"train": 60, "dev": 30, "test": 0}


def test_judged_answers_are_clean_too(tmp_path: Path, llama: Path) -> None:
    made = config(tmp_path, "preference", llama, judged(60))
    kto = made.model_copy(update={"preference": made.preference.model_copy(update={"loss": "kto"})})
    assert grave(examine(kto, quick=True)) == []


# repeated rows


def test_a_repeated_row_is_found_whatever_its_case_and_end(tmp_path: Path, bert: Path) -> None:
    clean = labelled()
    again = {**clean[3], "text": clean[3]["text"].upper().rstrip(".") + " !"}
    found = diagnosed(tmp_path, "classification", bert, [*clean, again])
    assert grave(found) == [("warning", "duplicates", 1)]
    assert found.findings[0].rows == [f"{tmp_path / 'train.jsonl'}:61"]


def test_emoticons_make_another_text(tmp_path: Path, bert: Path) -> None:
    sad_and_glad = [{"text": "hm :)", "label": "positive"}, {"text": "hm :(", "label": "negative"}]
    assert grave(diagnosed(tmp_path, "classification", bert, [*labelled(), *sad_and_glad])) == []


def test_the_same_text_with_another_label_is_a_conflict(tmp_path: Path, bert: Path) -> None:
    clean = labelled()
    found = diagnosed(tmp_path, "classification", bert, [*clean, {**clean[2], "label": "negative"}])
    assert ("warning", "conflicts", 2) in grave(found)
    conflict = next(one for one in found.findings if one.check == "conflicts")
    assert [place.rsplit(":", 1)[1] for place in conflict.rows] == ["3", "61"]


def test_scores_conflict_where_they_are_far_apart(tmp_path: Path, bert: Path) -> None:
    clean = rated()
    near, far = {**clean[2], "score": clean[2]["score"] - 0.1}, {**clean[5], "score": 2.0}
    found = diagnosed(tmp_path, "regression", bert, [*clean, near])
    assert "conflicts" not in {one.check for one in found.findings}
    found = diagnosed(tmp_path, "regression", bert, [*clean, far])
    assert ("warning", "conflicts", 2) in grave(found)


def test_a_pair_turned_about_is_a_conflict(tmp_path: Path, llama: Path) -> None:
    clean = pairs()
    turned = {**clean[0], "chosen": clean[0]["rejected"], "rejected": clean[0]["chosen"]}
    found = diagnosed(tmp_path, "preference", llama, [*clean, turned])
    assert grave(found) == [("warning", "conflicts", 2)]


def test_a_row_with_one_word_more_is_a_near_duplicate(tmp_path: Path, bert: Path) -> None:
    clean = labelled()
    longer = {**clean[7], "text": clean[7]["text"].replace("The", "The quick")}
    found = diagnosed(tmp_path, "classification", bert, [*clean, longer])
    assert grave(found) == [("warning", "near_duplicates", 1)]
    assert found.findings[0].rows[0].endswith(":61")
    held = diagnosed(tmp_path, "classification", bert, clean, [longer])
    assert ("warning", "near_leakage", 1) in grave(held)


def test_minhash_finds_the_pairs_that_comparing_all_of_them_finds() -> None:
    rng = random.Random(0)
    vocabulary = [f"w{n}" for n in range(500)]
    said = [rng.choices(vocabulary, k=20) for _ in range(150)]
    for text in said[:50]:  # copies with one word to five changed
        copy = list(text)
        for place in rng.sample(range(20), rng.randint(1, 5)):
            copy[place] = rng.choice(vocabulary)
        said.append(copy)
    sets = [duplicates._shingles(text) for text in said]
    every = {
        (i, j) for j in range(200) for i in range(j)
        if len(sets[i] & sets[j]) >= duplicates.SIMILAR * len(sets[i] | sets[j])
    }  # fmt: skip
    assert set(duplicates.similar(said)) == every
    assert 5 < len(every) < 50


# leakage


def test_one_leaking_row_in_two_hundred_is_a_warning_and_five_an_error(
    tmp_path: Path, bert: Path
) -> None:
    train, dev = labelled(300), labelled(200, seed=1)
    found = diagnosed(tmp_path, "classification", bert, train, [*dev[1:], train[0]])
    assert grave(found) == [("warning", "leakage", 1)]
    found = diagnosed(tmp_path, "classification", bert, train, [*dev[5:], *train[:5]])
    assert grave(found) == [("error", "leakage", 5)]
    assert found.findings[0].rows[0].endswith("dev.jsonl:196")
    assert "data.exclude_overlap_with" in found.findings[0].remedy


def test_thirteen_words_in_a_row_leak_and_twelve_do_not(tmp_path: Path, llama: Path) -> None:
    train, dev = conversations(), conversations(seed=1)
    shared = train[4]["messages"][1]["content"].removesuffix(".").split()
    for count, leaks in ((13, True), (12, False)):
        turn = {"role": "assistant", "content": f"Well {' '.join(shared[:count])} otherwise so."}
        planted = {"messages": [dev[0]["messages"][0], turn]}
        found = diagnosed(tmp_path, "sft", llama, train, [planted, *dev[1:]])
        assert (("error", "leakage", 1) in grave(found)) is leaks


def test_the_test_split_beside_the_training_split_is_looked_at(tmp_path: Path, bert: Path) -> None:
    train, test = labelled(60), labelled(40, seed=1)
    together = [row | {"split": "train"} for row in train]
    together += [row | {"split": "test"} for row in [*test[3:], *train[:3]]]
    made = config(tmp_path, "classification", bert, together)
    ref = made.data.train[0]

    def looked_at(**data: Any) -> Diagnosis:
        group = made.data.model_copy(update={"train": [f"{ref}#train"], **data})
        return examine(made.model_copy(update={"data": group}), quick=True)

    found = looked_at()
    assert found.rows == {"train": 60, "dev": 0, "test": 40}
    assert grave(found) == [("error", "leakage", 3)]
    left_out = looked_at(exclude_overlap_with=[f"{ref}#test"])
    assert grave(left_out) == []
    assert [(one.check, one.count) for one in left_out.findings] == [("excluded", 3)]


# labels and scores


def test_one_label_alone_is_an_error(tmp_path: Path, bert: Path) -> None:
    found = diagnosed(tmp_path, "classification", bert, labelled(names=["positive"]))
    assert ("error", "labels", 1) in grave(found)
    one_sided = [row | {"label": True} for row in judged()]
    assert ("error", "labels", 1) in grave(diagnosed(tmp_path, "preference", bert, one_sided))


def test_as_many_labels_as_rows_are_an_error(tmp_path: Path, bert: Path) -> None:
    rows_ = [row | {"label": f"id-{i}"} for i, row in enumerate(labelled())]
    assert ("error", "labels", 60) in grave(diagnosed(tmp_path, "classification", bert, rows_))
    tags = [row | {"labels": [f"{i}a", f"{i}b"]} for i, row in enumerate(tagged())]
    assert ("error", "labels", 120) in grave(diagnosed(tmp_path, "multilabel", bert, tags))


def test_a_label_that_training_lacks_is_an_error_with_the_nearest_one(
    tmp_path: Path, bert: Path
) -> None:
    dev = labelled(30, seed=1)
    dev[6]["label"] = "positiv"
    found = diagnosed(tmp_path, "classification", bert, labelled(), dev)
    assert grave(found)[0] == ("error", "unknown_labels", 1)
    assert "Did you mean 'positive'?" in found.findings[0].what
    assert found.findings[0].rows == [f"{tmp_path / 'dev.jsonl'}:7"]


def test_a_rare_label_is_a_warning(tmp_path: Path, bert: Path) -> None:
    few = [row for row in labelled(120) if row["label"] == "negative"][:3]
    found = diagnosed(
        tmp_path, "classification", bert, [*labelled(60, names=["positive"]), *few]
    )  # fmt: skip
    balance = next(one for one in found.findings if one.check == "balance")
    assert balance.severity == "warning"
    assert "60 training rows have the label 'positive', 3 have 'negative'" in balance.what


def test_scores_that_are_all_the_same_are_an_error(tmp_path: Path, bert: Path) -> None:
    same = [row | {"score": 3.0} for row in rated()]
    assert ("error", "scores", 60) in grave(diagnosed(tmp_path, "regression", bert, same))


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_or_one_is_an_error(n: int, tmp_path: Path, bert: Path) -> None:
    found = diagnosed(tmp_path, "classification", bert, labelled(n))
    assert [one.severity for one in found.findings] == ["error"]


# suspect labels


def test_replaced_labels_are_named_first_and_most_suspect_first(tmp_path: Path, bert: Path) -> None:
    clean = labelled(200)
    planted = {17, 40, 41, 90, 133, 134, 160, 199}
    other = {"positive": "negative", "negative": "positive"}
    torn = [row | {"label": other[row["label"]]} if i in planted else row
            for i, row in enumerate(clean)]  # fmt: skip
    found = diagnosed(tmp_path, "classification", bert, torn)
    assert grave(found) == [("warning", "suspect_labels", len(planted))]
    assert {int(place.rsplit(":", 1)[1]) - 1 for place in found.findings[0].rows} == planted
    assert "were found" in found.findings[0].what


@pytest.mark.parametrize("n", [200, 1500])
def test_a_score_far_from_what_the_words_say_is_suspect(tmp_path: Path, bert: Path, n: int) -> None:
    torn = [row | {"score": -row["score"]} if i == 20 else row for i, row in enumerate(rated(n))]
    found = diagnosed(tmp_path, "regression", bert, torn)
    suspect = [one for one in found.findings if one.check == "suspect_labels"]
    assert [one.rows[0].rsplit(":", 1)[1] for one in suspect] == ["21"]


def test_of_several_labels_one_too_many_and_one_too_few_are_suspect(
    tmp_path: Path, bert: Path
) -> None:
    rows = [{"text": row["text"], "labels": [row["label"]]} for row in labelled(1000)]
    planted = {5: [], 18: ["negative", "positive"], 110: ["negative", "positive"], 303: []}
    torn = [row | {"labels": planted.get(i, row["labels"])} for i, row in enumerate(rows)]
    found = diagnosed(tmp_path, "multilabel", bert, torn)
    (suspect,) = [one for one in found.findings if one.check == "suspect_labels"]
    assert {int(place.rsplit(":", 1)[1]) - 1 for place in suspect.rows} == planted.keys()
    assert [one for one in found.of("error", "warning") if one.check != "suspect_labels"] == []


def test_held_out_predictions_are_those_of_a_model_fitted_without_the_row() -> None:
    rng = np.random.default_rng(0)
    targets, meaning = rng.normal(size=(40, 3)), rng.normal(size=(40, 5)).astype(np.float32)
    model = HeldOut([row["text"] for row in labelled(40)], meaning)
    x = np.hstack([model._words.toarray(), meaning - meaning.mean(axis=0)]).astype(np.float64)
    mean, said = targets.mean(axis=0), model.predict(targets)
    for n in (0, 17, 39):
        rest = np.arange(40) != n
        gram = x[rest].T @ x[rest] + PENALTY * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[rest].T @ (targets[rest] - mean))
        np.testing.assert_allclose(said[n], mean + x[n] @ weights, atol=1e-4)


# rows that cannot be read


def test_every_unreadable_line_is_named_and_not_the_first_alone(tmp_path: Path, bert: Path) -> None:
    clean = labelled()
    made = config(tmp_path, "classification", bert, clean)
    lines = (tmp_path / "train.jsonl").read_bytes().splitlines()
    lines[4], lines[9], lines[20] = (
        b'{"text": "a", "lab',
        b'{"text": "caf\xe9", "label": "x"}',
        b"7",
    )
    lines[30], lines[31] = b'{"text": "", "label": "positive"}', b'{"text": "no label at all"}'
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(lines))
    found = examine(made, quick=True)
    assert grave(found) == [("error", "unreadable", 5)]
    assert [place.rsplit(":", 1)[1] for place in found.findings[0].rows] == [
        "5", "10", "21", "31", "32",
    ]  # fmt: skip
    assert found.rows["train"] == 55


def test_csv_rows_of_another_width_are_all_named(tmp_path: Path, bert: Path) -> None:
    made = config(tmp_path, "classification", bert, labelled())
    lines = ["text,label", *(f"{r['text']},{r['label']}" for r in labelled()), "a,b,c", "alone"]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    refs = made.data.model_copy(update={"train": [f"file:{tmp_path / 'train.csv'}"]})
    found = examine(made.model_copy(update={"data": refs}), quick=True)
    assert [place.rsplit(":", 1)[1] for place in found.findings[0].rows] == ["62", "63"]


@pytest.mark.parametrize(
    ("task", "row", "said"),
    [
        ("classification", {"texts": "a"}, "no 'text' and no 'label'"),
        ("regression", {"text": "a", "score": float("nan")}, "expected a number"),
        ("regression", {"text": "a", "score": "high"}, "expected a number"),
        ("multilabel", {"text": "a", "labels": 3}, "expected a list of 'labels'"),
        ("reader", {"question": "q", "context": "c", "answers": ["d"]}, "not in the context"),
        ("sft", {"messages": [{"role": "user", "content": "hello?"}]}, "assistant's answer"),
        ("sft", {"messages": [{"role": "boss", "content": "hello?"}]}, "boss"),
        ("sft", {"text": "a"}, "expected messages"),
        ("preference", {"prompt": [{"role": "user", "content": "q"}], "chosen": "a",
                        "rejected": "a"}, "the same answer"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_its_task_is_named_with_its_line(
    task: str, row: dict[str, Any], said: str, tmp_path: Path, model: Any
) -> None:
    clean = CLEAN[task]()
    found = diagnosed(tmp_path, task, model(task), [*clean, row])
    assert grave(found) == [("error", "unreadable", 1)]
    assert found.findings[0].rows == [f"{tmp_path / 'train.jsonl'}:{len(clean) + 1}"]
    assert said in found.findings[0].what


@pytest.mark.parametrize("task", CLEAN)
def test_data_of_another_task_is_a_finding_and_no_crash(
    task: str, tmp_path: Path, model: Any
) -> None:
    for other, make in CLEAN.items():
        if other != task:
            found = diagnosed(tmp_path, task, model(task), make(5))
            assert found.of("error")[0].check == "unreadable"


# texts and answers


def test_empty_answers_are_an_error(tmp_path: Path, llama: Path) -> None:
    torn = conversations()
    torn[3]["messages"][1]["content"] = " "
    assert grave(diagnosed(tmp_path, "sft", llama, torn)) == [("error", "empty_answers", 1)]


def test_an_answer_that_stops_in_mid_sentence_is_found(tmp_path: Path, llama: Path) -> None:
    torn = conversations()
    said = torn[8]["messages"][1]["content"]
    torn[8]["messages"][1]["content"] = said.rsplit(" ", 3)[0]
    assert grave(diagnosed(tmp_path, "sft", llama, torn)) == [("warning", "cut_answers", 1)]
    for row in torn:
        row["messages"][1]["content"] = row["messages"][1]["content"].rstrip(".")
    assert grave(diagnosed(tmp_path, "sft", llama, torn)) == []  # a style, not an accident


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Je ne suis pas du tout content de la commande, elle est arrivée avec du retard", "fr"),
        ("Ich bin mit der Lieferung nicht zufrieden und das Paket ist auch kaputt", "de"),
        ("Не могу найти свой заказ", "ru"),
        ("注文した商品がまだ届きません", "ja"),
        ("水壶漏水了，可以退货吗？", "zh"),
        ("Give 'em hell, give 'em hell, give 'em hell!", "en"),
        ("I ordered the Château d'Yquem from El Corte Inglés on the Rue de la Paix.", "en"),
        ("👍👍", "en"),
    ],
)
def test_languages_are_told_by_script_and_frequent_words(text: str, name: str) -> None:
    assert texts.language_of(text) == name


def test_a_row_in_a_language_of_nobody_is_found(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    french = {"text": "Je ne suis pas du tout content de la commande", "label": "negative"}
    chinese = {"text": "水壶漏水了，太糟糕了", "label": "negative"}
    rows_ = [*labelled(), french, chinese]
    found = diagnosed(tmp_path, "classification", bert, rows_)
    assert grave(found) == [("warning", "language", 1)]
    monkeypatch.setenv("FRONTDESK_BRIEF", str(tmp_path / "none.yaml"))  # then the majority counts
    assert ("warning", "language", 2) in grave(
        diagnosed(tmp_path, "classification", bert, rows_)
    )  # fmt: skip


def test_personal_data_is_counted_by_type_and_never_shown(tmp_path: Path, llama: Path) -> None:
    torn = conversations()
    torn[5]["messages"][1]["content"] += f" Write to {TELLTALE} or call +44 7700 900123."
    found = diagnosed(tmp_path, "sft", llama, torn)
    assert grave(found) == [("warning", "personal_data", 1)]
    assert "1 EMAIL, 1 PHONE" in found.findings[0].what
    assert "<EMAIL>" in found.findings[0].examples[0].text
    torn[0] = torn[5]
    whole = diagnosed(tmp_path, "sft", llama, torn)  # the rendered example too
    assert TELLTALE not in json.dumps(whole.as_json()) + report.text(whole)


# tokens


def test_texts_beyond_max_tokens_are_cut_and_their_loss_is_told(tmp_path: Path, bert: Path) -> None:
    rows_ = labelled()
    rows_[3]["text"] += " kettle" * 300
    found = diagnosed(tmp_path, "classification", bert, rows_)
    assert grave(found) == [("warning", "too_long", 1)]
    assert "of all tokens is lost" in found.findings[0].what


def test_chats_beyond_max_tokens_are_left_out_or_none_is_left(tmp_path: Path, llama: Path) -> None:
    torn = conversations()
    torn[3]["messages"][0]["content"] += " and a kettle" * 300
    assert grave(diagnosed(tmp_path, "sft", llama, torn, max_tokens=512)) == [
        ("warning", "too_long", 1)
    ]
    found = diagnosed(tmp_path, "sft", llama, torn, max_tokens=9)
    assert ("error", "too_long", 40) in grave(found)
    assert "no training row fits" in found.findings[0].what


def test_the_example_shows_the_template_with_the_tokens_that_carry_loss(
    tmp_path: Path, llama: Path
) -> None:
    clean = conversations()
    found = diagnosed(tmp_path, "sft", llama, clean)
    shown = next(one.exhibit for one in found.findings if one.check == "template")
    asked_, answer = (turn["content"] for turn in clean[0]["messages"])
    assert shown == (
        f"<|im_start|>user\n{asked_}<|im_end|>\n<|im_start|>assistant\n⟦{answer}<|im_end|>\n⟧"
    )


def test_loss_carrying_tokens_are_those_that_trl_trains_on(tmp_path: Path, llama: Path) -> None:
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from app.models.loading import causal_model

    made = config(tmp_path, "sft", llama, conversations(4))
    case = rows.read(made)
    ours = chats.rendered_rows(case)
    from datasets import Dataset

    features = [chats._sft(case, row.sample) for row in ours]
    args = SFTConfig(output_dir=str(tmp_path), report_to="none", use_cpu=True, bf16=False,
                     activation_checkpointing=False)  # fmt: skip
    trainer = SFTTrainer(
        model=causal_model(llama, "float32"), args=args, processing_class=case.tokenizer,
        train_dataset=Dataset.from_list(features),
    )  # fmt: skip
    for row, theirs in zip(ours, trainer.train_dataset, strict=True):
        assert row.ids == theirs["input_ids"]
        learnt = [-100 if not c else i for i, c in zip(row.ids, row.carries, strict=True)]
        assert learnt == theirs["labels"]


def test_little_loss_is_a_warning(tmp_path: Path, llama: Path) -> None:
    long = conversations()
    for row in long:
        row["messages"][0]["content"] += " and so on" * 250
        row["messages"][1]["content"] = "Yes."
    found = diagnosed(tmp_path, "sft", llama, long, max_tokens=1024)
    assert "loss_share" in {check for _, check, _ in grave(found)}


def changed(source: Path, target: Path, **tokenizer: Any) -> Path:
    """A copy of a model whose tokenizer has other attributes."""
    import shutil

    from transformers import AutoTokenizer

    shutil.copytree(source, target)
    loaded = AutoTokenizer.from_pretrained(source)
    for name, value in tokenizer.items():
        setattr(loaded, name, value)
    loaded.save_pretrained(target)
    return target


def test_a_template_that_never_ends_an_answer_is_an_error(tmp_path: Path, llama: Path) -> None:
    endless = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    broken = changed(llama, tmp_path / "endless", chat_template=endless)
    found = diagnosed(tmp_path, "sft", broken, conversations())
    assert grave(found) == [("error", "end_token", 40)]
    assert "'<|im_end|>'" in found.findings[0].what


def test_an_end_token_that_is_none_of_the_template_is_an_error(tmp_path: Path, llama: Path) -> None:
    other = changed(llama, tmp_path / "other", eos_token="<|endoftext|>")
    (other / "generation_config.json").unlink()  # it would name the right one
    assert ("error", "end_token", 40) in grave(diagnosed(tmp_path, "sft", other, conversations()))


def test_a_pad_token_that_ends_answers_is_told_and_where_the_loss_loses_it_an_error(
    tmp_path: Path, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = diagnosed(tmp_path, "sft", llama, conversations())
    assert [one.severity for one in found.findings if one.check == "end_token"] == ["info"]
    own = changed(llama, tmp_path / "own", pad_token="<|endoftext|>")
    found = diagnosed(tmp_path, "sft", own, conversations())
    assert "end_token" not in {one.check for one in found.findings}

    from trl.trainer import sft_trainer

    class MasksByPad(sft_trainer.DataCollatorForLanguageModeling):  # as transformers' own does
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            batch = super().__call__(*args, **kwargs)
            batch["labels"][batch["input_ids"] == self.pad_token_id] = -100
            return batch

    monkeypatch.setattr(sft_trainer, "DataCollatorForLanguageModeling", MasksByPad)
    found = diagnosed(tmp_path, "sft", llama, conversations())
    assert grave(found) == [("error", "end_token", 40)]


def test_a_model_without_a_chat_template_is_an_error(tmp_path: Path) -> None:
    plain = tiny_gpt2(tmp_path / "gpt2")
    assert grave(diagnosed(tmp_path, "sft", plain, conversations())) == [("error", "template", 40)]


def test_without_the_model_its_tokens_are_not_looked_at_and_that_is_told(tmp_path: Path) -> None:
    found = diagnosed(tmp_path, "classification", Path("nobody/nothing"), labelled())
    assert [(one.severity, one.check) for one in found.findings] == [("info", "not_checked")]
    found = diagnosed(tmp_path, "sft", Path("nobody/nothing"), conversations())
    assert [one.check for one in found.findings] == ["not_checked"]  # once, not for each check


# what is said, and before a run


def test_json_is_stable_and_lists_every_place(tmp_path: Path, bert: Path) -> None:
    clean = labelled()
    found = diagnosed(tmp_path, "classification", bert, [*clean, *clean[:10]])
    said = found.as_json()
    assert list(said) == ["schema", "task", "ok", "counts", "rows", "seconds", "findings"]
    assert said["ok"] is True
    assert said["counts"] == {"error": 0, "warning": 1, "info": 0}
    (one,) = said["findings"]
    assert list(one) == ["check", "severity", "count", "of", "what", "remedy", "examples", "rows",
                         "exhibit"]  # fmt: skip
    assert (one["count"], one["of"], len(one["rows"]), len(one["examples"])) == (10, 70, 10, SHOWN)
    assert LISTED >= 1000
    assert json.loads(json.dumps(said)) == said


def test_every_finding_carries_the_name_of_a_check(tmp_path: Path, bert: Path) -> None:
    clean = labelled()
    torn = [*clean, clean[0], {**clean[1], "label": "negative"}]
    found = diagnosed(tmp_path, "classification", bert, torn, [*clean[:5], {"text": 3}])
    assert {one.check for one in found.findings} <= {*CHECKS, "not_checked"}
    assert all(one.remedy for one in found.of("error", "warning"))


def test_an_accepted_error_is_a_warning_and_an_unknown_name_is_refused(
    tmp_path: Path, bert: Path
) -> None:
    rows_ = labelled()
    found = diagnosed(tmp_path, "classification", bert, rows_, rows_, accept=["leakage"])
    assert grave(found) == [("warning", "leakage", 60)]
    with pytest.raises(ConfigError, match=r"no check 'leakige'\. Did you mean 'leakage'"):
        diagnosed(tmp_path, "classification", bert, rows_, accept=["leakige"])


def test_an_error_stops_a_run_with_its_findings_and_a_warning_does_not(
    tmp_path: Path, bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows_ = labelled()
    made = config(tmp_path, "classification", bert, rows_, rows_)
    with (
        open_run(made, resume=False) as run,
        pytest.raises(InputError, match="13 words in a row with training rows: 60 of 60"),
    ):
        before.check(made, run)
    assert "error    leakage" in capsys.readouterr().err
    assert read_json(made.folder / "doctor.json")["ok"] is False
    fine = config(tmp_path, "classification", bert, [*rows_, rows_[0]])
    with open_run(fine, resume=False) as run:
        before.check(fine, run)
        assert "warning  duplicates" in capsys.readouterr().out
        before.check(fine, run)  # as a resumed run does
        assert capsys.readouterr().out == ""
    assert read_json(fine.folder / "doctor.json")["counts"]["warning"] == 1
