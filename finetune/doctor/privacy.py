"""Personal data that can be told by its form, as app.core.redact finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from app.core.redact import Redacted, redact
from finetune.doctor.finding import Finding, Place, finding, out_of
from finetune.doctor.rows import Case

MOST = 5_000
"""Rows that are looked at: a text with digits takes about a millisecond."""


def personal_data(case: Case) -> Iterator[Finding]:
    """Addresses, numbers and logins in what is learnt; only types and counts are told."""
    rows = case.part("train")[:MOST]
    types: Counter[str] = Counter()
    places: list[Place] = []
    for row in rows:
        hits = [hit for text in (row.text, *row.answers) if (hit := redact(text)).found]
        if hits:
            types.update(*(hit.found for hit in hits))
            places.append(Place(row.where, _around(hits[0])))
    if places:
        told = ", ".join(f"{count:,} {name}" for name, count in types.most_common())
        yield finding(
            "personal_data", "warning", places, len(rows),
            f"hold personal data: {out_of(len(places), len(rows), 'training rows looked at')}: "
            f"{told}",
            "Redact it (app.core.redact) or remove the rows: a model can repeat what it learnt.",
        )  # fmt: skip


def _around(hit: Redacted) -> str:
    """The first placeholder in a text, and what stands before and behind it."""
    at = min(hit.text.index(f"<{name}>") for name in hit.found)
    return hit.text[max(0, at - 40) : at + 60]
