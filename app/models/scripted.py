"""A chat model without weights: quotes the passage sentence nearest to the question, by words.

For tests, smoke runs and a first look. Deterministic; it knows no grammar and no meaning, so that
its scores tell nothing about a real model.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence

from app.core.fingerprints import tokens
from app.core.language import detect
from app.core.messages import Message
from app.core.prompt import DECLINE
from app.models.base import GREEDY, Delta, Finish, Options

_PASSAGE = re.compile(r"^\[\d+\] (.+)$", re.MULTILINE)
_QUESTION = re.compile(r"^.*?(?:[Qq]uestion|one sentence): *(.+)$", re.MULTILINE)
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|[。！？]|$)")
_PIECE = re.compile(r"\S+\s*|\s+")


class ScriptedChat:
    """A ChatModel that copies. Streams word by word; a Chinese sentence is one word."""

    name = "scripted"

    def stream(
        self,
        messages: Sequence[Message],
        options: Options = GREEDY,
        cancel: threading.Event | None = None,
    ) -> Iterator[Delta]:
        """The copied sentence; temperature and seed change nothing."""
        began = time.monotonic()
        pieces = _PIECE.findall(answer(messages))
        finish: Finish = "stop"
        sent = 0
        for piece in pieces:
            if cancel is not None and cancel.is_set():
                finish = "cancelled"
                break
            late = options.deadline_s is not None and time.monotonic() - began > options.deadline_s
            if sent >= options.max_new_tokens or late:
                finish = "length"
                break
            sent += 1
            yield Delta(piece, tokens=sent)
        yield Delta("", done=True, finish=finish, tokens=sent)


def answer(messages: Sequence[Message]) -> str:
    """The first sentence of the passages with most question words in it, else the decline sentence.

    Passages are the lines `[n] text` of the last user turn. Words of three letters or fewer do not
    count; two words must be shared, or one where the question has only one.
    """
    asked = next((m.content for m in reversed(messages) if m.role == "user"), "")
    question = (_QUESTION.findall(asked) or asked.strip().splitlines()[-1:] or [""])[-1]
    wanted = _words(question)
    sentences = [s.strip() for p in _PASSAGE.findall(asked) for s in _SENTENCE.findall(p)]
    best = max(sentences, key=lambda s: len(wanted & _words(s)), default="")
    if not wanted or len(wanted & _words(best)) < min(2, len(wanted)):
        return DECLINE[detect(question)]
    return best


def _words(text: str) -> set[str]:
    return {word for word in tokens(text) if len(word) > 3 or not word.isascii()}
