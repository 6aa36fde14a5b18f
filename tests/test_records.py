"""Rows are read with file and line in every error, and data references name what exists."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from app.core import data, fingerprints, kinds, language, public_sets, records
from app.core.errors import InputError
from app.core.files import atomic_path, read_json, write_text


def test_csv_and_gzipped_jsonl_give_the_same_rows(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", 'text,label\n"good, really",1\n')
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as stream:
        stream.write(json.dumps({"text": "good, really", "label": "1"}) + "\n")
    found = [records.read_rows(tmp_path / name)[0] for name in ("a.csv", "a.jsonl.gz")]
    assert [(row["text"], row["label"]) for row in found] == [("good, really", "1")] * 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{oops\n', r"a.jsonl:2: not JSON"),
        ("a.jsonl", b"[1]\n", r"a.jsonl:1: expected an object, found list"),
        ("a.csv", b"text,label\none\n", r"a.csv:2: expected 2 columns"),
        ("a.csv", b"text,label\ncaf\xe9,1\n", r"a.csv:2: not UTF-8 .*0xe9"),
        ("a.csv", b"text,label\n", r"a.csv holds no rows"),
        ("a.jsonl", b"", r"a.jsonl holds no rows"),
        ("a.csv.gz", b"no gzip", r"a.csv.gz: not a whole gzip file"),
        ("a.parquet", b"nope", r"a.parquet: not a parquet file"),
        ("a.xml", b"<a/>", r"expected .csv, .jsonl"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        records.read_rows(tmp_path / name)


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write_text(tmp_path / "train.csv", "text,label\n")
    with pytest.raises(InputError, match=r"Did you mean 'train.csv'"):
        records.read_rows(tmp_path / "trian.csv")


def test_a_wrong_column_lists_those_found(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "txt,label\nfine,1\n")
    with pytest.raises(InputError, match=r"no column 'text'.*Did you mean 'txt'.*txt, label"):
        data.classification(f"file:{tmp_path / 'a.csv'}")


def test_a_column_map_names_the_text(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "review,stars\nfine,1\nbad,0\n")
    rows = data.classification(f"file:{tmp_path / 'a.csv'}", {"text": "review", "label": "stars"})
    assert [(row.text, row.label) for row in rows] == [("fine", "positive"), ("bad", "negative")]


def test_an_empty_text_is_refused_with_its_line(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", 'text,label\n" ",1\n')
    with pytest.raises(InputError, match=r"a.csv:2: expected text in 'text'"):
        data.classification(f"file:{tmp_path / 'a.csv'}")


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("reviews", r"expected demo:NAME, data:NAME"),
        ("demo:review", r"Did you mean 'reviews'"),
        ("data:nowhere", r"has no Hub name here"),
        ("demo:support#tset", r"no queries in split 'tset'; there is dev, test, train"),
        ("file:/nowhere/at/all.csv", r"no data file"),
    ],
)
def test_a_reference_to_nothing_says_what_exists(ref: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.corpus(ref) if "support" in ref else data.classification(ref)


def test_a_gold_id_without_a_document_is_an_error(tmp_path: Path) -> None:
    write_text(tmp_path / "docs.jsonl", '{"id": "a", "text": "x"}\n')
    write_text(tmp_path / "queries.jsonl", '{"text": "q", "gold": ["b"]}\n')
    with pytest.raises(InputError, match=r"queries.jsonl:1: gold names no document: b"):
        kinds.read_corpus(tmp_path)


def test_another_split_has_another_hash() -> None:
    assert data.sha256_of("demo:support#dev") != data.sha256_of("demo:support#test")


def test_squad_is_split_by_title() -> None:
    # Pinned: int(sha256(title), 16) mod 10.
    titles = ("Normans", "Oxygen", "Steam_engine")
    assert [public_sets.title_split(title) for title in titles] == ["train", "train", "test"]


@pytest.mark.realdata
@pytest.mark.parametrize(("ref", "n"), [("data:sst2#train", 6920), ("data:sst2#test", 1821)])
def test_sst2_has_its_published_size(ref: str, n: int) -> None:
    assert len(data.classification(ref)) == n


@pytest.mark.realdata
def test_squad_and_stackfaq_read_as_corpora() -> None:
    squad, faq = data.corpus("data:squad2_small"), data.corpus("data:stackfaq")
    assert (len(squad.docs), len(squad.queries)) == (646, 6078)
    assert sum(bool(query.gold) for query in squad.queries) == 2910
    assert (len(faq.docs), len(faq.queries)) == (125, 1249)


def test_a_13_gram_is_enough_to_overlap(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(30)]
    fingerprints.write(tmp_path / "f.bin", [" ".join(words)])
    known = fingerprints.read(tmp_path / "f.bin")
    assert fingerprints.overlaps("Other words; " + " ".join(words[5:18]).upper(), known)
    assert not fingerprints.overlaps(" ".join(words[5:17]), known)


def test_a_short_text_overlaps_only_as_a_whole(tmp_path: Path) -> None:
    fingerprints.write(tmp_path / "f.bin", ["Too cold!", ""])
    known = fingerprints.read(tmp_path / "f.bin")
    assert fingerprints.overlaps("too  COLD", known)
    assert not fingerprints.overlaps("too cold today", known)
    assert not fingerprints.overlaps("...", known)


def test_a_file_of_another_kind_is_no_fingerprints_file(tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(b"anything")
    with pytest.raises(InputError, match=r"not a fingerprints file"):
        fingerprints.read(tmp_path / "f.bin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heron 壶漏水了", "zh"),
        ("Where is it?", "en"),
        ("", "en"),
        ("🙂🙂", "en"),
        ("退货 return it please", "en"),
    ],
)
def test_language_follows_the_heavier_script(text: str, expected: str) -> None:
    # One Han character counts as one Latin word.
    assert language.detect(text) == expected


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_line_of_json_may_hold_what_others_take_for_a_line_end(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "one\u2028two\x85three"}\r\n{"text": "four"}\n', encoding="utf-8")
    assert [row["text"] for row in records.read_rows(file)] == ["one\u2028two\x85three", "four"]


def test_classes_on_the_hub_are_read_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    kind = datasets.Features({"text": datasets.Value("string"),
                              "intent": datasets.ClassLabel(names=["track", "oos"])})  # fmt: skip
    table = datasets.Dataset.from_dict(
        {"text": ["where is it", "sing", "hm"], "intent": [0, 1, -1]}, features=kind
    )
    asked: list[object] = []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *a, split: asked.append((*a, split)) or table
    )
    monkeypatch.setenv("FRONTDESK_DATA", "/nowhere")
    found = data.classification("data:clinc150#dev")
    assert asked == [("clinc/clinc_oos", "plus", "validation")]
    assert [(row.text, row.label) for row in found] == [("where is it", "track"), ("sing", "oos")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"gold": "a"}, "expected a list of article ids in 'gold'"),
        ({"gold": [1]}, r"expected a list of texts in 'gold', found \[1\]"),
        ({"gold": ["a"], "facts": "30 days"}, "expected a list of texts in 'facts'"),
        ({"gold": ["a"], "history": [{"who": "me"}]}, "history: messages.0"),
        ({"gold": ["a", "ghost"]}, "gold names no document: ghost"),
    ],
)
def test_damaged_questions_name_their_line(tmp_path: Path, row: object, message: str) -> None:
    assert isinstance(row, dict)
    write_text(tmp_path / "docs.jsonl", json.dumps({"id": "a", "text": "x"}) + "\n")
    write_text(tmp_path / "queries.jsonl", json.dumps({"text": "why", **row}) + "\n")
    with pytest.raises(InputError, match=rf"queries\.jsonl:1.*{message}"):
        data.corpus(f"file:{tmp_path}")


@pytest.mark.parametrize("line", ["u,a,nan,1", "u,a,inf,1", "u,a,4,nan", "u,a,good,1"])
def test_ratings_that_are_no_numbers_are_refused(tmp_path: Path, line: str) -> None:
    write_text(tmp_path / "ratings.csv", f"user,item,rating,timestamp\n{line}\n")
    with pytest.raises(InputError, match=r"ratings\.csv:2: expected a number in"):
        data.interactions(f"file:{tmp_path}")


def test_a_split_is_looked_for_in_names_and_columns(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "text,label,split\nx,1,train\n")
    assert data.has_split(f"file:{tmp_path / 'a.csv'}#train")
    assert not data.has_split(f"file:{tmp_path / 'a.csv'}#dev")
    write_text(tmp_path / "parts" / "dev.csv", "text,label\nx,1\n")
    assert data.has_split(f"file:{tmp_path / 'parts'}#dev")
    assert not data.has_split(f"file:{tmp_path / 'parts'}#test")
    assert not data.has_split("hub:org/name#dev")


def test_json_nested_beyond_reason_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(InputError, match=r"deep\.jsonl:1: not JSON"):
        records.read_rows(path)
    with pytest.raises(InputError, match="is not JSON"):
        read_json(path)


def test_two_documents_of_one_id_are_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "docs.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n')
    write_text(tmp_path / "queries.jsonl", '{"text": "q", "gold": ["a"]}\n')
    with pytest.raises(InputError, match="two documents have the id a"):
        kinds.read_corpus(tmp_path)


def test_a_split_that_a_file_cannot_have_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label,Split\nfine,good,test\n")
    with pytest.raises(InputError, match=r"#test needs a column `split` in it, found text, label"):
        data.classification(f"file:{file}#test")
    assert len(data.classification(f"file:{file}#test", {"split": "Split"})) == 1
    file.write_text("text,label,split\nfine,good,test\n")
    with pytest.raises(InputError, match=r"no rows in split 'tset'\. Did you mean 'test'"):
        data.classification(f"file:{file}#tset")


def test_a_quote_that_is_never_closed_is_told_where_it_began(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('text,label\nfine,good\n"never,' + "closed\n" * 40_000)
    with pytest.raises(InputError, match=r"a\.csv:3: .*is a quote never closed"):
        data.classification(f"file:{file}")
