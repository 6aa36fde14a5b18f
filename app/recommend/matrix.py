"""Interactions as a users x items matrix of ones; the vocabulary that every system shares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from app.recommend.base import Row

Vector = NDArray[np.float64]


class Matrix:
    """X (n_users, n_items) float64, 1 where the user took the item, once or often (Hu et al. 2008).

    Users and items are in the order of their ids, so that neither the order of rows nor that of the
    catalogue changes a result.
    """

    def __init__(self, interactions: Sequence[Row], items: Sequence[Row]) -> None:
        self.items = sorted({*(r["item"] for r in interactions), *(r["item"] for r in items)})
        self.users = sorted({r["user"] for r in interactions})
        self._item_at = {item: column for column, item in enumerate(self.items)}
        self._user_at = {user: row for row, user in enumerate(self.users)}
        taken = sorted({(self._user_at[r["user"]], self._item_at[r["item"]]) for r in interactions})
        rows = [row for row, _ in taken]
        columns = [column for _, column in taken]
        shape = (len(self.users), len(self.items))
        self.x = csr_array((np.ones(len(taken)), (rows, columns)), shape=shape)

    @property
    def counts(self) -> Vector:
        """(n_items,) how many users took each item."""
        return np.bincount(self.x.indices, minlength=len(self.items)).astype(np.float64)

    def column(self, item: str) -> int | None:
        """Where an item stands; None for an unknown one."""
        return self._item_at.get(item)

    def of_user(self, user: str | None) -> list[int]:
        """Columns that the user took; empty for an unknown user."""
        row = self._user_at.get(user) if user is not None else None
        return [] if row is None else sorted(self.x[[row]].indices.tolist())

    def columns(self, items: Iterable[str]) -> list[int]:
        """Columns of the known among `items`, each once."""
        return sorted({self._item_at[item] for item in items if item in self._item_at})
