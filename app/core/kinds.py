"""The kinds of data and how their rows are parsed; every error carries file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from app.core.errors import InputError
from app.core.files import sha256_text
from app.core.records import Row, pick, read_rows, text_of

_BINARY = {"0": "negative", "1": "positive"}


class Labelled(NamedTuple):
    """A classification sample."""

    id: str
    text: str
    label: str


class Query(NamedTuple):
    """A question with its gold articles; empty gold means that no article answers it."""

    id: str
    text: str
    gold: tuple[str, ...]
    facts: tuple[str, ...] = ()
    """Facts that a right answer states; spellings of one fact are separated by `|`."""
    answers: tuple[str, ...] = ()
    history: tuple[Mapping[str, str], ...] = ()
    lang: str = "en"
    topic: str = ""
    split: str = "test"
    kind: str = "plain"


class Corpus(NamedTuple):
    """Articles {id, text, title, lang, visibility, ...} and questions over them."""

    docs: list[dict[str, Any]]
    queries: list[Query]


class Interactions(NamedTuple):
    """Who took what, and the items."""

    ratings: list[dict[str, Any]]
    """{user, item, rating: float (1.0 where absent), timestamp: int (0 where absent)}."""
    items: list[dict[str, Any]]
    """{item, title, text, price, category, stock}; empty where there is no items.csv."""


def labelled(rows: list[Row], split: str | None, columns: Mapping[str, str]) -> list[Labelled]:
    """Classification samples; sentiment's 0 / 1 become negative / positive.

    Rows of another `split` and rows with an empty label (3-star reviews) are left out.
    """
    fields = {"text": "required", "label": "required", "id": "optional", "split": "optional"}
    kept = [row for row in pick(rows, fields, columns) if row["label"] not in (None, "")]
    if split and any("split" in row for row in kept):
        kept = [row for row in kept if row.get("split") == split]
    if not kept:
        raise InputError(f"{rows[0]['_where']}: no labelled rows in split {split!r} of this file")
    words = _BINARY if {str(row["label"]) for row in kept} <= set(_BINARY) else {}
    return [_labelled(number, row, words) for number, row in enumerate(kept)]


def read_corpus(folder: Path) -> Corpus:
    """docs.jsonl and queries.jsonl of `folder`; a gold id that no document has is an error."""
    docs = [_doc(row) for row in read_rows(folder / "docs.jsonl")]
    rows = read_rows(folder / "queries.jsonl")
    known = {doc["id"] for doc in docs}
    for row in rows:
        unknown = set(row.get("gold") or ()) - known
        if unknown:
            raise InputError(f"{row['_where']}: gold names no document: {', '.join(unknown)}")
    return Corpus(docs, [_query(row) for row in rows])


def split_of(found: Corpus, split: str) -> Corpus:
    """`found` with the queries of one split. Raises InputError listing the splits."""
    kept = [query for query in found.queries if query.split == split]
    if not kept:
        known = ", ".join(sorted({query.split for query in found.queries}))
        raise InputError(f"no queries in split {split!r}; there is {known}")
    return Corpus(found.docs, kept)


def read_interactions(
    ratings: list[Row], items: list[Row], columns: Mapping[str, str]
) -> Interactions:
    """Parsed ratings and items."""
    fields = {
        "user": "required",
        "item": "required",
        "rating": "optional",
        "timestamp": "optional",
    }
    parsed = [_numbers(row, _rating) for row in pick(ratings, fields, columns)]
    return Interactions(parsed, [_numbers(row, _item) for row in items])


def title_split(title: str) -> str:
    """squad2_small by article title: sha256 mod 10 is 0-5 train, 6 dev, 7-9 test."""
    bucket = int(hashlib.sha256(title.encode()).hexdigest(), 16) % 10
    return "train" if bucket <= 5 else "dev" if bucket == 6 else "test"


def read_squad(folder: Path) -> Corpus:
    """squad2_small: a paragraph is a document; the answers are spellings of one fact."""
    docs = [
        _doc({"_where": "", "id": str(row["context_id"]), "text": row["context"]})
        for row in read_rows(folder / "dev_contexts.jsonl.gz")
    ]
    return Corpus(docs, [_squad(row) for row in read_rows(folder / "dev_questions.jsonl.gz")])


def read_stackfaq(folder: Path) -> Corpus:
    """stackfaq: a thread is a document, its question the title; paraphrases ask for it."""
    docs, queries = [], []
    for row in read_rows(folder / "threads.jsonl"):
        name, text = str(row["thread"]), "\n\n".join(row["answers"])
        docs.append(_doc({"_where": "", "id": name, "title": row["question"], "text": text}))
        queries += [
            Query(f"{name}-{n}", asked, (name,), topic=name)
            for n, asked in enumerate(row["paraphrases"])
        ]
    return Corpus(docs, queries)


def _labelled(number: int, row: Row, words: Mapping[str, str]) -> Labelled:
    text, label = text_of(row, "text"), str(row["label"])
    name = str(row.get("id") or sha256_text(f"{number}\0{text}")[:16])
    return Labelled(name, text, words.get(label, label))


def _doc(row: Row) -> dict[str, Any]:
    text_of(row, "id")
    text_of(row, "text")
    doc = {"title": "", "lang": "en", "visibility": "public", **row}
    return {key: value for key, value in doc.items() if not key.startswith("_")}


def _query(row: Row) -> Query:
    if not isinstance(row.get("gold"), list):
        raise InputError(f"{row['_where']}: expected a list of article ids in 'gold'")
    text = text_of(row, "text")
    return Query(
        str(row.get("id") or sha256_text(text)[:16]),
        text,
        gold=tuple(row["gold"]),
        facts=tuple(row.get("facts") or ()),
        answers=tuple(row.get("answers") or ()),
        history=tuple(row.get("history") or ()),
        **{k: str(row[k]) for k in ("lang", "topic", "split", "kind") if row.get(k)},
    )


def _squad(row: Row) -> Query:
    gold = () if row["is_impossible"] else (str(row["context_id"]),)
    answers = tuple(dict.fromkeys(row["answers"]))
    facts = ("|".join(answers),) if answers else ()
    title = row["title"]
    return Query(
        row["id"], row["question"], gold, facts, answers, topic=title, split=title_split(title),
        kind="plain" if gold else "unanswerable",
    )  # fmt: skip


def _numbers(row: Row, parse: Any) -> dict[str, Any]:
    try:
        return dict(parse(row))
    except ValueError as error:
        raise InputError(f"{row['_where']}: expected a number: {error}") from error


def _rating(row: Row) -> dict[str, Any]:
    return {
        "user": text_of(row, "user"),
        "item": text_of(row, "item"),
        "rating": float(row.get("rating") or 1.0),
        "timestamp": int(float(row.get("timestamp") or 0)),
    }


def _item(row: Row) -> dict[str, Any]:
    return {
        "item": text_of(row, "item"),
        "title": row.get("title") or row["item"],
        "text": row.get("text") or "",
        "price": float(row["price"]) if row.get("price") else None,
        "category": row.get("category") or "",
        "stock": int(row["stock"]) if row.get("stock") not in (None, "") else None,
    }
