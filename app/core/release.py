"""A release is a system, not only weights: `release.json`, read, checked, written.

`app/release/<feature>/` holds what is served: release.json, the adapter if there is one, reports.
Earlier releases lie in `var/releases/<feature>/<id>/`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from app.core.config import Strict, parse
from app.core.errors import Mismatch, NotFound
from app.core.files import read_json, sha256_file, sha256_text, write_json

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
        """Write release.json into `folder`, atomically, with a seal over all of it."""
        tree = self.model_dump(mode="json", exclude_none=True)
        write_json(folder / "release.json", tree | {"seal": digest(tree)})


def digest(tree: dict[str, Any]) -> str:
    """sha256 over release.json without its seal: finds edits, stops nobody who runs this code."""
    return sha256_text(json.dumps(tree, sort_keys=True))


def read(folder: Path) -> Release:
    """The release in `folder`. Raises NotFound or ConfigError, naming the file.

    Raises Mismatch where it was edited after it was promoted: labels, thresholds, engines and the
    rest are those that passed the gate. A record without a seal (written by hand) is taken.
    """
    path = folder / "release.json"
    if not path.is_file():
        raise NotFound(f"no release in {folder}: expected release.json (python -m deploy promote)")
    tree = read_json(path)
    seal = tree.pop("seal", None) if isinstance(tree, dict) else None
    release = parse(Release, tree, str(path))
    if seal not in (None, digest(tree)):
        raise Mismatch(
            f"{path} has sha256 {digest(tree)}, sealed as {seal}: its labels, thresholds or other "
            "fields were edited after the gate; restore it, or roll back "
            f"(python -m deploy rollback --feature {release.feature})"
        )
    return release


def check(release: Release, folder: Path, current_prompt: str) -> None:
    """Raise Mismatch unless adapter, prompt version and evidence are those that were evaluated.

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
    _check_evidence(release, folder)


def _check_evidence(release: Release, folder: Path) -> None:
    if release.evidence is None:
        return
    evidence = folder / release.evidence.path
    found = sha256_file(evidence) if evidence.is_file() else None
    if found != release.evidence.sha256:
        raise Mismatch(
            f"{evidence} has sha256 {found}, release.json says {release.evidence.sha256}: "
            "restore the gate's evidence, or promote again"
        )
