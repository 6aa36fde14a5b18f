"""The kinds of data and how their rows are parsed; every error carries file and line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.core.config import parse
from app.core.errors import InputError, nearest
from app.core.files import sha256_text
from app.core.messages import Conversation
from app.core.records import Row, pick, read_rows, text_of

_BINARY = {"0": "negative", "1": "positive"}
OUT_OF_SCOPE = "oos"
"""The label of what belongs to no intent."""


class Labelled(NamedTuple):
    """A classification sample."""

    id: str
    text: str
    label: str


class MultiLabelled(NamedTuple):
    """A multilabel sample."""

    id: str
    text: str
    labels: tuple[str, ...]
    """Each once; empty where none applies."""


class Rated(NamedTuple):
    """A regression sample."""

    id: str
    text: str
    score: float


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
    kept = picked(rows, ("text", "label"), split, columns)
    kept = [row for row in kept if row["label"] not in (None, "")]
    if not kept:
        raise InputError(f"{rows[0]['_where']}: no labelled rows in split {split!r} of this file")
    words = _BINARY if {str(row["label"]) for row in kept} <= set(_BINARY) else {}
    return [_labelled(number, row, words) for number, row in enumerate(kept)]


def multilabelled(
    rows: list[Row], split: str | None, columns: Mapping[str, str]
) -> list[MultiLabelled]:
    """Multilabel samples; `labels` is a list, or their names with `|` between them (csv)."""
    kept = picked(rows, ("text", "labels"), split, columns)
    return [
        MultiLabelled(name_of(number, row), text_of(row, "text"), _several(row))
        for number, row in enumerate(kept)
    ]


def rated(rows: list[Row], split: str | None, columns: Mapping[str, str]) -> list[Rated]:
    """Regression samples; rows of another `split` are left out. Raises for a score that is none."""
    kept = picked(rows, ("text", "score"), split, columns)
    return [
        Rated(name_of(number, row), text_of(row, "text"), _number(row, "score"))
        for number, row in enumerate(kept)
    ]


def picked(
    rows: list[Row], required: Sequence[str], split: str | None, columns: Mapping[str, str]
) -> list[Row]:
    """Rows with our fields, those of `split` where one is asked for; at least one, or raises.

    Fields that need not be there: id and, where no split is asked for, split.
    """
    fields = dict.fromkeys(required, "required") | {"id": "optional", "split": "optional"}
    kept = pick(rows, fields, columns)
    return in_split(rows, kept, split) if split else kept


def in_split(rows: list[Row], kept: list[Row], split: str) -> list[Row]:
    """Those of `kept` that are in `split`. Raises InputError where there are none, or no splits.

    rows: as they were read, whose columns are named.
    """
    file = str(rows[0]["_where"]).rpartition(":")[0]
    if not any(row.get("split") for row in kept):
        found = ", ".join(key for key in rows[0] if not key.startswith("_"))
        raise InputError(
            f"{file}: #{split} needs a column `split` in it, found {found}; leave #{split} away "
            "to take all rows, or add the column"
        )
    chosen = [row for row in kept if row.get("split") == split]
    if not chosen:
        known = sorted({str(row["split"]) for row in kept if row.get("split")})
        hint = nearest(split, known)
        raise InputError(f"{file}: no rows in split {split!r}.{hint} There is {', '.join(known)}")
    return chosen


def name_of(number: int, row: Row, field: str = "text") -> str:
    """The row's id, or one made of its place and what it says in `field`."""
    return str(row.get("id") or sha256_text(f"{number}\0{row[field]}")[:16])


def conversation(row: Row) -> Conversation:
    """{messages, passages?} that ends with the assistant's answer. Raises with file and line."""
    if not isinstance(row.get("messages"), list):
        found = ", ".join(key for key in row if not key.startswith("_"))
        raise InputError(f"{row['_where']}: expected messages [{{role, content}}], found {found}")
    fields = {key: row[key] for key in ("messages", "passages") if row.get(key)}
    made = parse(Conversation, fields, row["_where"])
    if made.messages[-1].role != "assistant" or len(made.messages) < 2:
        raise InputError(f"{row['_where']}: expected messages that end with the assistant's answer")
    return made


