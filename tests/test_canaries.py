"""Two people at once never see each other's words: the proof in miniature, and a real model."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.core.files import read_json
from app.core.messages import Message
from app.models.base import ChatModel, Options, complete
from app.support.answer import TurnPart
from tests import prove_canaries
from tests.helpers_models import tiny_llama
from tests.prove import FOLDER
from tests.prove_canaries import canaries, canary

WAYS = ("echo_http", "echo_page", "scripted_http", "scripted_page")
OPTIONS = Options(max_new_tokens=6)


def holds(found: dict[str, dict[str, int]], users: int, turns: int) -> None:
    for way in WAYS:
        assert found[way] == {"turns": users * turns, "foreign": 0, "lost": 0}, way
    for stored in ("echo_stored", "scripted_stored"):
        assert found[stored] == {"conversations": 2 * users, "mixed": 0}


@pytest.mark.slow
def test_a_few_people_at_once_see_only_their_own_words() -> None:
    holds(canaries(3, users=4), 4, 3)


@pytest.mark.slow
def test_a_service_that_mixes_people_up_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Message] = []

    class Leaky(prove_canaries.Echo):
        """Remembers everybody's questions, and says them to all."""

        def turn(self, question: str, history: Sequence[Message], *_: Any) -> Iterator[TurnPart]:
            heard.append(Message(role="user", content=question))
            return super().turn(question, [*history, *heard])

    monkeypatch.setattr(prove_canaries, "Echo", Leaky)
    found = canaries(2, users=3)
    assert found["echo_http"]["foreign"] > 0
    assert found["echo_page"]["foreign"] > 0
    assert found["echo_stored"]["mixed"] > 0


def test_the_committed_proof_of_the_canaries_holds() -> None:
    holds(read_json(FOLDER / "canaries.json")["found"], 32, 20)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (f"{canary(1, 0)} {canary(1, 1)}", None),
        (f"{canary(1, 1)} {canary(2, 0)}", "foreign"),
        (f"{canary(1, 0)} {canary(1, 1)} {canary(1, 2)}", "foreign"),  # of a turn to come
        (canary(1, 1), "lost"),
        ("", "lost"),
    ],
)
def test_a_canary_of_somebody_else_or_a_lost_one_is_seen(text: str, verdict: str | None) -> None:
    assert prove_canaries._judged(text, 1, 1, complete=True) == verdict


def test_a_real_model_says_to_each_of_many_what_it_says_to_one_alone(tmp_path: Path) -> None:
    from app.models.transformers_chat import TransformersChat

    folder = tiny_llama(tmp_path)
    alone = [_talk(TransformersChat(folder), user) for user in range(4)]
    shared = TransformersChat(folder)  # one model, with what it keeps of every prompt
    together: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=lambda u=user: together.update({u: _talk(shared, u)}))  # type: ignore[misc]
        for user in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [together[user] for user in range(4)] == alone
    assert len({tuple(said) for said in alone}) == 4  # else the test could not tell them apart


def _talk(model: ChatModel, user: int) -> list[str]:
    """Three turns of one conversation, each over all that was said before."""
    said: list[Message] = [Message(role="system", content="You are the help desk of a shop.")]
    answers: list[str] = []
    for turn in range(3):
        said.append(Message(role="user", content=f"{canary(user, turn)} where is it?"))
        answers.append(_answer(model, said))
        said.append(Message(role="assistant", content=answers[-1]))
    return answers


def _answer(model: ChatModel, said: Sequence[Message]) -> str:
    return complete(model, said, OPTIONS)
