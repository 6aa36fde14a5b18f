"""What stands in the thread: every text is escaped here, and Gradio sanitises once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from app.store.rows import Turn
from app.ui.i18n import text

EXAMPLES = ("chat.example1", "chat.example2", "chat.example3", "chat.example4")
_THUMBS = {1: "Like", -1: "Dislike", None: None}
_CUT = ("cancelled", "length", "error")
_TYPING = '<span class="typing" role="img" aria-label="{0}"><i></i><i></i><i></i></span>{1}'


def thread(turns: Sequence[Turn], language: str) -> Any:
    """A whole conversation, with its owner's thumbs, as an update of the gr.Chatbot."""
    thumbs = [_THUMBS[turn.rating] for turn in turns if turn.role == "assistant"]
    return gr.update(value=messages(turns, language), feedback_value=thumbs)


def messages(turns: Sequence[Turn], language: str) -> list[dict[str, str]]:
    """Stored turns, one message each."""
    return [
        said(t.role, answered(t, language) if t.role == "assistant" else bubble(t.content))
        for t in turns
    ]


def said(role: str, content: str) -> dict[str, str]:
    """A message as gr.Chatbot takes it."""
    return {"role": role, "content": content}


def bubble(content: str) -> str:
    """A text as it was written, line by line: no markup of it is interpreted."""
    lines = "\n".join(f'<span class="line">{escape(line)}</span>' for line in content.split("\n"))
    return f'<span class="said">{lines}</span>'


def answered(turn: Turn, language: str) -> str:
    """A stored answer: its text, why it ends where it does, and the articles it rests on."""
    parts = [bubble(turn.content)] if turn.content else []
    if turn.finish in _CUT:
        parts.append(f'<span class="cut">{text(language, f"chat.{turn.finish}")}</span>')
    return "".join(parts) + sources(turn.citations, language)


def sources(citations: Sequence[Mapping[str, Any]], language: str) -> str:
    """Numbered articles; each opens to the passage that was used."""
    if not citations:
        return ""
    rows = "".join(
        f'<details class="source"><summary><b>{number}</b> {escape(str(c["title"]))}</summary>'
        f'<span class="passage">{escape(str(c["passage"]))}</span></details>'
        for number, c in enumerate(citations, 1)
    )
    title = f'<span class="from">{text(language, "chat.sources")}</span>'
    return f'<span class="sources">{title}{rows}</span>'


def typing(language: str, *, waking: bool = False) -> str:
    """Three dots that move until the first word is there."""
    why = f'<span class="cut">{text(language, "chat.waking")}</span>' if waking else ""
    return _TYPING.format(text(language, "chat.typing"), why)


def spoken(answer: str) -> str:
    """What a screen reader says once when the answer is whole."""
    return f'<div role="status" aria-live="polite" class="unseen">{escape(answer)}</div>'


def welcome(language: str) -> str:
    """The empty thread."""
    return f"<h2>{text(language, 'chat.hello')}</h2><p>{text(language, 'chat.intro')}</p>"


def examples(language: str) -> list[dict[str, str]]:
    """Quick starts under the welcome."""
    return [{"text": text(language, key)} for key in EXAMPLES]


def heading(words: str) -> str:
    """A small heading."""
    return f"<h3>{escape(words)}</h3>"


def small(words: str) -> str:
    """A line in small print."""
    return f'<p class="small">{escape(words)}</p>'