def read_corpus(folder: Path) -> Corpus:
    """docs.jsonl and queries.jsonl of `folder`, and asked.jsonl where it is there, which becomes
    the documents' `questions`; a gold id that no document has is an error."""
    docs = [doc(row) for row in read_rows(folder / "docs.jsonl")]
    rows = read_rows(folder / "queries.jsonl")
    queries = [_query(row) for row in rows]
    known = _unique_ids(docs, folder / "docs.jsonl")
    for row, query in zip(rows, queries, strict=True):
        unknown = sorted(set(query.gold) - known)
        if unknown:
            raise InputError(f"{row['_where']}: gold names no document: {', '.join(unknown)}")
    asked = folder / "asked.jsonl"
    return Corpus(_with_questions(docs, asked) if asked.is_file() else docs, queries)


def _with_questions(docs: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """`docs` with the ways to ask of rows {article, says, asked}; says null: near misses."""
    ways: dict[str, list[dict[str, Any]]] = {str(article["id"]): [] for article in docs}
    for row in read_rows(file):
        if str(row.get("article")) not in ways:
            raise InputError(f"{row['_where']}: article {row.get('article')!r} is no document")
        if not isinstance(row.get("asked"), list):
            raise InputError(f"{row['_where']}: asked: expected a list of questions")
        says = row.get("says")
        own = {"says": str(says)} if says else {"answered": False}
        ways[str(row["article"])] += [{"text": text, **own} for text in row["asked"]]
    return [article | {"questions": ways[str(article["id"])]} for article in docs]


def _unique_ids(docs: Sequence[Mapping[str, Any]], file: Path) -> set[str]:
    ids = Counter(str(article["id"]) for article in docs)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise InputError(f"{file}: two documents have the id {', '.join(twice)}; make ids unique")
    return set(ids)


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


def _several(row: Row) -> tuple[str, ...]:
    """The labels of a row, each once."""
    found = row["labels"]
    names = [part.strip() for part in found.split("|")] if isinstance(found, str) else found
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise InputError(f"{row['_where']}: expected a list of 'labels', found {found!r}")
    return tuple(dict.fromkeys(str(name) for name in names if name != ""))


def _labelled(number: int, row: Row, words: Mapping[str, str]) -> Labelled:
    label = str(row["label"])
    return Labelled(name_of(number, row), text_of(row, "text"), words.get(label, label))


def doc(row: Row) -> dict[str, Any]:
    """An article with its defaults. Raises with file and line where id or text is missing."""
    text_of(row, "id")
    text_of(row, "text")
    whole = {"title": "", "lang": "en", "visibility": "public", **row}
    return {key: value for key, value in whole.items() if not key.startswith("_")}


def _query(row: Row) -> Query:
    if not isinstance(row.get("gold"), list):
        raise InputError(f"{row['_where']}: expected a list of article ids in 'gold'")
    text = text_of(row, "text")
    return Query(
        str(row.get("id") or sha256_text(text)[:16]),
        text,
        gold=_texts(row, "gold"),
        facts=_texts(row, "facts"),
        answers=_texts(row, "answers"),
        history=_history(row),
        **{k: str(row[k]) for k in ("lang", "topic", "split", "kind") if row.get(k)},
    )


def _texts(row: Row, field: str) -> tuple[str, ...]:
    found = row.get(field) or []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InputError(f"{row['_where']}: expected a list of texts in {field!r}, found {found!r}")
    return tuple(found)


def _history(row: Row) -> tuple[Mapping[str, str], ...]:
    if not row.get("history"):
        return ()
    turns = parse(Conversation, {"messages": row["history"]}, f"{row['_where']}: history")
    return tuple(turn.model_dump() for turn in turns.messages)


def _number(row: Row, field: str) -> float:
    """A finite number; NaN and infinities would spread through every sum."""
    try:
        found = float(row[field])
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"{row['_where']}: expected a number in {field!r}, found {row[field]!r}")
    return found


def _numbers(row: Row, read: Any) -> dict[str, Any]:
    try:
        return dict(read(row))
    except ValueError as error:
        raise InputError(f"{row['_where']}: expected a number: {error}") from error


def _rating(row: Row) -> dict[str, Any]:
    return {
        "user": text_of(row, "user"),
        "item": text_of(row, "item"),
        "rating": _number(row, "rating") if row.get("rating") else 1.0,
        "timestamp": int(_number(row, "timestamp")) if row.get("timestamp") else 0,
    }


def _item(row: Row) -> dict[str, Any]:
    return {
        "item": text_of(row, "item"),
        "title": row.get("title") or row["item"],
        "text": row.get("text") or "",
        "price": _number(row, "price") if row.get("price") else None,
        "category": row.get("category") or "",
        "stock": int(row["stock"]) if row.get("stock") not in (None, "") else None,
    }
