"""A help article as a page: every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from app.ui.i18n import known, text
from app.ui.plain import document

_WEB = ("http://", "https://")


def page(article: Mapping[str, Any], language: str) -> str:
    """Title, paragraphs, and the way back to the chat."""
    language = known(language)
    title = str(article.get("title") or article["id"])
    paragraphs = "".join(f"<p>{escape(p)}</p>" for p in str(article["text"]).split("\n\n") if p)
    back = f'<nav><a href="/">{text(language, "login.back")}</a></nav>'
    return document(language, title, f"<h1>{escape(title)}</h1>{paragraphs}{back}", "article")


def address(citation: Mapping[str, Any]) -> str:
    """Where the article lies on the web, else our own page of it."""
    url = str(citation.get("url") or "")
    return url if url.startswith(_WEB) else f"articles/{quote(str(citation.get('id') or ''))}"
