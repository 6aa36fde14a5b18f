"""Follow-ups on train and dev: with the turn before, alone, or with a word of doubt.

Printed by `pytest -s tests/test_followup_readings.py -m slow`, over the demo's articles and MiniLM.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from app.core import data
from app.core.kinds import Query
from app.core.messages import Message
from app.knowledge import followup
from app.support.chat import SHOWN, SupportChat
from app.support.finding import Found, find

pytestmark = pytest.mark.slow
OTHERS = 6
"""Foreign matters before each question that leans by its form alone."""


class Count(NamedTuple):
    """Of some questions, how many found the right article first, and how many hid a wrong one."""

    right: int
    wrong_unhedged: int
    of: int


def turns(history: Sequence[object]) -> list[Message]:
    return [Message.model_validate(turn) for turn in history]


def count(chat: SupportChat, asked: Sequence[tuple[Query, list[Message]]], *, new: bool) -> Count:
    """new: as the product finds; else always with the turn before, as it did."""
    right = hidden = 0
    for query, before in asked:
        known = chat.knowledge
        certain = chat._certain if new else lambda _: 2.0  # nothing is ever so certain
        found: Found = find(known, query.text, before, SHOWN, certain)
        first = found.articles[0].removesuffix("-zh") if found.articles else ""
        right += first in query.gold
        answered = found.sure >= chat._floor(found) and found.right >= chat._certain(found)
        hidden += first not in query.gold and answered
    return Count(right, hidden, len(asked))


def test_a_question_clear_by_itself_gains_more_than_follow_ups_lose() -> None:
    chat = SupportChat.of_system("quote", data.corpus("demo:support").docs)
    queries = [q for q in data.corpus("demo:support").queries if q.split != "test" and q.gold]
    plain = [q for q in queries if not q.history]
    rng = random.Random(3)
    after_another: list[tuple[Query, list[Message]]] = []
    for query in [q for q in plain if followup.leans(q.text)]:
        foreign = [o for o in plain if o.lang == query.lang and not set(o.gold) & set(query.gold)]
        for other in rng.sample(foreign, OTHERS):
            told = {"role": "user", "content": other.text}, {"role": "assistant", "content": "So."}
            after_another.append((query, turns(told)))
    follow_ups = [(q, turns(q.history)) for q in queries if q.history]

    was, now = (count(chat, follow_ups, new=new) for new in (False, True))
    print(f"\nfollow-ups: {now}, with the turn before alone: {was}")
    assert now.right >= was.right - 1
    assert now.wrong_unhedged <= was.wrong_unhedged + 1
    was, now = (count(chat, after_another, new=new) for new in (False, True))
    print(f"after another matter: {now}, with the turn before alone: {was}")
    assert now.right > was.right
    assert now.wrong_unhedged < was.wrong_unhedged / 2
