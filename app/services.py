"""The product in one object: settings -> Services, which both the page and HTTP call.

Nothing here knows Gradio or HTTP. A handler translates widgets or JSON to one call and back.

Layers, downwards: app.ui and app.server (with app.web) import app.services, which is put together
from app.serving: features (how each is loaded), loading (slots that swap), turns, quota, metrics.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from app.core import brief as briefs
from app.core.commerce import Commerce
from app.core.errors import InputError, StoreDown, TooLarge
from app.core.release import Release
from app.core.settings import Settings, signing_secret
from app.core.visitor import Visitors
from app.serving import own
from app.serving.accounts import Accounts
from app.serving.deskwork import Deskwork
from app.serving.features import Loaders, demo_answers, loaders
from app.serving.loading import Readiness, Slot, Watcher
from app.serving.metrics import Metrics
from app.serving.quota import Quota
from app.serving.turns import ChatPart, Turns
from app.serving.typed import typed
from app.store.db import Store, open_store
from app.store.owners import Erased
from app.support import mood
from app.support.session import Helpers

if TYPE_CHECKING:
    from app.recommend.shop import Filters, Shop, Suggestion
    from app.sentiment.classifier import Prediction, Sentiment
    from app.support.chat import SupportChat

MAX_TEXTS = 64
"""Texts in one call of the classifier."""
MAX_LIKED = 100
_RATINGS = (-1, 1)


class Classified(NamedTuple):
    """A prediction, and the id under which it was kept for feedback (none unless asked)."""

    prediction: Prediction
    message_id: str | None


class Services:
    """Everything a page or route needs. `start` loads in the background; `stop` ends it.

    `owner` is who asks (app.core.visitor); `quota` is who the rate limit counts, by default the
    owner. Raises, wherever called: NotReady while the feature loads, TooMany over the limit. Making
    one raises ConfigError for what the settings or the brief name wrongly.
    """

    def __init__(
        self, settings: Settings, *, store: Store | None = None, load: Loaders | None = None
    ) -> None:
        self.settings = settings
        self.brief = briefs.read()
        theirs = own.commerce(settings.commerce) if settings.commerce else None
        self.store = store or open_store(settings.database)
        self._demo = True
        self.commerce: Commerce = self.store.commerce if theirs is None else theirs
        secret = signing_secret(settings)
        self.visitors = Visitors(secret)
        self.accounts = Accounts(self.store, secret)
        self.metrics = Metrics()
        self._quota = Quota(settings.messages_per_minute)
        self._slots = {
            name: Slot(name, *loader)
            for name, loader in (load or loaders(settings, self.store)).items()
        }
        self._watcher = Watcher(self._slots.values(), self.sweep)
        self._turns = Turns(self.store, settings, self._quota, self.metrics, self._helpers)
        self.desk = Deskwork(self.store, self.metrics, lambda: self.shop, lambda: self.support)

    # Life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load every feature in a background thread, then watch the releases. Returns at once."""
        self._watcher.start()

    def load(self) -> None:
        """Load every feature now, here: for programs that serve nobody meanwhile."""
        for slot in self._slots.values():
            slot.refresh()

    def stop(self) -> None:
        """Stop watching and every turn under way; what was said is stored. Safe to call twice."""
        self._watcher.stop()
        self._turns.cancel_all()

    def sweep(self) -> None:
        """Delete what is older than the brief's retention_days."""
        self.store.maintenance.retention(self.brief.retention_days)

    def ready(self) -> Readiness:
        """Whether all features answer, and for each {"state", "release"?, "error"?}."""
        return Readiness.of(self._slots.values())

    @property
    def sentiment(self) -> Sentiment:
        """The classifier now served. Raises NotReady, or why it failed to load."""
        return self._slots["sentiment"].current()  # type: ignore[no-any-return]

    @property
    def support(self) -> SupportChat:
        """The chat system now served. Raises NotReady, or why it failed to load."""
        return self._slots["support"].current()  # type: ignore[no-any-return]

    @property
    def shop(self) -> Shop:
        """Catalogue and recommender now served. Raises NotReady, or why it failed to load."""
        return self._slots["recommend"].current()  # type: ignore[no-any-return]

    @property
    def demo(self) -> bool:
        """Whether the demo shop's articles answer: the page says then that the shop is invented.

        While the database cannot be asked, as when it could last: the page is shown all the same.
        """
        with suppress(StoreDown):
            self._demo = demo_answers(self.settings, self.store)
        return self._demo

    # Calls --------------------------------------------------------------------------------------

    def chat(
        self,
        owner: str,
        text: str,
        *,
        conversation_id: str | None = None,
        language: str = "en",
        cancel: threading.Event | None = None,
        quota: str | None = None,
        replaces: str | None = None,
    ) -> Iterator[ChatPart]:
        """One turn. First part: ids, no text, the user's turn is stored. Then new text. Last: done.

        conversation_id: none begins a conversation; somebody else's raises NotFound.
        language: of the page, "en" or "zh"; the answer's language follows the question.
        replaces: id of your last question there, which this one takes the place of; it is kept.
        cancel: set it, or close the iterator, to stop; the partial answer is stored as cancelled.
        Raises (at the first part) InputError for an empty text, TooLarge, NotFound, NotReady,
        TooMany, also while the owner's previous question is still being answered.
        """
        return self._turns.run(
            lambda: self.support, owner, text, conversation_id, language,
            cancel or threading.Event(), quota or owner, replaces,
        )  # fmt: skip

    def classify(
        self, texts: Sequence[str], owner: str, *, keep: bool = False, quota: str | None = None
    ) -> list[Classified]:
        """Predictions in the order of `texts` (at most MAX_TEXTS, each non-empty and bounded).

        keep: store text and prediction, so that `feedback` can be given on the message_id; without
        it nothing is stored.
        """
        clean = [self._text(text) for text in _bounded(texts)]
        model = self.sentiment
        self._quota.spend("sentiment", quota or owner)
        with self.metrics.timed("sentiment"):
            predictions = model.predict(clean)
        kept = [self._keep(owner, t, p, model.release) if keep else None
                for t, p in zip(clean, predictions, strict=True)]  # fmt: skip
        return [Classified(p, id_) for p, id_ in zip(predictions, kept, strict=True)]

    def recommend(
        self,
        owner: str,
        *,
        user: str | None = None,
        liked: Sequence[str] = (),
        query: str | None = None,
        filters: Filters | None = None,
        k: int = 10,
        language: str = "en",
        quota: str | None = None,
    ) -> list[Suggestion]:
        """Up to k products: for a known shop customer, for what is liked, for what is looked for.

        With none of the three: what is popular. Unknown ids in `liked` raise NotFound.
        """
        if len(liked) > MAX_LIKED:
            raise TooLarge(f"liked: at most {MAX_LIKED} products, found {len(liked)}")
        wanted = self._text(query) if query and query.strip() else None
        shop = self.shop
        self._quota.spend("recommend", quota or owner)
        with self.metrics.timed("recommend"):
            return shop.suggest(
                user=user, liked=tuple(liked), query=wanted, filters=filters, k=k, language=language
            )

    def feedback(
        self,
        owner: str,
        message_id: str,
        rating: int,
        *,
        reason: str | None = None,
        correction: str | None = None,
        consent: bool = False,
        quota: str | None = None,
    ) -> None:
        """Store a thumb on an answer or a kept prediction of this owner; again replaces it.

        rating: 1 or -1. correction: for sentiment one of the labels. consent: may be trained on.
        Raises NotFound for a message that is not the owner's, InputError for a bad rating or label.
        """
        if rating not in _RATINGS:
            raise InputError(f"rating: expected 1 or -1, found {rating!r}")
        reason, correction = self._optional(reason), self._optional(correction)
        self._quota.spend("feedback", quota or owner)
        message = self.store.conversations.rateable(owner, message_id)
        if message.kind == "sentiment" and correction:
            self._known_label(correction)
        self.store.feedback.add(
            owner, message_id, rating, reason=reason, correction=correction, consent=consent
        )
        self.metrics.feedback.labels(message.kind, str(rating)).inc()

    def export_mine(self, owner: str) -> dict[str, Any]:
        """All that is kept of this owner, as typed (app.store.owners.Owners.export)."""
        return self.store.owners.export(owner)

    def delete_mine(self, owner: str) -> Erased:
        """Delete all that is kept of this owner, for good; how much there was."""
        return self.store.owners.erase(owner)

    def _helpers(self) -> Helpers:
        """The shop's system, the desk, and the other features as far as they are loaded."""
        return Helpers(
            commerce=self.commerce, desk=self.desk,
            mood=mood.reader(self._predict), shop=self._suggests,
        )  # fmt: skip

    def _predict(self, texts: Sequence[str]) -> list[Prediction]:
        return self.sentiment.predict(texts)

    def _suggests(self) -> Shop | None:
        slot = self._slots.get("recommend")
        return slot.current() if slot and slot.state()["state"] == "ready" else None

    def _keep(self, owner: str, text: str, found: Prediction, release: Release | None) -> str:
        return self.store.conversations.keep_sample(
            owner, text, found.label, found.score, release.id if release else "scripted",
            release.prompt_version if release else None,
        )  # fmt: skip

    def _known_label(self, label: str) -> None:
        if label not in self.sentiment.labels:
            known = ", ".join(self.sentiment.labels)
            raise InputError(f"correction: expected one of {known}, found {label[:40]!r}")

    def _optional(self, text: str | None) -> str | None:
        return self._text(text) if text and text.strip() else None

    def _text(self, text: str) -> str:
        return typed(text, self.settings.max_text_chars)


def _bounded(texts: Sequence[str]) -> Sequence[str]:
    if not texts:
        raise InputError("texts: expected at least one text, found none", zh="请先输入一些文字。")
    if len(texts) > MAX_TEXTS:
        raise TooLarge(f"texts: at most {MAX_TEXTS} in one call, found {len(texts)}")
    return texts


__all__ = ["ChatPart", "Classified", "Readiness", "Services"]
