"""The text encoder under test, with its record for provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.core import release
from app.core.files import release_dir

if TYPE_CHECKING:
    from app.core.release import Base, Release
    from app.models.encoder import TextEncoder


def encoder(model: str | None, served: Base | None) -> tuple[TextEncoder, dict[str, Any]]:
    """The encoder `model` and its record; None is the released one `served`, found by its sha256.

    Where nothing is released either, it is the product's default. `scripted` has no weights.
    """
    from app.models.load import resolve, text_encoder
    from app.serving.features import ENCODER

    if model is None and served is not None:
        weights = resolve(served.ref, sha256=served.sha256)
    else:
        weights = resolve(model or ENCODER)
    return text_encoder(weights), record(weights.record())


def released(feature: str) -> Release | None:
    """The release of `feature`; None where there is none yet."""
    folder = release_dir() / feature
    return release.read(folder) if (folder / "release.json").is_file() else None


def record(base: Base) -> dict[str, Any]:
    """`base` as it stands in a report."""
    return base.model_dump(exclude_none=True)
