"""`brief.yaml`: what the product is for and what it may get wrong.

Plan, thresholds and gate read it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from app.core.config import Strict, load
from app.core.errors import ConfigError
from app.core.files import ROOT

Feature = Literal["sentiment", "intents", "support", "recommend"]


class FeatureBrief(Strict):
    """What one feature must hold."""

    max_error: float = Field(0.1, gt=0, lt=1)
    """Tolerated share of wrong answers among those given; thresholds for abstaining follow."""
    metric: str
    """The one primary metric, by its name in reports."""
    margin: float = Field(gt=0, lt=1)
    """A candidate may be worse than the baseline by less than this."""
    min_gain: float | None = Field(None, ge=0, lt=1)
    """Required gain over the baseline; none asks for non-inferiority alone."""
    min_n: int = Field(100, ge=1)
    """Fewer samples than this give no verdict but `inconclusive`."""


class Limits(Strict):
    """What serving may cost."""

    first_token_ms: int = Field(1500, gt=0)
    p95_ms: int = Field(8000, gt=0)
    memory_gb: float = Field(4.0, gt=0)
    cost_per_1000: float = Field(0.5, ge=0)
    """In the currency of your bill, for 1,000 answers."""


class OrderNumbers(Strict):
    """How the shop writes an order number: the prefix, a hyphen, so many digits."""

    prefix: str = Field("FK", pattern="^[A-Z]{1,6}$")
    digits: int = Field(5, ge=3, le=12)


class Brief(Strict):
    """The team's promise, in one page."""

    name: str
    contact: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    """The e-mail address at which a person reads what the chat cannot answer."""
    order_numbers: OrderNumbers = Field(default_factory=lambda: OrderNumbers(prefix="FK", digits=5))
    purpose: str
    languages: list[Literal["en", "zh"]] = Field(min_length=1)
    features: dict[Feature, FeatureBrief]
    limits: Limits
    retention_days: int = Field(90, ge=1)
    """Transcripts older than this are deleted at start and once a day."""

    def feature(self, name: Feature) -> FeatureBrief:
        """What `name` must hold. Raises ConfigError where the brief promises nothing of it."""
        found = self.features.get(name)
        if found is None:
            raise ConfigError(
                f"the brief says nothing of {name}: expected features.{name} (max_error, metric, "
                f"margin), found {', '.join(self.features)}"
            )
        return found


def read(path: Path | None = None) -> Brief:
    """The brief at `path` (default FRONTDESK_BRIEF, else brief.yaml at the root)."""
    return load(Brief, path or _path())


def current() -> Brief:
    """The brief in use, read again only where its file has changed: asked at every turn."""
    path = _path()
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return _read(path, changed)


def _path() -> Path:
    return Path(os.environ.get("FRONTDESK_BRIEF", ROOT / "brief.yaml"))


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Brief:
    del changed  # a part of the key
    return load(Brief, path)
