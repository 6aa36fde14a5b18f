"""Questions over help articles as samples: what retrieval and support share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.core.data import parse_ref
from app.core.kinds import Query
from app.core.messages import Message
from eval.samples import Sample


class Originals:
    """Maps an article to the one that it translates (`same_as`), else to itself."""

    def __init__(self, docs: Iterable[Mapping[str, Any]]) -> None:
        self._of = {str(doc["id"]): str(doc.get("same_as") or doc["id"]) for doc in docs}

    def __call__(self, articles: Iterable[str]) -> list[str]:
        """Originals in the order given, each once."""
        return list(dict.fromkeys(self._of.get(article, article) for article in articles))


def samples(ref: str, queries: Iterable[Query], originals: Originals) -> list[Sample]:
    """Queries with their gold articles, sliced by language and kind; the demo's also by topic.

    Public questions were written several from one document, so those on one document are a cluster;
    the demo shop's were each written from a card of their own.
    """
    public = parse_ref(ref).scheme != "demo"
    return [_sample(query, originals, query.topic if public else None) for query in queries]


def _sample(query: Query, originals: Originals, cluster: str | None) -> Sample:
    slices = {"language": query.lang, "kind": query.kind}
    if cluster is None and query.gold and query.topic:
        slices["topic"] = query.topic  # thousands of them, or a question each, say nothing
    return Sample(query.id, query.text, originals(query.gold), slices, query, cluster or None)


def history(asked: Sample) -> list[Message]:
    """The turns before the question, as the chat hands them on."""
    return [Message.model_validate(dict(turn)) for turn in asked.source.history]
