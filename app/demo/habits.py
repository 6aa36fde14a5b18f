"""What the shop's customers are like: personas, things that go together, seasons."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Persona:
    """One sort of customer: how much they care for each category and for single items."""

    weight: float
    regular: float  # share of them who come back every few weeks
    tastes: dict[str, float]
    staples: list[str]
    likes: dict[str, float]

    def taste(self, item: str, category: str) -> float:
        """How much this persona cares for an item, before seasons and company."""
        return self.tastes[category] * self.likes.get(item, 1.0)


TABLES: dict[str, Any] = json.loads(
    (Path(__file__).parent / "shop" / "habits.json").read_text(encoding="utf-8")
)
PERSONAS = {name: Persona(**row) for name, row in TABLES["personas"].items()}
GOES_WITH: dict[str, dict[str, float]] = TABLES["goes_with"]
WINTER: dict[str, float] = TABLES["winter"]
SUMMER: dict[str, float] = TABLES["summer"]


def season(item: str, month: int) -> float:
    """How many times more (or less) an item is wanted in a month."""
    if item == "twelve-evenings-box" and month not in (10, 11, 12):
        return 0.0  # folded and sold for the winter only
    if item in WINTER:
        return WINTER[item] if month >= 11 else 0.8
    if item in SUMMER:
        return SUMMER[item] if month in (6, 7, 8) else 0.4
    return 1.0
