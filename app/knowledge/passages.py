"""The seam behind the search: articles go in and out, an audience's candidates come back.

`MemoryIndex` holds everything and scores every passage. A database can take over by keeping the
same contract (tests/helpers_index.py): of each text it may give back the best few hundred passages
alone, scored. What an audience may not see is left out before anything is ranked or counted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol

from app.core.files import sha256_text
from app.knowledge.shelf import Candidates, Shelf
from app.knowledge.split import Section, split
from app.models.encoder import TextEncoder

Audience = Literal["public", "agents"]
SEES: dict[Audience, tuple[str, ...]] = {"public": ("public",), "agents": ("public", "agents")}
"""Visibilities that an audience may see; an unknown one is seen by nobody."""
Doc = Mapping[str, Any]
"""An article {id, text, title?, lang?, visibility?, url?, questions?: app.knowledge.alternates}."""


class PassageIndex(Protocol):
    """Articles as passages, kept by article. An index is never changed, only followed by another:
    a turn ends on the one that it began with. (A database gives each its snapshot or version.)"""

    def changed(self, put: Iterable[Doc] = (), remove: Collection[str] = ()) -> PassageIndex:
        """The index that follows: articles of `put` are added, or replaced where their id is there;
        those of `remove` are gone, from every field and for every audience. Unknown ids are
        passed over."""
        ...

    def held(self) -> Mapping[str, str]:
        """The `fingerprint` of each article by its id, whatever its visibility."""
        ...

    def candidates(
        self, texts: Sequence[str], language: str, audience: Audience = "public"
    ) -> Candidates:
        """Passages that `audience` may see, to be scored for each of `texts`: all or the best.

        In `language`; in another where the audience sees none in it; none at all where it sees
        nothing.
        """
        ...


def fingerprint(doc: Doc) -> str:
    """Of everything in an article."""
    return sha256_text(json.dumps(dict(doc), ensure_ascii=False, sort_keys=True, default=str))


class _Article(NamedTuple):
    fingerprint: str
    visibility: str
    sections: Sequence[Section]


class MemoryIndex:
    """Everything in memory and scored exactly: right up to some ten thousands of passages.

    The next index keeps the shelves whose articles did not change, and vectors come from the cache,
    so that a change costs the new passages and the words of one language.
    """

    def __init__(self, encoder: TextEncoder, mute: Collection[str] = ()) -> None:
        """mute: languages that the encoder does not speak."""
        self._encoder, self._mute = encoder, mute
        self._encode = lru_cache(maxsize=1024)(lambda text: encoder.encode([text])[0])
        self._articles: dict[str, _Article] = {}
        self._shelves: dict[Audience, dict[str, Shelf]] = {audience: {} for audience in SEES}

    def changed(self, put: Iterable[Doc] = (), remove: Collection[str] = ()) -> MemoryIndex:
        """See PassageIndex.changed."""
        after = MemoryIndex(self._encoder, self._mute)
        after._encode = self._encode
        after._articles = {id_: a for id_, a in self._articles.items() if id_ not in remove}
        for doc in put:
            seen_by = str(doc.get("visibility") or "public")
            after._articles[str(doc["id"])] = _Article(fingerprint(doc), seen_by, split(doc))
        for audience in SEES:
            after._shelves[audience] = after._arranged(audience, self)
        return after

    def held(self) -> dict[str, str]:
        """See PassageIndex.held."""
        return {id_: article.fingerprint for id_, article in self._articles.items()}

    def candidates(
        self, texts: Sequence[str], language: str, audience: Audience = "public"
    ) -> Shelf:
        """See PassageIndex.candidates; all of them."""
        del texts
        shelves = self._shelves[audience]
        return shelves.get(language) or next(iter(shelves.values()), None) or self._shelf([])

    def _arranged(self, audience: Audience, before: MemoryIndex) -> dict[str, Shelf]:
        """A shelf for each language; one that stood there before with the same sections is kept."""
        found: dict[str, list[Section]] = defaultdict(list)
        for article in self._articles.values():
            if article.visibility in SEES[audience]:
                for section in article.sections:
                    found[section.passage.lang].append(section)
        known = [*before._shelves[audience].values(), *self._shelves["public"].values()]
        last = before._shelves[audience]
        return {
            lang: self._kept(own, known) or self._shelf(own, last.get(lang))
            for lang, own in found.items()
        }

    def _kept(self, sections: Sequence[Section], known: Sequence[Shelf]) -> Shelf | None:
        return next((shelf for shelf in known if shelf.sections == sections), None)

    def _shelf(self, sections: Sequence[Section], before: Shelf | None = None) -> Shelf:
        language = sections[0].passage.lang if sections else ""
        speaks = language not in self._mute
        return Shelf(sections, self._encoder, self._encode, speaks=speaks, before=before)
