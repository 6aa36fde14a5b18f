"""How each feature is made from its release, and the checks before a port is bound.

The heavy imports (torch, transformers) are inside the functions, which run in the loading thread.
Recommendations have no trained weights: without a release of their own, HYBRID is fitted at start.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from app.core import prompt, release, textprep
from app.core.data import corpus, interactions
from app.core.files import release_dir
from app.core.settings import Settings
from app.models import references
from app.models.base import Options
from app.serving.loading import Loaded

Loaders = dict[str, tuple[Callable[[], Loaded], Path | None]]
"""By feature: what loads it, and the release folder to watch (or none)."""

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
RECOMMENDER = "hybrid"
SCRIPTED = "scripted"
ARTICLES, ORDERS = "demo:support", "demo:orders"


def loaders(settings: Settings) -> Loaders:
    """What the settings ask for: the released systems, or with `--model scripted` no weights."""
    if settings.model == SCRIPTED:
        return {
            "support": (partial(_support, settings), None),
            "sentiment": (_scripted_sentiment, None),
            "recommend": (partial(_shop, SCRIPTED), None),
        }
    return {
        "support": (partial(_support, settings), release_dir() / "support"),
        "sentiment": (_sentiment, release_dir() / "sentiment"),
        "recommend": (partial(_shop, ENCODER), None),
    }


def verify(settings: Settings) -> dict[str, str]:
    """Check every release that would be served by its hashes; returns its id by feature.

    Raises Mismatch, naming file and sha256, NotFound or WeightsMissing. Quick: weights' hashes are
    remembered by path, size and time. `--model scripted` serves no release and checks none.
    """
    if settings.model == SCRIPTED:
        return {}
    found = {}
    for feature in ("support", "sentiment"):
        folder = release_dir() / feature
        served = release.read(folder)
        release.check(served, folder, _prompt_of_code(feature, served.prompt_version))
        for base in filter(None, (served.base, served.encoder)):
            references.resolve(base.ref, sha256=base.sha256)
        found[feature] = served.id
    return found


def _prompt_of_code(feature: str, recorded: str) -> str:
    """What this code renders: its text preparation, or the recorded template where it exists."""
    if feature == "sentiment":
        return f"sentiment/{textprep.VERSION}"
    return prompt.template(recorded).id


def _support(settings: Settings) -> Loaded:
    from app.support.chat import SupportChat

    options = Options(max_new_tokens=settings.max_new_tokens, deadline_s=settings.deadline_s)
    chat = SupportChat.load(
        release_dir() / "support", corpus(ARTICLES).docs,
        model_override=settings.model, options=options,
    )  # fmt: skip
    return Loaded(chat, chat.release_id)


def _sentiment() -> Loaded:
    from app.sentiment.classifier import Sentiment

    model = Sentiment.load(release_dir() / "sentiment")
    assert model.release is not None
    return Loaded(model, model.release.id)


def _scripted_sentiment() -> Loaded:
    from app.sentiment.classifier import ScriptedSentiment

    return Loaded(ScriptedSentiment(), SCRIPTED)


def _shop(encoder_ref: str) -> Loaded:
    from app.models.load import text_encoder
    from app.recommend import systems
    from app.recommend.shop import Shop

    encoder = text_encoder(references.resolve(encoder_ref))
    data = interactions(ORDERS)
    recommender = systems.build(RECOMMENDER, encoder)
    recommender.fit(data.ratings, data.items)
    shop = Shop(data.ratings, data.items, recommender, encoder)
    return Loaded(shop, f"{RECOMMENDER}/{encoder.name}")
