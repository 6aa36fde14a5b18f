"""How each feature is made from its release, and the checks before a port is bound.

The heavy imports (torch, transformers) are inside the functions, which run in the loading thread.
Recommendations have no trained weights: without a release of its own, RECOMMENDER is fitted here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.core import prompt, release, textprep
from app.core.data import corpus
from app.core.files import release_dir
from app.core.release import Release
from app.core.settings import Settings
from app.models import references
from app.models.base import Options
from app.models.weights import Weights
from app.serving import own
from app.serving.loading import Loaded, Renewal

if TYPE_CHECKING:
    from app.store.db import Store

Loaders = dict[
    str,
    tuple[Callable[[], Loaded], Path | None] | tuple[Callable[[], Loaded], Path | None, Renewal],
]
"""By feature: what loads it, the release folder to watch (or none), and how it follows its data."""

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
RECOMMENDER, RECOMMEND_VERSION = "hybrid", "recommend/1"
SCRIPTED = "scripted"
ARTICLES = "demo:support"


def loaders(settings: Settings, store: Store | None = None) -> Loaders:
    """What the settings ask for: the released systems, or with `--model scripted` no weights.

    The chat rests on the articles that were ingested into `store`; without any, or without a store,
    on those of the demo shop.
    """
    docs = partial(articles, settings, store)
    support = partial(_support, settings, docs, store)
    renewal = Renewal(store.articles.revision if store else str, lambda chat: chat.over(docs()))
    if settings.model == SCRIPTED:
        return {
            "support": (support, None, renewal),
            "sentiment": (_scripted_sentiment, None),
            "recommend": (partial(_scripted_shop, settings), None),
        }
    return {
        "support": (support, release_dir() / "support", renewal),
        "sentiment": (_sentiment, release_dir() / "sentiment"),
        "recommend": (partial(_shop, settings), release_dir() / "recommend"),
    }


def articles(settings: Settings, store: Store | None) -> list[dict[str, Any]]:
    """The ingested articles alone; the demo shop's while there are none or where it is kept."""
    ingested = store.articles.docs() if store else []
    if ingested and not settings.keep_demo_articles:
        return ingested
    return [*corpus(ARTICLES).docs, *ingested]


def demo_answers(settings: Settings, store: Store) -> bool:
    """Whether the demo shop's articles are among those that answer."""
    return settings.keep_demo_articles or not store.articles.revision()


def verify(settings: Settings) -> dict[str, str]:
    """Check every release that would be served by its hashes; returns its id by feature.

    Raises InputError (what --model names is no model reference), ConfigError (what the settings
    name as catalogue is none), Mismatch, naming file and sha256, NotFound or WeightsMissing.
    Quick: weights' hashes are remembered by path, size and time. `--model scripted` serves no
    release and checks none.
    """
    if settings.model is not None:
        references.parse(settings.model)
    own.goods(settings.catalogue)
    if settings.model == SCRIPTED:
        return {}
    released = ["support", "sentiment", *(["recommend"] if _recommended() else [])]
    return {feature: _verified(release_dir() / feature, feature) for feature in released}


def _verified(folder: Path, feature: str) -> str:
    served = release.read(folder)
    release.check(served, folder, _prompt_of_code(feature, served.prompt_version))
    for base in filter(None, (served.base, served.encoder)):
        references.resolve(base.ref, sha256=base.sha256)
    return served.id


def _prompt_of_code(feature: str, recorded: str) -> str:
    """What this code renders: the recorded template where it exists, or how texts are prepared."""
    if feature == "support":
        return prompt.template(recorded).id
    return f"sentiment/{textprep.VERSION}" if feature == "sentiment" else RECOMMEND_VERSION


def _recommended() -> Release | None:
    """The released recommender, where one was promoted."""
    folder = release_dir() / "recommend"
    return release.read(folder) if (folder / "release.json").is_file() else None


def _support(
    settings: Settings, docs: Callable[[], list[dict[str, Any]]], store: Store | None
) -> Loaded:
    from app.support.chat import SupportChat
    from app.support.curated import Curated

    options = Options(max_new_tokens=settings.max_new_tokens, deadline_s=settings.deadline_s)
    chat = SupportChat.load(
        release_dir() / "support", docs(),
        model_override=settings.model, options=options,
    )  # fmt: skip
    chat.quotes_for_model = True
    chat.curated = Curated(store.curated, chat.encoder) if store else None
    return Loaded(chat, chat.release_id)


def _sentiment() -> Loaded:
    from app.sentiment.classifier import Sentiment

    model = Sentiment.load(release_dir() / "sentiment")
    assert model.release is not None
    return Loaded(model, model.release.id)


def _scripted_sentiment() -> Loaded:
    from app.sentiment.classifier import ScriptedSentiment

    return Loaded(ScriptedSentiment(), SCRIPTED)


def _shop(settings: Settings) -> Loaded:
    served = _recommended()
    if served is None:
        return _fitted(settings, RECOMMENDER, references.resolve(ENCODER))
    release.check(served, release_dir() / "recommend", RECOMMEND_VERSION)
    base = served.encoder or served.base
    weights = references.resolve(base.ref, sha256=base.sha256)
    return _fitted(settings, served.mode, weights)._replace(release=served.id)


def _scripted_shop(settings: Settings) -> Loaded:
    return _fitted(settings, RECOMMENDER, references.resolve(SCRIPTED))


def _fitted(settings: Settings, system: str, weights: Weights) -> Loaded:
    from app.models.load import text_encoder
    from app.recommend import systems
    from app.recommend.shop import Shop

    encoder = text_encoder(weights)
    data = own.goods(settings.catalogue)
    recommender = systems.build(system, encoder)
    recommender.fit(data.ratings, data.items)
    shop = Shop(data.ratings, data.items, recommender, encoder)
    return Loaded(shop, f"{system}/{encoder.name}")
