"""Personal data that can be told by its form is replaced by a typed placeholder such as <EMAIL>.

Found: e-mail addresses, phone numbers (international; British, German, French, Dutch, Swiss and
Chinese national forms; North American with separators; any digits announced by a word such as
"mobile" or 电话), payment cards (Luhn), IBANs (mod 97), Chinese identity numbers (mod 11-2), IP
addresses, addresses of the web that carry a login; postal addresses, and names where something says
that they are some (app.core.named). Not found, and another promise: names that nothing announces,
dates of birth, account names, e-mail addresses in Han or kana; order numbers are meant to stay.

The engine is presidio with its `no_op` NLP, so nothing is downloaded. It takes 1-2 s to import and
is therefore loaded at the first text that holds a digit or an "@". Safe to call from threads.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from app.core import announced, named

if TYPE_CHECKING:
    from app.core.pii import Detector

TYPES = ("URL_LOGIN", "EMAIL", "IBAN", "CN_ID", "CARD", "IP", "PHONE", "ADDRESS", "NAME")
"""In order of precedence: where two overlap, the union is replaced and named after the earlier."""
BY_CONTEXT = ("ADDRESS", "NAME")
"""Those that are found where their surroundings tell them, the others wherever they stand."""
_PLACEHOLDER = re.compile("<(?:" + "|".join(TYPES) + ")>")
_WORTH_A_LOOK = re.compile(r"[\d@＠]|::")
_LATIN = "[A-Za-z0-9_\u00c0-\u024f]"
_WINDOW, _OVERLAP = 5_000, 1_500  # no finding is longer than the overlap, see app.core.pii
_ROUNDS = 20
"""Times that what lies between findings is looked at again. A person's text needs two or three;
what still yields findings then, such as one announcement after the other, is replaced whole."""
_lock = threading.Lock()


class Redacted(NamedTuple):
    """A text without the personal data that was found in it."""

    text: str
    found: dict[str, int]
    """How many of each of TYPES were replaced; empty where nothing was."""


class Span(NamedTuple):
    """text[start:end] is of `type`."""

    type: str
    start: int
    end: int


def redact(text: str, public: str = "") -> Redacted:
    """`text` with every finding replaced by its placeholder, and what was found.

    public: what anybody may read, such as the articles that an answer quotes; what stands in it
    word for word, such as the shop's own address, is not personal and stays.

    Idempotent: placeholders in the text stay and are not counted. Raises for no text; the time is
    linear in its length.
    """
    spans = find(text, public)
    parts, at = [], 0
    for span in spans:
        parts += [text[at : span.start], f"<{span.type}>"]
        at = span.end
    return Redacted("".join([*parts, text[at:]]), dict(Counter(span.type for span in spans)))


def find(text: str, public: str = "") -> list[Span]:
    """What `redact` replaces, in order, without overlaps.

    What lies between findings and placeholders is looked at again by itself until nothing more is
    found, as a second call would see it: this is what makes `redact` idempotent.
    """
    marks = [match.span() for match in _PLACEHOLDER.finditer(text)]
    pending = [(0, *gap) for gap in _gaps(marks, 0, len(text))]
    found: list[Span] = []
    while pending:
        rounds, start, end = pending.pop()
        new = [
            Span(s.type, s.start + start, s.end + start)
            for s in _merged(_scan(text[start:end]))
            if not _stands_in(text[s.start + start : s.end + start], public)
        ]
        if new and rounds == _ROUNDS:
            found.append(Span(new[0].type, start, end))
        elif new:
            found += new
            gaps = _gaps([(s.start, s.end) for s in new], start, end)
            pending += [(rounds + 1, *gap) for gap in gaps]
    return sorted(found, key=lambda s: s.start)


def _stands_in(piece: str, public: str) -> bool:
    """Whether `public` says `piece` as a whole: Tom is not public for the sake of tomatoes.

    Chinese has no such borders: there a part of a word counts, too.
    """
    whole = rf"(?<!{_LATIN})(?<!{_LATIN}[.+@-]){re.escape(piece)}(?![.+@-]?{_LATIN})"
    return piece in public and bool(re.search(whole, public))


def _gaps(taken: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """What is left of [start, end) between the intervals `taken`, in order."""
    starts = [start, *(b for _, b in taken)]
    ends = [*(a for a, _ in taken), end]
    return [(a, b) for a, b in zip(starts, ends, strict=True) if a < b]


def _scan(piece: str) -> Iterator[Span]:
    """Findings window by window, so that no pattern sees more than _WINDOW characters at once."""
    for start in range(0, max(1, len(piece) - _OVERLAP), _WINDOW - _OVERLAP):
        window = piece[start : start + _WINDOW]
        last = start + len(window) == len(piece)
        found = [Span(*each) for find in (named.find, announced.find) for each in find(window)]
        if _WORTH_A_LOOK.search(window):
            found += _detector().find(window)
        for span in found:
            # Cut by the window's edge: its neighbour sees it whole.
            cut = (span.start == 0 and start > 0) or (span.end == len(window) and not last)
            if not cut:
                yield Span(span.type, start + span.start, start + span.end)


def _merged(spans: Iterator[Span]) -> list[Span]:
    """Overlapping spans made one, named by precedence."""
    merged: list[Span] = []
    for span in sorted(set(spans), key=lambda s: (s.start, s.end)):
        if merged and span.start < merged[-1].end:
            before = merged.pop()
            name = min(before.type, span.type, key=TYPES.index)
            span = Span(name, before.start, max(before.end, span.end))
        merged.append(span)
    return merged


def _detector() -> Detector:
    with _lock:
        return _load()


@cache
def _load() -> Detector:
    from app.core.pii import Detector

    return Detector()
