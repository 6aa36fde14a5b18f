"""Answers made several at a time are the answers of the chat, one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.core import data
from app.core.errors import TooLarge
from app.core.messages import Message
from app.models.base import GREEDY, Delta, Options
from app.models.scripted import ScriptedChat
from app.support.chat import SupportChat
from eval import batched

REF = "demo:support#dev"


class Batching(ScriptedChat):
    """The scripted model, which answers several at once and counts how often it was called."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def generate_batch(
        self, conversations: Sequence[Sequence[Message]], options: Options = GREEDY
    ) -> list[Delta]:
        self.sizes.append(len(conversations))
        streams = [list(self.stream(messages, options)) for messages in conversations]
        return [
            Delta("".join(d.text for d in said), True, said[-1].finish, said[-1].tokens)
            for said in streams
        ]


@pytest.fixture(scope="module")
def chat() -> SupportChat:
    return SupportChat.of_system("base", data.corpus(REF).docs, model="scripted")


def asked() -> list[batched.Asked]:
    """The dev questions with their history, small talk and an English and a Chinese decline."""
    own = [
        (q.text, [Message.model_validate(turn) for turn in q.history])
        for q in data.corpus(REF).queries
    ]
    return [*own, ("hello", []), ("Who won the cup in 1987?", []), ("你好", [])]


def test_a_batch_says_what_the_chat_says(chat: SupportChat) -> None:
    one_by_one = [chat.answer(question, history) for question, history in asked()]
    model = Batching()
    chat.model = model
    assert batched.answers(chat, asked()) == one_by_one
    assert len(model.sizes) == 1
    assert 0 < model.sizes[0] < len(asked())  # small talk and Chinese never reach the model


def test_a_chat_that_quotes_is_asked_one_by_one() -> None:
    chat = SupportChat.of_system("quote", data.corpus(REF).docs, model="scripted")
    said = batched.answers(chat, asked()[:5])
    assert said == [chat.answer(question, history) for question, history in asked()[:5]]


def test_a_model_that_cannot_batch_is_asked_one_by_one(chat: SupportChat) -> None:
    chat.model = ScriptedChat()
    said = batched.answers(chat, asked()[:5])
    assert said == [chat.answer(question, history) for question, history in asked()[:5]]


def test_what_one_turn_raises_is_raised(chat: SupportChat) -> None:
    chat.model = Batching()
    with pytest.raises(TooLarge):
        batched.answers(chat, [("x " * 100_000, [])])
