"""What an ingest did and what it could not read: for people, and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.knowledge.asked import LEAST

SHOWN = 20
"""Lines of a kind that are printed; JSON has all."""


class Fault(NamedTuple):
    """Something in a file that was not taken in as it is."""

    file: str
    reason: str
    remedy: str


@dataclass
class Report:
    """By file, in the order of their names."""

    folder: str
    dry_run: bool = False
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unreadable: list[Fault] = field(default_factory=list)
    """Nothing of these files was taken in."""
    notes: list[Fault] = field(default_factory=list)
    """Something of these was left out or guessed."""
    articles: int = 0
    """Of this folder, when done."""
    agents_only: int = 0
    """Of them, those that customers do not see."""
    passages: int = 0
    """That the added and changed files are cut into."""
    few_ways: int = 0
    """Articles of the added and changed files with too few ways to ask (app.knowledge.asked.LEAST):
    what is answered from them says more often that it may not be what was meant."""

    @property
    def read(self) -> int:
        """Files of which there is an article."""
        return len(self.added) + len(self.changed) + len(self.unchanged)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        faults = {
            name: [fault._asdict() for fault in getattr(self, name)]
            for name in ("unreadable", "notes")
        }
        return vars(self) | faults

    def lines(self) -> Iterator[str]:
        """The report in a few lines."""
        for kind in ("added", "changed", "removed"):
            yield from _shortened([f"{kind:9} {name}" for name in getattr(self, kind)])
        yield (
            f"{len(self.added)} added, {len(self.changed)} changed, {len(self.unchanged)} "
            f"unchanged, {len(self.removed)} removed; {self.passages} passages made anew"
        )
        yield (
            f"{self.articles} articles of {self.folder}, {self.agents_only} of them for agents "
            "alone" + (" (dry run: nothing was written)" if self.dry_run else "")
        )
        if self.few_ways:
            yield (
                f"{self.few_ways} of those read now have fewer than {LEAST} ways to ask each: "
                "answers from them will say more often, in Chinese always, that they may not be "
                "what was meant, until you write some down (`questions`, see the README)"
            )
        yield from _faults("not read", self.unreadable)
        yield from _faults("left out or guessed", self.notes)


def _faults(heading: str, faults: list[Fault]) -> Iterator[str]:
    """Files with the same fault share a line."""
    together = defaultdict[tuple[str, str], list[str]](list)
    for fault in faults:
        together[fault.reason, fault.remedy].append(fault.file)
    told = []
    for (reason, remedy), names in together.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        todo = f": {remedy}" if remedy else ""
        told.append(f"  {', '.join(names[:3])}{more}: {reason}{todo}")
    if told:
        yield f"{heading} ({len({fault.file for fault in faults})} files):"
        yield from _shortened(told)


def _shortened(lines: list[str]) -> Iterator[str]:
    yield from lines[:SHOWN]
    if len(lines) > SHOWN:
        yield f"  ... and {len(lines) - SHOWN} more (--json lists all)"
