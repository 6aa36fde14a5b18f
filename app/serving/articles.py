"""The help articles that customers may read whole, by id."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from app.core.errors import NotFound
from app.core.settings import Settings
from app.serving.features import articles
from app.store.db import Store

PUBLIC = "public"


class Articles:
    """Read anew where the store's articles have changed, so that what is deleted is gone."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self._revision: str | None = None
        self._public: Mapping[str, Mapping[str, Any]] = {}

    def get(self, article: str) -> Mapping[str, Any]:
        """{id, text, title?, lang?, url?}. Raises NotFound, also for what only agents may see."""
        with self._lock:
            revision = self._store.articles.revision()
            if revision != self._revision:
                docs = articles(self._settings, self._store)
                self._public = {str(d["id"]): d for d in docs if _is_public(d)}
                self._revision = revision
        found = self._public.get(article)
        if found is None:
            raise NotFound("there is no such article (any more)", zh="没有这篇文章，或已被删除。")
        return found


def _is_public(doc: Mapping[str, Any]) -> bool:
    return str(doc.get("visibility") or PUBLIC) == PUBLIC
