"""Learn from the ways to ask ahead, so that no start waits: `python -m app.knowledge.learnt [DIR]`.

Learns for the demo shop's articles (`make setup` and `python -m deploy stage` run it), or finds it
done, and copies what was learnt into DIR where one is named.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from app.knowledge import confidence
from app.knowledge.asked import place
from app.knowledge.passages import SEES, Doc, MemoryIndex
from app.knowledge.settings import LANGUAGES


def learn(docs: Iterable[Doc]) -> list[Path]:
    """The files in the cache with what the ways to ask of `docs` taught, made where needed."""
    from app.models.load import resolve, text_encoder

    fitted = confidence.load()
    encoder = text_encoder(resolve(fitted.encoder))
    mute = fitted.retrieval.mute()
    index = MemoryIndex(encoder, mute).changed(docs)
    shelves = (index.candidates((), lang, audience) for audience in SEES for lang in LANGUAGES)
    made = {id(shelf): shelf.asked for shelf in shelves if shelf.asked}
    return [
        place(own.ways, None if own.language in mute else encoder, own.language)
        for own in made.values()
    ]


def main(folder: str | None = None) -> None:
    """Learn, and copy."""
    from app.core.data import corpus

    for path in learn(corpus("demo:support").docs):
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder)


if __name__ == "__main__":
    import sys

    from app.core.errors import guarded

    guarded(lambda: main(*sys.argv[1:2]))
