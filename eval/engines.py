"""The text encoder under test, with its record for provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.core import release
from app.core.files import release_dir

if TYPE_CHECKING:
    from app.core.release import Base, Release
    from app.models.encoder import TextEncoder
    from app.models.openai_chat import Remote


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


def record(base: Base | Remote) -> dict[str, Any]:
    """`base` as it stands in a report; a server is asked what it has, before any question.

    Raises ServerUnavailable, NotFound or ServerFailed for a server that cannot be evaluated.
    """
    from app.models.load import Remote, described

    found = described(base) if isinstance(base, Remote) else base
    return found.model_dump(exclude_none=True)


def fixed(identity: Mapping[str, Any]) -> bool:
    """Whether a report's provenance says by hashes what was measured.

    Scripted stand-ins are fixed by the code's hash. A model behind a server has no sha256: the same
    name may be other weights tomorrow, so that two of its reports are never of one system.
    """
    used = [made for role in ("model", "encoder") if (made := identity.get(role)) is not None]
    return bool(used) and all("sha256" in made or made["ref"] == "scripted" for made in used)
