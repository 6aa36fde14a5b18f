"""Bytes to text: UTF-8 with or without a mark, UTF-16 with one, else what the bytes look like."""

from __future__ import annotations

import codecs
import re

from app.knowledge.ingest.document import Note, Unreadable

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_GUESSED = ("gb18030", "big5", "cp1252")
"""What exports of Chinese and English text come in."""
_SAMPLE = 64_000
_FOREIGN = re.compile(rb"[\x80-\xff]+")
_COMMON_CHINESE = re.compile(rb"(?:[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]){2,}")
"""Two or more of GB2312's first level of characters, of its punctuation and full-width letters."""
_ALONE = re.compile(
    rb"(?<![\x80-\xff])(?:[\x80-\xff](?![\x40-\xff])|[\x80-\xa0\xc9-\xff](?=[A-Za-z]))"
)
"""A byte that begins no Chinese character: what follows ends none, or it begins rare ones alone,
as the apostrophe of "it's" and most letters with accents would."""


def decode(data: bytes, declared: str | None = None) -> tuple[str, list[Note]]:
    """The text, and a note where its encoding was guessed.

    declared: the encoding that the file itself names, tried after UTF-8. Raises Unreadable for
    bytes that are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data, encoding), []
    try:
        return _text(data.decode()), []
    except UnicodeDecodeError:
        pass
    for encoding in filter(None, (declared, _guess(data))):
        try:
            name = {"gb2312": "gb18030", "gbk": "gb18030"}.get(encoding.lower(), encoding)
            text = _text(data.decode(name))
        except (LookupError, UnicodeDecodeError):
            continue
        return text, [] if declared else [Note(f"read as {name}", "save it as UTF-8 to be sure")]
    raise Unreadable("is not text in UTF-8, GB18030, Big5 or Windows-1252", "save it as UTF-8")


def _guess(data: bytes) -> str | None:
    """What the runs of foreign bytes show where all are alike; statistics need more of them."""
    runs = _FOREIGN.findall(data)
    if all(map(_COMMON_CHINESE.fullmatch, runs)):
        return "gb18030"
    if len(_ALONE.findall(data)) == len(runs):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE], cp_isolation=list(_GUESSED)).best()
    return best.encoding if best else None


def _strict(data: bytes, encoding: str) -> str:
    try:
        return _text(data.decode(encoding))
    except UnicodeDecodeError:
        raise Unreadable(f"begins as {encoding} and is not", "save it as UTF-8") from None


def _text(text: str) -> str:
    if "\0" in text:
        raise Unreadable("is binary, not text", "give it the ending of what it is")
    return text
