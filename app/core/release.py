"""A release is a system, not only weights: `release.json`, read, checked, written.

`app/release/<feature>/` holds what is served: release.json, the adapter if there is one, reports.
Earlier releases lie in `var/releases/<feature>/<id>/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from app.core.config import Strict, parse
from app.core.errors import Mismatch, NotFound
from app.core.files import read_json, sha256_file, write_json

ADAPTER_FILE = "adapter_model.safetensors"
Feature = Literal["sentiment", "support", "recommend"]


class Base(Strict):
    """Base weights, by what they are and not by what they are called."""

    ref: str
    """Model reference, such as sentence-transformers/all-MiniLM-L6-v2."""
    source: str
    """Which source served it: folder, cache, hub, or package <name>==<version>."""
    file: str
    """Name of the weights file as shipped."""
    sha256: str
    """sha256 of that file."""
    unpacker: str | None = None
    """For GGUF, what unpacked it, such as `transformers 5.23.0`."""


class Calibration(Strict):
    """Numbers fitted on dev data."""

    temperature: float = Field(1.0, gt=0)
    """Logits are divided by this before the softmax (Guo et al. 2017)."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """By name, e.g. `answer`: below it the question is declined."""


class Engine(Strict):
    """An engine and dtype that may serve, with the record of its parity with what was evaluated."""

    engine: str
    dtype: str
    parity: dict[str, float | int | str] = Field(default_factory=dict)


class Evidence(Strict):
    """The gate's evidence file, relative to the release folder."""

    path: str
    sha256: str


class Release(Strict):
    """What is served for one feature."""

    feature: Feature
    id: str
    created: str
    """ISO 8601, UTC."""
    mode: str
    """support: quote, model or reader; sentiment: model; recommend: the recommender's name."""
    base: Base
    adapter_sha256: str | None = None
    prompt_version: str
    """Template with version, e.g. `support/1`; classifiers: the text preparation."""
    labels: list[str] | None = None
    """Class names in the order of the logits."""
    encoder: Base | None = None
    """support, recommend: weights of the encoder that retrieval rests on, where base is another."""
    calibration: Calibration = Calibration(temperature=1.0)
    engines: list[Engine] = Field(min_length=1)
    evidence: Evidence | None = None

    def save(self, folder: Path) -> None:
        """Write release.json into `folder`, atomically."""
        write_json(folder / "release.json", self.model_dump(mode="json", exclude_none=True))


def read(folder: Path) -> Release:
    """The release in `folder`. Raises NotFound or ConfigError, naming the file."""
    path = folder / "release.json"
    if not path.is_file():
        raise NotFound(f"no release in {folder}: expected release.json (python -m deploy promote)")
    return parse(Release, read_json(path), str(path))


def check(release: Release, folder: Path, current_prompt: str) -> None:
    """Raise Mismatch unless adapter and prompt version are those that were evaluated.

    The base weights are checked where they are resolved (app.models.references).
    """
    if release.prompt_version != current_prompt:
        raise Mismatch(
            f"{folder}/release.json was made with prompt {release.prompt_version}, this code "
            f"renders {current_prompt}: train and evaluate again, or use the code of that release"
        )
    adapter = folder / ADAPTER_FILE
    found = sha256_file(adapter) if adapter.is_file() else None
    if found != release.adapter_sha256:
        raise Mismatch(
            f"{adapter} has sha256 {found}, release.json says {release.adapter_sha256}: "
            "restore the file, or roll back "
            f"(python -m deploy rollback --feature {release.feature})"
        )
