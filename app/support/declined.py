"""Declined questions by frequency: which answers are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from app.core.language import detect
from app.core.redact import redact
from app.models.encoder import TextEncoder
from app.store.curated import Declined
from app.support.curated import Alike, normalised

MOST = 300
"""Different questions that are grouped by nearness; what is rarer than these is left out."""


class Group(NamedTuple):
    """Questions that ask the same."""

    question: str
    """As it was asked last, without personal data that can be told by its form."""
    language: str
    times: int
    latest: datetime
    others: tuple[str, ...] = ()
    """Other ways in which it was asked, redacted."""


def grouped(
    declined: Sequence[Declined],
    encoder: TextEncoder | None = None,
    answered: Callable[[str], bool] = lambda _: False,
) -> list[Group]:
    """Groups by how often they were asked, then the latest first.

    By the same words but for case and punctuation, and where they are near (app.support.curated).
    answered: a question that has an answer by now is left out.
    """
    same: dict[tuple[str, str], list[Declined]] = {}
    for question in declined:
        same.setdefault((detect(question.text), normalised(question.text)), []).append(question)
    groups = _ordered([_group(language, rows) for (language, _), rows in same.items()])
    kept = [group for group in groups[:MOST] if not answered(group.question)]
    return _ordered(_joined(kept, encoder))


def _group(language: str, rows: Sequence[Declined]) -> Group:
    text = redact(" ".join(rows[0].text.split())).text
    return Group(text, language, len(rows), max(r.asked for r in rows))


def _joined(groups: Sequence[Group], encoder: TextEncoder | None) -> list[Group]:
    """Each group goes to the most frequent one before it that asks the same."""
    heads: list[Group] = []
    for language in dict.fromkeys(g.language for g in groups):
        mine = [g for g in groups if g.language == language]
        alike = Alike([g.question for g in mine], language, encoder)
        place_of: dict[int, int] = {}
        for place, group in enumerate(mine):
            found = alike.before(place)
            head = place_of.get(found) if found is not None else None
            if head is None:
                place_of[place] = len(heads)
                heads.append(group)
                continue
            place_of[place] = head
            first = heads[head]
            heads[head] = first._replace(
                times=first.times + group.times, latest=max(first.latest, group.latest),
                others=(*first.others, group.question),
            )  # fmt: skip
    return heads


def _ordered(groups: Sequence[Group]) -> list[Group]:
    return sorted(groups, key=lambda g: (-g.times, -g.latest.timestamp(), g.question))
