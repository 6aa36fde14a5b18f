"""Bytes to text: UTF-8 with or without a mark, UTF-16 with one, else what the bytes look like."""

from __future__ import annotations

import codecs

from app.knowledge.ingest.document import Note, Unreadable

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_GUESSED = ("gb18030", "big5", "cp1252")
"""What exports of Chinese and English text come in."""
_SAMPLE = 64_000


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
