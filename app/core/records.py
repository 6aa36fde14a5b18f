"""Typed rows from csv and jsonl (optionally .gz): every error carries file and line.

`columns` maps our field names to those in the file, e.g. {"text": "sentence", "label": "y"}.
parquet and the Hub are read through `datasets`, with its cache under FRONTDESK_CACHE.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.core.errors import InputError, nearest
from app.core.files import cache_dir

Row = dict[str, Any]


def read_rows(path: Path, faults: list[str] | None = None) -> list[Row]:
    """All rows of a csv, jsonl or parquet file, each with "_where" = `file:line`.

    Raises InputError for a missing, empty, unreadable or non-UTF-8 file, with its line. Where
    `faults` is given, lines that cannot be read are left out and what is wrong is appended to it.
    """
    suffixes = [s for s in path.suffixes if s != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if not path.is_file():
        raise InputError(_missing(path))
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if kind not in readers:
        raise InputError(
            f"{path}: expected .csv, .jsonl or .parquet (optionally .gz), found {kind}"
        )
    rows = list(readers[kind](path, faults))
    if not rows and not faults:
        raise InputError(f"{path} holds no rows")
    return rows


def pick(
    rows: list[Row],
    fields: Mapping[str, str],
    columns: Mapping[str, str],
    remedy: str = "Set `columns: {{{field}: ...}}`",
) -> list[Row]:
    """Rows with our field names only. `fields`: name -> "required" or "optional".

    Raises InputError for a required column that is not there, listing those found, the nearest, and
    the `remedy`.
    """
    found = {key: None for row in rows for key in row if not key.startswith("_")}
    names = {field: columns.get(field, field) for field in fields}
    for field, name in names.items():
        asked_for = fields[field] == "required" or field in columns
        if name not in found and asked_for:
            hint = nearest(name, found)
            raise InputError(
                f"{rows[0]['_where'].rsplit(':', 1)[0]}: no column {name!r} for {field!r}.{hint} "
                f"Columns found: {', '.join(found)}. {remedy.format(field=field)}"
            )
    return [
        {"_where": row["_where"], **{f: row[n] for f, n in names.items() if n in row}}
        for row in rows
    ]


def text_of(row: Row, field: str) -> str:
    """A required, non-empty text. Raises InputError with file and line."""
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{row['_where']}: expected text in {field!r}, found {value!r}")
    return value


def _missing(path: Path) -> str:
    near = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    hint = nearest(path.name, near)
    there = f" {path.parent} has: {', '.join(near[:12])}." if near else ""
    return f"no data file {path}.{hint}{there}"


def _refuse(message: str, faults: list[str] | None, cause: Exception | None = None) -> None:
    """Raise InputError, or write the message down where faults are collected."""
    if faults is None:
        raise InputError(message) from cause
    faults.append(message)


def _decoded(path: Path, faults: list[str] | None) -> str:
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: not a whole gzip file ({error})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        lines = [_line(path, n, line, faults) for n, line in enumerate(data.split(b"\n"), 1)]
        return "\n".join(lines).removeprefix("\ufeff")


def _line(path: Path, number: int, line: bytes, faults: list[str] | None) -> str:
    """The line; empty where it is not UTF-8, so that the others keep their numbers."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x}"
        _refuse(f"{path}:{number}: not UTF-8 ({byte}); save the file as UTF-8", faults, error)
        return ""


def _csv(path: Path, faults: list[str] | None) -> Iterator[Row]:
    return csv_rows(_decoded(path, faults), str(path), faults)


def csv_rows(
    text: str, path: str, faults: list[str] | None = None, delimiter: str = ","
) -> Iterator[Row]:
    """Rows of csv text by its header line, each with "_where" = `path:line`; see `read_rows`."""
    lines = io.StringIO(text, newline="")
    csv.field_size_limit(max(len(text), 1))  # the file was bounded where it was read
    reader = csv.DictReader(lines, strict=True, delimiter=delimiter)
    while True:
        began = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "; is a quote never closed?" if "end of data" in str(error) else ""
            _refuse(f"{path}:{began}: {error}{unclosed}", faults, error)
            continue
        where = f"{path}:{reader.line_num}"
        if None in row or None in row.values():
            width = len(reader.fieldnames or [])
            _refuse(f"{where}: expected {width} columns as in the header line", faults)
        else:
            yield {"_where": where, **row}


def _jsonl(path: Path, faults: list[str] | None) -> Iterator[Row]:
    # Not splitlines(): JSON allows U+2028 and its like inside a string.
    for number, line in enumerate(_decoded(path, faults).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # the latter: nested beyond reason
            _refuse(f"{path}:{number}: not JSON ({error})", faults, error)
            continue
        if isinstance(row, dict):
            yield {"_where": f"{path}:{number}", **row}
        else:
            found = type(row).__name__
            _refuse(f"{path}:{number}: expected an object, found {found}", faults)


def _parquet(path: Path, _faults: list[str] | None) -> Iterator[Row]:
    from pyarrow import ArrowInvalid, parquet

    try:
        table = parquet.read_table(path)
    except ArrowInvalid as error:
        raise InputError(f"{path}: not a parquet file ({error})") from error
    for number, row in enumerate(table.to_pylist(), 1):
        yield {"_where": f"{path}:{number}", **row}


def read_hub(name: str, config: str | None, split: str) -> list[Row]:
    """A split of a data set on the Hub. Raises InputError where it cannot be had, saying why."""
    os.environ.setdefault("HF_DATASETS_CACHE", str(cache_dir() / "datasets"))
    from datasets import load_dataset

    try:
        table = load_dataset(name, config, split=split)
    except Exception as error:  # datasets raises a dozen kinds; the reader needs one sentence
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"data set {name} ({split}) is not to be had from the Hub: {reason}. "
            "Check the name and the network, set HF_ENDPOINT to a mirror, or use file:PATH"
        ) from error
    names = {key: kind.names for key, kind in table.features.items() if hasattr(kind, "names")}
    # Classes come as numbers; a label is a word here. -1 is datasets' mark for none.
    return [
        {"_where": f"hub:{name}:{n}", **row}
        | {k: known[row[k]] if row[k] in range(len(known)) else "" for k, known in names.items()}
        for n, row in enumerate(table, 1)
    ]
