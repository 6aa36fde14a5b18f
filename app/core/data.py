"""Data references: one string that names a data set wherever it lies, read into its kind.

    demo:NAME     written for this project, synthetic: reviews, support, orders
    data:NAME     $FRONTDESK_DATA/NAME (default ../shared/data), else its Hub name below
    file:PATH     csv, jsonl, parquet, optionally .gz; a folder for retrieval, support, interactions
    hub:ORG/NAME[:CONFIG]

`#split` picks rows: `demo:reviews#test`, `data:sst2#train`. Rows are parsed in app.core.kinds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from app.core import kinds
from app.core.errors import InputError, nearest
from app.core.files import DEMO, ROOT, sha256_text
from app.core.kinds import Corpus, Interactions, Labelled
from app.core.records import Row, read_hub, read_rows

DEMO_NAMES = {
    "reviews": DEMO / "sentiment" / "reviews.jsonl",
    "support": DEMO / "support",
    "orders": DEMO / "recommend",
}
HUB_NAMES = {
    "sst2": "SetFit/sst2",
    "squad2_small": "rajpurkar/squad_v2",
    "banking77": "PolyAI/banking77",
}
_HUB_SPLITS = {"dev": "validation"}
_SPLIT_ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
_CORPUS_READERS = {"squad2_small": kinds.read_squad, "stackfaq": kinds.read_stackfaq}
_RATING_COLUMNS = {"ml-latest-small": {"user": "userId", "item": "movieId"}}


class Ref(NamedTuple):
    """A parsed data reference."""

    scheme: str
    name: str
    split: str | None

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}" + (f"#{self.split}" if self.split else "")


def parse_ref(text: str) -> Ref:
    """`scheme:name[#split]`. Raises InputError listing the schemes."""
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in ("demo", "data", "file", "hub"):
        raise InputError(
            f"data reference {text!r}: expected demo:NAME, data:NAME, file:PATH or hub:ORG/NAME"
        )
    name, _, split = rest.partition("#")
    return Ref(scheme, name, split or None)


def data_dir() -> Path:
    """Public data sets on disk: FRONTDESK_DATA, default ../shared/data beside the checkout."""
    return Path(os.environ.get("FRONTDESK_DATA", ROOT.parent / "shared" / "data"))


def path_of(ref: Ref) -> Path | None:
    """File or folder of `ref`; None where only the Hub has it. Raises InputError for no data."""
    if ref.scheme == "file":
        return Path(ref.name).expanduser()
    if ref.scheme == "demo":
        return _demo(ref.name)
    return _data(ref) if ref.scheme == "data" else None


def classification(text: str, columns: Mapping[str, str] | None = None) -> list[Labelled]:
    """Rows of kind classification: text, label; rows with an empty label are left out.

    A file of several splits has a column `split`; a folder has a file a split. Raises InputError
    with file and line.
    """
    ref = parse_ref(text)
    return kinds.labelled(_rows(ref), ref.split, columns or {})


def corpus(text: str) -> Corpus:
    """A folder with docs.jsonl and queries.jsonl, or data:squad2_small / data:stackfaq as one.

    `#split` keeps the queries of that split (train, dev, test); all documents stay.
    """
    ref = parse_ref(text)
    read = _CORPUS_READERS.get(ref.name) if ref.scheme == "data" else None
    found = (read or kinds.read_corpus)(_folder(ref))
    return kinds.split_of(found, ref.split) if ref.split else found


def is_corpus(text: str) -> bool:
    """Whether a reference names documents with questions, so that `corpus` reads it."""
    ref = parse_ref(text)
    path = path_of(ref)
    known = ref.scheme == "data" and ref.name in _CORPUS_READERS
    return known or (path is not None and (path / "docs.jsonl").is_file())


def interactions(text: str) -> Interactions:
    """A folder with ratings.csv {user, item, rating?, timestamp?} and perhaps items.csv."""
    ref = parse_ref(text)
    folder = _folder(ref)
    ratings = _first_of(folder, "ratings.csv", "ratings.csv.gz")
    items = folder / "items.csv"
    rows = read_rows(items) if items.is_file() else []
    return kinds.read_interactions(read_rows(ratings), rows, _RATING_COLUMNS.get(ref.name, {}))


def sha256_of(text: str) -> str:
    """sha256 over the bytes of a data reference on disk and its split's name, for records."""
    ref = parse_ref(text)
    path = path_of(ref)
    if path is None:
        return sha256_text(str(ref))
    files = sorted(path.rglob("*")) if path.is_dir() and not _has_split(path, ref) else []
    digest = hashlib.sha256(f"#{ref.split}".encode())
    for file in files or [_split_file(path, ref)]:
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _demo(name: str) -> Path:
    if name not in DEMO_NAMES:
        hint = nearest(name, DEMO_NAMES)
        raise InputError(f"no demo data {name!r}.{hint} There is: {', '.join(DEMO_NAMES)}")
    return DEMO_NAMES[name]


def _data(ref: Ref) -> Path | None:
    folder = data_dir() / ref.name
    if folder.is_dir():
        return folder
    if ref.name not in HUB_NAMES:
        raise InputError(
            f"{ref}: {folder} does not exist and {ref.name!r} has no Hub name here "
            f"(known: {', '.join(HUB_NAMES)}). Set FRONTDESK_DATA, or use file:PATH"
        )
    return None


def _rows(ref: Ref) -> list[Row]:
    path = path_of(ref)
    if path is not None:
        return read_rows(_split_file(path, ref))
    name, _, config = HUB_NAMES.get(ref.name, ref.name).partition(":")
    split = ref.split or "train"
    return read_hub(name, config or None, _HUB_SPLITS.get(split, split))


def _has_split(path: Path, ref: Ref) -> bool:
    return any((path / f"{ref.split or 'train'}{end}").is_file() for end in _SPLIT_ENDINGS)


def _split_file(path: Path, ref: Ref) -> Path:
    """In a folder, the file of the split: test.csv for `#test`; a file is itself."""
    if not path.is_dir():
        return path
    return _first_of(path, *(f"{ref.split or 'train'}{end}" for end in _SPLIT_ENDINGS))


def _first_of(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else ["(no such folder)"]
    raise InputError(f"{folder}: expected {' or '.join(names[:2])}, found {', '.join(there)}")


def _folder(ref: Ref) -> Path:
    path = path_of(ref)
    if path is None or not path.is_dir():
        raise InputError(f"{ref}: expected a folder, found nothing at {path or data_dir()}")
    return path
