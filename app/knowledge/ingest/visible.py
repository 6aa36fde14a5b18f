"""Which elements of a page are read: what a visitor sees of its text."""

from __future__ import annotations

import re

from bs4 import Tag

HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary"])
_UNREAD = frozenset(
    """audio button canvas del dialog embed form head iframe nav noscript object s script select
    strike style svg template textarea title video""".split()  # noqa: SIM905 (a list a reader can scroll)
)
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0*)?\s*(?:;|$)"
    r"|font-size\s*:\s*0(?:\.0*)?(?:px|pt|r?em|%)?\s*(?:;|$)"
    r"|text-decoration(?:-line)?\s*:[^;]*line-through",
    re.IGNORECASE,
)


def unread(tag: Tag) -> bool:
    """Whether a visitor does not see `tag`, or it is struck out, or no part of the text."""
    return (
        (tag.name in _UNREAD and not _holds_text(tag))
        or tag.has_attr("hidden")
        or str(tag.get("aria-hidden", "")).lower() == "true"
        or bool(_HIDING.search(str(tag.get("style", ""))))
    )


def _holds_text(tag: Tag) -> bool:
    """A button that opens the answer to its heading; a form that is put around a whole page."""
    if tag.name == "button":
        return tag.find_parent(HEADINGS) is not None or tag.find(HEADINGS) is not None
    return tag.name == "form" and tag.find(HEADINGS | {"p"}) is not None


def hidden_within(tag: Tag, outer: Tag) -> bool:
    """Whether `tag`, or what it lies in below `outer`, is not read."""
    at: Tag | None = tag
    while at is not None and at is not outer:
        if unread(at):
            return True
        at = at.parent
    return False
