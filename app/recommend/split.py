"""Leave-last-out by time: what a person took last is what a recommender has to find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from app.recommend.base import Row


class Split(NamedTuple):
    """Interactions to learn from, and the item held out for each user."""

    train: list[Row]
    held: dict[str, str]
    """user -> item; only users with another item left in train."""


def leave_last_out(interactions: Sequence[Row]) -> Split:
    """Hold out, for each user with two or more items, the one taken last.

    An item counts when it is first taken: buying it again is nothing to be found. Equal timestamps
    keep the order of the rows.
    """
    first = first_takes(interactions)
    of_user: dict[str, list[Row]] = defaultdict(list)
    for row in first:
        of_user[row["user"]].append(row)
    held = {user: rows[-1]["item"] for user, rows in of_user.items() if len(rows) > 1}
    return Split([row for row in first if held.get(row["user"]) != row["item"]], held)


def first_takes(interactions: Sequence[Row]) -> list[Row]:
    """One row a user and item, the earliest, in the order of time."""
    taken: dict[tuple[str, str], Row] = {}
    for row in sorted(interactions, key=lambda r: r.get("timestamp") or 0):
        taken.setdefault((row["user"], row["item"]), row)
    return list(taken.values())
