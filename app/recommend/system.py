"""The released recommender: from release.json to a Shop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.core import release as releases
from app.models.encoder import TextEncoder
from app.models.load import resolve, text_encoder
from app.recommend.base import Row
from app.recommend.content import Remembering
from app.recommend.shop import Shop
from app.recommend.systems import build

PROMPT_VERSION = "recommend/1"
"""How texts of products are put together and systems are mixed; raise it when either changes."""


def load(folder: Path, interactions: Sequence[Row], items: Sequence[Row]) -> Shop:
    """The system of `folder`/release.json, fitted on `interactions` over the catalogue `items`.

    Its encoder is found by the recorded sha256. Raises NotFound, ConfigError, InputError (no such
    system), Mismatch (another version or other weights than were evaluated), WeightsMissing.
    """
    release = releases.read(folder)
    releases.check(release, folder, PROMPT_VERSION)
    weights = resolve(release.base.ref, sha256=release.base.sha256)
    return fitted(release.mode, text_encoder(weights, release.engines), interactions, items)


def fitted(
    name: str, encoder: TextEncoder, interactions: Sequence[Row], items: Sequence[Row]
) -> Shop:
    """A Shop with the recommender `name` fitted on `interactions`; each text is encoded once."""
    once = Remembering(encoder)
    recommender = build(name, once)
    recommender.fit(interactions, items)
    return Shop(interactions, items, recommender, once)
