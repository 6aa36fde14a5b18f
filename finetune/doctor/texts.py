"""Texts and answers as such: empty, cut off in mid-sentence, unreadable, in another language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from app.core import brief, language
from app.core.errors import AppError
from app.core.fingerprints import tokens
from finetune.doctor.finding import Finding, Place, finding, out_of
from finetune.doctor.rows import Case

_CUT = re.compile(r"[^\W\d_]\s*$|[,，、(-]\s*$")
"""A letter or a comma at the very end; a number, a link or an emoji may well stand there."""
CLOSED = 0.9
"""Share of the answers that end a sentence, from which one that does not looks cut off."""
LONG = 8
"""Words from which a text is expected to be a sentence."""
_OTHER_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
_WORDS = {  # frequent words that are none in the other languages of this table, or in English
    "en": "the and is of to it that you for with this are was not have be my can what i how",
    "de": "und der ist nicht ich das ein eine mit für auf wie sie wir zu den von im es dem auch",
    "fr": "le les est et je vous pas une dans pour que avec mon ce sur nous du des il au sont",
    "es": "el los que y una por con para es mi del las cómo está pero muy su lo al se",
    "it": "il che è di non una per con sono mi della gli ho anche questo più mio nel ma",
    "pt": "o os que não uma com para é do da meu em eu você como está mas um na muito",
    "nl": "het een van ik niet en dat op voor met zijn mijn maar ook wat hoe er naar kan heb",
}
_FREQUENT = {name: frozenset(words.split()) for name, words in _WORDS.items()}
_HITS, _SHARE = 3, 0.25
"""Different frequent words of another language, and their share in the text, that make it one."""


def unreadable(case: Case) -> Iterator[Finding]:
    """Every line and row that cannot be read, with file and line."""
    if case.faults:
        places = sorted((Place(*_split(message)) for message in case.faults), key=_in_file)
        count, of = len(places), len(places) + len(case.samples)
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        yield finding(
            "unreadable", "error", places, of, ": ".join(filter(None, places[0])) + more,
            "Correct these lines, or take them out: the run would stop at the first.",
        )  # fmt: skip


def empty_answers(case: Case) -> Iterator[Finding]:
    """Conversations that are answered, or asked, with nothing. Other empty texts are unreadable."""
    written = [row for row in case.part("train", "dev") if row.answers]
    empty = [row for row in written if not (row.text.strip() and all(map(str.strip, row.answers)))]
    if empty:
        yield finding(
            "empty_answers", "error", [Place(row.where, row.text or "(none)") for row in empty],
            len(written), f"have an empty question or answer: {out_of(len(empty), len(written))}",
            "Remove them: they teach to say nothing.",
        )  # fmt: skip


def cut_answers(case: Case) -> Iterator[Finding]:
    """Answers that stop in mid-sentence, in data whose answers do not."""
    good = 1 if case.config.task == "preference" else None  # the worse answer of a pair may be cut
    long = [(row, text) for row in case.part("train") for text in row.answers[:good]
            if len(tokens(text)) >= LONG]  # fmt: skip
    cut = [(row, text) for row, text in long if _CUT.search(text)]
    if cut and len(cut) <= (1 - CLOSED) * len(long):
        yield finding(
            "cut_answers", "warning", [Place(row.where, f"…{text[-80:]}") for row, text in cut],
            len(long),
            f"stop in mid-sentence, as if cut off: {out_of(len(cut), len(long), 'long answers')}",
            "Complete or remove them: they teach to stop in mid-sentence.",
        )  # fmt: skip


def languages(case: Case) -> Iterator[Finding]:
    """Rows in a language that brief.yaml does not name; without a brief, in another than most."""
    rows = case.part("train", "dev")
    found = [language_of("\n".join([row.text, *row.answers])) for row in rows]
    wanted = _wanted(found)
    wrong = [(row, name) for row, name in zip(rows, found, strict=True) if name not in wanted]
    if wrong:
        yield finding(
            "language", "warning", [Place(row.where, f"{name}: {row.text}") for row, name in wrong],
            len(rows),
            f"in another language than {' and '.join(wanted)}: {out_of(len(wrong), len(rows))}",
            "Remove them, or name the language in brief.yaml if the product is to speak it.",
        )  # fmt: skip


def _wanted(found: Sequence[str]) -> list[str]:
    try:
        return [str(name) for name in brief.read().languages]
    except AppError:
        return [name for name, _ in Counter(found).most_common(1)]


def language_of(text: str) -> str:
    """As app.core.language, and of what that does not know the scripts and frequent words."""
    letters = sum(map(str.isalpha, text))
    for name, script in _OTHER_SCRIPTS:
        if len(script.findall(text)) > 0.3 * max(letters, 1):
            return name
    if language.detect(text) == "zh":
        return "zh"
    words = set(tokens(text))
    hits = {name: len(words & known) for name, known in _FREQUENT.items()}
    best = max(hits, key=lambda name: hits[name])
    foreign = hits[best] >= max(_HITS, _SHARE * len(words)) and hits[best] > 2 * hits["en"]
    return best if foreign else "en"


def _in_file(place: Place) -> tuple[str, int]:
    file, _, line = place.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (place.where, 0)


def _split(message: str) -> tuple[str, str]:
    """`file:line` and what is wrong there."""
    where, colon, what = message.partition(": ")
    return (where, what) if colon else ("", message)
