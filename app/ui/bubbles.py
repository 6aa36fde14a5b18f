"""What stands in the thread: every text is escaped here, and Gradio sanitises once more.

Gradio's sanitiser drops data-* and aria-*: a button's `name` says what page.js does with it, its
`value` with what, its text or title how it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from app.core.memory import Memory
from app.store import branches
from app.store.rows import Turn
from app.ui import cited
from app.ui.article import address
from app.ui.cited import Citations
from app.ui.i18n import text

EXAMPLES = ("chat.example1", "chat.example2", "chat.example3", "chat.example4")
_THUMBS = {1: "Like", -1: "Dislike", None: None}
_CUT = ("cancelled", "length", "error")
_TYPING = '<span class="typing" role="img" title="{0}"><i></i><i></i><i></i></span>{1}'
Message = dict[str, Any]


def thread(turns: Sequence[Turn], language: str, memory: Memory | None = None) -> Any:
    """A whole conversation, with its owner's thumbs, as an update of the gr.Chatbot.

    memory: has the replies that the last answer suggests; a title of an article is called one.
    """
    thumbs = [_THUMBS[turn.rating] for turn in turns if turn.role == "assistant"]
    said = messages(turns, language)
    if said and memory is not None and memory.offered:
        said[-1]["options"] = [
            {"label": _label(reply, memory, language), "value": reply} for reply in memory.offered
        ]
    return gr.update(value=said, feedback_value=thumbs)


def _label(reply: str, memory: Memory, language: str) -> str:
    return text(language, "chat.article", title=reply) if reply in memory.near else reply


def messages(turns: Sequence[Turn], language: str, *, plain: bool = False) -> list[Message]:
    """Stored turns, one message each; unless `plain`, the last question can be asked again."""
    last = None if plain else branches.replaceable(turns)
    shown: list[Message] = []
    for turn in turns:
        if turn.role == "assistant":
            again = last if turn is turns[-1] else None
            shown.append(said("assistant", answered(turn, language) + acts(language, again)))
        else:
            edit = action("edit", text(language, "chat.edit"), turn.id) if turn is last else ""
            shown.append(said("user", bubble(turn.content) + group(edit)))
    return shown


def said(role: str, content: str) -> Message:
    """A message as gr.Chatbot takes it."""
    return {"role": role, "content": content}


def bubble(content: str) -> str:
    """A text as it was written, line by line: no markup of it is interpreted."""
    return _lines([escape(line) for line in content.split("\n")])


def answered(turn: Turn, language: str) -> str:
    """A stored answer: its text, why it ends where it does, and the articles it rests on."""
    lines = cited.lines(turn.content, turn.citations, language)
    parts = [_lines(lines)] if turn.content else []
    if turn.author:
        name = text(language, "desk.from_team", agent=turn.author)
        parts.insert(0, f'<span class="by">{escape(name)}</span>')
    if turn.finish in _CUT:
        parts.append(f'<span class="cut">{text(language, f"chat.{turn.finish}")}</span>')
    return "".join(parts) + sources(turn.citations, language)


def sources(citations: Citations, language: str) -> str:
    """Numbered articles; each opens to the passage that was used."""
    if not citations:
        return ""
    rows = "".join(
        f'<details class="source"><summary><b>{number}</b> {escape(str(c["title"]))}</summary>'
        f'<span class="passage">{escape(str(c["passage"]))}{_link(c, language)}</span></details>'
        for number, c in enumerate(citations, 1)
    )
    title = f'<span class="from">{text(language, "chat.sources")}</span>'
    return f'<span class="sources">{title}{rows}</span>'


def acts(language: str, again: Turn | None) -> str:
    """What can be done with an answer; the last one can be asked for again."""
    retry = action("retry", text(language, "chat.retry"), again.id) if again else ""
    return group(action("copy", text(language, "chat.copy")) + retry)


def group(buttons: str) -> str:
    """Buttons under a bubble."""
    return f'<span class="acts">{buttons}</span>' if buttons else ""


def action(name: str, label: str, value: str = "") -> str:
    """A small button that page.js acts on."""
    return (
        f'<button type="button" class="act {name}" name="{name}" value="{escape(value)}">'
        f"{escape(label)}</button>"
    )


def typing(language: str, *, waking: bool = False) -> str:
    """Three dots that move until the first word is there."""
    why = f'<span class="cut">{text(language, "chat.waking")}</span>' if waking else ""
    return _TYPING.format(text(language, "chat.typing"), why)


def spoken(answer: str) -> str:
    """What a screen reader says once when the answer is whole; page.js makes its place polite."""
    return f'<div class="unseen">{escape(answer)}</div>'


def notice(language: str) -> str:
    """The first line of the chat: with whom one speaks."""
    how = f"<span>{text(language, 'chat.rests')}</span>"
    return f'<p class="notice"><b>{text(language, "chat.bot")}</b> {how}</p>'


def editing(language: str) -> str:
    """A line over the box while the last question is edited; page.js shows it."""
    stop = action("unedit", text(language, "feedback.cancel"))
    return f'<p class="small">{text(language, "chat.editing")} {stop}</p>'


def welcome(language: str, demo: bool) -> str:
    """The empty thread; what one may ask of the demo's articles where those answer."""
    intro = text(language, "chat.demo" if demo else "chat.intro")
    return f"<h2>{text(language, 'chat.hello')}</h2><p>{intro}</p>"


def examples(language: str, demo: bool) -> list[dict[str, str]]:
    """Quick starts under the welcome; none for articles of which nobody knows what they answer."""
    return [{"text": text(language, key)} for key in EXAMPLES] if demo else []


def heading(words: str) -> str:
    """A small heading."""
    return f"<h3>{escape(words)}</h3>"


def small(words: str) -> str:
    """A line in small print."""
    return f'<p class="small">{escape(words)}</p>'


def _lines(lines: Sequence[str]) -> str:
    """Lines of markup, each in a block of its own."""
    rows = "\n".join(f'<span class="line">{line}</span>' for line in lines)
    return f'<span class="said">{rows}</span>'


def _link(citation: Mapping[str, Any], language: str) -> str:
    """A way to the whole article."""
    return (
        f'<a class="whole" href="{escape(address(citation))}" target="_blank" '
        f'rel="noopener noreferrer">{text(language, "chat.whole")}</a>'
    )
