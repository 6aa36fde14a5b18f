"""Other ways to ask what an article answers, as its authors wrote them down.

The field calls them alternate questions (question-and-answer desks) or training phrases (intents).
An article carries them in `questions`, each a text or {text, says?, answered?}:

- `says`: the words of the article that answer it; without it, the whole article does;
- `answered: false`: a near miss, which sounds like the article and is answered nowhere.

They are searched, never shown: what an answer says and cites is the article.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.core.errors import InputError

MAX_TEXT = 500
"""Characters of one question."""
MAX_EACH = 2_000
"""Questions of one article."""
_SPACE = re.compile(r"\s+")
_KEYS = {"text", "says", "answered"}
_SHAPE = "a text, or {text, says?: words of the article, answered?: false for a near miss}"


class Alternate(NamedTuple):
    """A way to ask."""

    text: str
    says: str = ""
    """Words of the article that answer it; empty: the whole article."""
    answered: bool = True


def of(doc: Mapping[str, Any]) -> list[Alternate]:
    """Those of an article, in order and none twice. Raises InputError naming what is wrong."""
    found = doc.get("questions") or []
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise InputError(f"article {doc.get('id')!r}: questions: expected a list of {_SHAPE}")
    if len(found) > MAX_EACH:
        raise InputError(
            f"article {doc.get('id')!r} has {len(found):,} questions: at most {MAX_EACH:,}; "
            "split the article"
        )
    read = (_read(entry, f"article {doc.get('id')!r}") for entry in found)
    return list({alternate.text: alternate for alternate in read}.values())


def _read(entry: Any, where: str) -> Alternate:
    fields = {"text": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, Mapping) or not fields.keys() <= _KEYS:
        raise InputError(f"{where}: question {str(entry)[:60]!r}: expected {_SHAPE}")
    text, says = str(fields.get("text") or "").strip(), str(fields.get("says") or "")
    if not text or len(text) > MAX_TEXT:
        raise InputError(
            f"{where}: a question has 1 to {MAX_TEXT} characters, found {len(text)}: {text[:40]!r}"
        )
    answered = fields.get("answered", True)
    if not isinstance(answered, bool):
        raise InputError(f"{where}: answered: expected true or false, found {answered!r}")
    return Alternate(text, says, answered)


def places(says: str, sentences: Sequence[str]) -> list[int]:
    """Which of `sentences` hold `says`, or are held by it; none where it is empty or not there.

    Space does not count: a paragraph may be wrapped in the file and not in the passage.
    """
    wanted = bare(says)
    if not wanted:
        return []
    cut = [bare(sentence) for sentence in sentences]
    return [n for n, own in enumerate(cut) if own and (wanted in own or own in wanted)]


def bare(text: str) -> str:
    """`text` without space."""
    return _SPACE.sub("", text)
