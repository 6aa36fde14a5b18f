"""The arms take turns: A B C, then B C A, then C A B, so that none always runs on a warm machine.

A round is one run of each, a few minutes at most, so that the arms of a round meet the same other
load; speed-ups are made within rounds. Before the first, each arm runs once uncounted.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence

from eval.bench.base import Arm, Outcome

Round = Mapping[str, Outcome]
"""Arm -> what it gave."""
Progress = Callable[[str], None]
"""Called with the line that says what runs now; each call but the first ends a step."""


def turn(arms: Sequence[Arm], number: int) -> list[Arm]:
    """The order of the arms in round `number`, counted from 0."""
    first = number % len(arms)
    return [*arms[first:], *arms[:first]]


def take_turns(arms: Sequence[Arm], rounds: int, progress: Progress) -> list[Round]:
    """`rounds` rounds after one to warm up."""
    for arm in arms:
        progress(f"warm-up, {arm.name}")
        _run(arm)
    found: list[Round] = []
    for number in range(rounds):
        outcomes = {}
        for arm in turn(arms, number):
            progress(f"round {number + 1} of {rounds}, {arm.name}")
            outcomes[arm.name] = _run(arm)
        found.append(outcomes)
    return found


def _run(arm: Arm) -> Outcome:
    gc.collect()  # what another arm left is not this one's to clear away
    return arm.run()
