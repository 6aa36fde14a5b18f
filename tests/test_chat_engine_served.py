"""A real, tiny model behind the product: a stop ends it, and many users hear their own answers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.messages import Message
from app.models.base import Options
from app.models.encoder import HashEncoder
from app.services import Services
from app.support.chat import SupportChat
from tests.helpers_models import tiny_llama
from tests.helpers_server import Fakes, make_services

ARTICLES = [
    {"id": "refunds", "title": "Refunds", "text": "Refunds take five days."},
    {"id": "kettles", "title": "Kettles", "text": "Clean the kettle with lemon once a month."},
]


@pytest.fixture
def engine(tmp_path: Path):
    from app.models.transformers_chat import TransformersChat

    return TransformersChat(tiny_llama(tmp_path / "tiny"))


def served(engine, options: Options) -> Services:
    """The product, whose chat phrases with `engine`."""
    fakes = Fakes()
    chat = SupportChat.of_system(
        "base", ARTICLES, model="scripted", encoder=HashEncoder(), threshold=0.0, options=options
    )
    chat.model = engine
    fakes.support = chat  # type: ignore[assignment]
    return make_services(fakes, messages_per_minute=1000)


@pytest.fixture
def services(engine) -> Iterator[Services]:
    made = served(engine, Options(max_new_tokens=600))
    yield made
    made.stop()
    made.store.close()


@pytest.mark.parametrize("how", ["the event", "leaving"])
def test_a_stop_ends_the_model_within_a_second(
    engine, services: Services, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = engine.rows.step
    # As slow as a large model, so that only the stop can have ended it in time.
    monkeypatch.setattr(engine.rows, "step", lambda: time.sleep(0.05) or step())
    cancel = threading.Event()
    parts = services.chat("me", "do refunds take days?", cancel=cancel)
    next(parts)
    reader = threading.Thread(target=lambda: list(parts))
    reader.start()
    end = time.monotonic() + 5
    while not working() and time.monotonic() < end:
        time.sleep(0.01)
    assert working()
    began = time.monotonic()
    if how == "the event":
        cancel.set()
    else:
        services.stop()  # the app ends: every turn under way is stopped
    reader.join(5)
    while working() and time.monotonic() < began + 5:
        time.sleep(0.01)
    assert time.monotonic() - began < 1.0
    (conversation,) = services.store.conversations.list("me")
    *_, kept = services.store.conversations.history("me", conversation.id)
    assert kept.finish == "cancelled"


def working() -> bool:
    """Whether the model's thread runs."""
    return any(thread.name == "answer" for thread in threading.enumerate())


def test_many_users_at_once_hear_what_each_would_hear_alone(engine, tmp_path: Path) -> None:
    """Turns over the prefix cache; each user's words carry a canary of their own."""
    from app.models.transformers_chat import TransformersChat

    users, turns, options = 6, 3, Options(max_new_tokens=24)
    together, alone = engine, TransformersChat(tmp_path / "tiny")
    heard: dict[int, list[str]] = {}

    def conversation(speaker, user: int) -> list[str]:
        chat = SupportChat.of_system(
            "base", ARTICLES, model="scripted", encoder=HashEncoder(), threshold=0.0,
            options=options,
        )  # fmt: skip
        chat.model = speaker
        history: list[Message] = []
        said = []
        for turn in range(turns):
            asked = f"canary{user:03d}: do refunds take days, {turn}?"
            said.append(chat.answer(asked, history).text)
            history += [Message(role="user", content=asked),
                        Message(role="assistant", content=said[-1])]  # fmt: skip
        return said

    def user_of(number: int) -> None:
        heard[number] = conversation(together, number)

    threads = [threading.Thread(target=user_of, args=(n,)) for n in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == list(range(users))
    for number, other in itertools.permutations(range(users), 2):
        assert f"canary{other:03d}" not in " ".join(heard[number])
    for number in (0, users - 1):
        assert heard[number] == conversation(alone, number)
