"""Questions over help articles as samples: what retrieval and support share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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


def sample(query: Query, originals: Originals) -> Sample:
    """`query` with its gold articles, sliced by language and kind."""
    slices = {"language": query.lang, "kind": query.kind}
    return Sample(query.id, query.text, originals(query.gold), slices, query)


def history(asked: Sample) -> list[Message]:
    """The turns before the question, as the chat hands them on."""
    return [Message.model_validate(dict(turn)) for turn in asked.source.history]
