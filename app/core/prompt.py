"""The one place that renders what a model is told.

Retrieved text is data: it stands in a marked block of the user turn, never in the system turn, and
control tokens in it or in the question are defused by `defuse` here and once more by the chat
template (`sanitize_control_tokens=True`, transformers 5). Each template has an integer version; a
golden file (tests/data/prompts.golden.json) pins its rendering: its test fails until that moves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from app.core.errors import NotFound, nearest
from app.core.messages import Message, Passage

DECLINE = {
    "en": "I could not find that in our help articles, so I would rather not guess.",
    "zh": "我在帮助文章里没有找到这个问题的答案，不想随便猜测。",
}
"""How a declined question is answered; the model is trained to say this very sentence."""

# Any <|...|> or [INST]-like token that a chat template could take for its own.
_CONTROL = re.compile(r"<\|[^|<>\n]{0,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>")


class Template(NamedTuple):
    """A named, versioned way to ask."""

    name: str
    version: int
    system: str
    question: str
    """Format string over {passages} and {question}."""

    @property
    def id(self) -> str:
        """`name/version`, as saved with an adapter."""
        return f"{self.name}/{self.version}"


_TEMPLATES = (
    Template(
        "support", 1,
        "You are the help desk of an online shop. Answer from the passages only, in one or two "
        f"short sentences. If they do not hold the answer, say: {DECLINE['en']}",
        "Passages:\n{passages}\n\nQuestion: {question}",
    ),
    Template(
        "support-copy", 1,
        "Answer the question by copying the sentence of the text that answers it. If the text does "
        f"not answer it, write exactly: {DECLINE['en']}",
        "Text:\n{passages}\n\nQuestion: {question}\nCopy the sentence that answers it:",
    ),
    Template(
        "support-plain", 1,
        "You are a helpful assistant of a shop. You answer briefly and truthfully.",
        "{passages}\n\nUsing only the text above, answer this question in one sentence: {question}",
    ),
)  # fmt: skip
TEMPLATES = {template.id: template for template in _TEMPLATES}
DEFAULT = "support/1"


def template(version: str) -> Template:
    """The template with id `name/version`. Raises NotFound, listing those that exist."""
    if version not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        hint = nearest(version, TEMPLATES)
        raise NotFound(f"no prompt {version!r}.{hint} This code has: {known}")
    return TEMPLATES[version]


def defuse(text: str) -> str:
    """`text` with control tokens of the common chat formats broken up by a space, into words.

    Does not cover formats not listed in _CONTROL: the tokenizer's own sanitiser is the second lock.
    """
    while _CONTROL.search(text):  # a token broken up may have held another: <|[INST]|>
        text = _CONTROL.sub(lambda m: f"{m.group()[0]} {m.group()[1:]}", text)
    return text


def support_messages(
    question: str,
    passages: Sequence[Passage],
    *,
    history: Sequence[Message] = (),
    version: str = DEFAULT,
) -> list[Message]:
    """System and user turn that ask `question` over `passages`, best passage first.

    history: the last exchange (at most one user and one assistant turn is used), for follow-ups.
    """
    chosen = template(version)
    block = "\n".join(f"[{n}] {_line(p.text)}" for n, p in enumerate(passages, 1)) or "(none)"
    asked = chosen.question.format(passages=block, question=_line(question))
    earlier = [Message(role=m.role, content=_line(m.content)) for m in history[-2:]]
    return [
        Message(role="system", content=chosen.system),
        *(m for m in earlier if m.role != "system"),
        Message(role="user", content=asked),
    ]


def _line(text: str) -> str:
    return " ".join(defuse(text).split())
