"""YAML front matter: the fields above a text of Markdown, and who may see it beyond doubt."""

from __future__ import annotations

import re
from typing import Any

import yaml

from app.knowledge.ingest.document import Unreadable, misspelt_visibility

MAX_FRONT = 200_000
"""Characters of front matter; some hundred ways to ask are a few thousand."""
FIELDS = frozenset(["title", "lang", "visibility", "url", "questions", "unanswered"])
# Atomic groups: what stands above is tried in one way only, however much of it there is.
_ABOVE = r"\A(?P<above>(?>[\s\ufeff\u200b]+|<!--.*?-->)*+)"
_FRONT = re.compile(
    _ABOVE + r"---[^\S\n]*\n(?P<yaml>.*?)^(?:---|\.\.\.)[^\S\n]*$\n?",
    re.DOTALL | re.MULTILINE,
)
_OPEN = re.compile(_ABOVE + r"[-–—+]{2,}[^\S\n]*\n(?P<yaml>.*?)(?:\n[^\S\n]*\n|\Z)", re.DOTALL)
"""What was meant as front matter and is none: another fence, or no end."""
_MENTION = re.compile(
    r"^(?:visibility\b|[^\w#\n]*visibility[^\S\n]*[\"']?[^\S\n]*[:：=]).*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that sets a visibility, well or badly; not one that has the word in a sentence."""


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The fields, whose values are words, lists and maps, and the text below.

    A visibility that is no single word comes back as one that nobody knows, which
    document.named keeps for agents. Raises Unreadable where it is no YAML, or no map and mentions
    visibility: what it says of that must not be lost.
    """
    text = text.lstrip("\ufeff")
    found = _FRONT.match(text)
    if not found:
        _refuse_open(text)
        return {}, text
    told = [line.strip() for line in _MENTION.findall(found["yaml"])]
    fields = _fields(found["yaml"], told, bool(found["above"]))
    if fields is None:
        return {}, text
    return _sure(fields, told), text[found.end() :]


def _refuse_open(text: str) -> None:
    opened = _OPEN.match(text)
    if opened and _MENTION.search(opened["yaml"]):
        raise Unreadable(
            "sets a visibility in front matter that does not begin and end with ---",
            "put a line --- above and below it",
        )


def _fields(front: str, told: list[str], below: bool) -> dict[str, Any] | None:
    """None where it stands `below` something and may as well be text between two rules."""
    try:
        tree = _tree(front)
    except Unreadable:
        if below and not told:
            return None
        raise
    if told and not isinstance(tree, dict):
        raise Unreadable("has front matter that is no map", "write `key: value` lines")
    fields = tree if isinstance(tree, dict) else {}
    fields = {str(key).lower(): value for key, value in fields.items()}
    if slip := misspelt_visibility(fields):
        fields["visibility"] = fields.pop(slip)
    return fields if not below or told or FIELDS & fields.keys() else None


def _tree(front: str) -> Any:
    if len(front) > MAX_FRONT:
        raise Unreadable(f"has front matter of more than {MAX_FRONT:,} characters", "shorten it")
    try:
        # BaseLoader: words stay words (no dates, no booleans), nothing is made but lists and maps.
        return yaml.load(front, yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        at = f" (line {where.line + 2})" if where else ""
        raise Unreadable(
            f"has front matter that is no YAML{at}", "write `key: value` lines"
        ) from None


def _sure(fields: dict[str, Any], told: list[str]) -> dict[str, Any]:
    """With a visibility of one word that is set once; else with all that was said of it."""
    value = fields.get("visibility")
    if value is None and not told:
        return fields
    if isinstance(value, str) and value.strip() and len(told) < 2:
        return fields
    listed = "" if isinstance(value, str) else str(value or "")
    return fields | {"visibility": listed or "; ".join(told) or "(empty)"}
