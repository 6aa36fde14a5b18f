"""The text encoder under test, with its record for provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.core import release
from app.core.files import release_dir

if TYPE_CHECKING:
    from app.core.release import Base
    from app.models.encoder import TextEncoder


def encoder(model: str | None) -> tuple[TextEncoder, dict[str, Any]]:
    """The encoder `model` and its record; None is the one that the support release rests on.

    Where nothing is released yet, None is the product's default. `scripted` has no weights.
    """
    from app.models.load import resolve, text_encoder

    wanted = _released() if model is None else None
    weights = resolve(wanted.ref, sha256=wanted.sha256) if wanted else resolve(_named(model))
    return text_encoder(weights), record(weights.record())


def record(base: Base) -> dict[str, Any]:
    """`base` as it stands in a report."""
    return base.model_dump(exclude_none=True)


def _released() -> Base | None:
    folder = release_dir() / "support"
    return release.read(folder).encoder if (folder / "release.json").is_file() else None


def _named(model: str | None) -> str:
    from app.serving.features import ENCODER

    return model or ENCODER
