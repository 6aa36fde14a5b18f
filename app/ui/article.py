"""A help article as a page: every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from app.ui.i18n import known, text
from app.ui.plain import document

_WEB = ("http://", "https://")
_HEADING = re.compile(r"^#{1,6} +(.+)$")


def page(shop: str, article: Mapping[str, Any], language: str) -> str:
    """Title, paragraphs, and the way back to the chat."""
    language = known(language)
    title = str(article.get("title") or article["id"])
    paragraphs = "".join(_block(b) for b in str(article["text"]).split("\n\n") if b.strip())
    back = f'<nav><a href="/">{text(language, "login.back")}</a></nav>'
    body = f"<h1>{escape(title)}</h1>{paragraphs}{back}"
    return document(shop, language, title, body, "article")


def _block(words: str) -> str:
    """A paragraph, or a heading of Markdown with what follows it."""
    first, _, rest = words.strip().partition("\n")
    heading = _HEADING.match(first)
    if heading is None:
        return f"<p>{escape(words.strip())}</p>"
    return f"<h2>{escape(heading[1])}</h2>" + (_block(rest) if rest else "")


def address(citation: Mapping[str, Any]) -> str:
    """Where the article lies on the web, else our own page of it."""
    url = str(citation.get("url") or "")
    return url if url.startswith(_WEB) else f"articles/{quote(str(citation.get('id') or ''))}"
