"""The seam to the shop's own system: what flows may see of an order, and change of it.

Flows (app.support.flows) call only this. `app.store.commerce` keeps it over the demo's database; a
shop puts its own HTTP or SQL behind the same calls.

Nothing of an order is told without its number and the e-mail address that it was placed under; the
shop, not the chat, decides what is still possible (`Refused`). Every write carries a key: the same
key again returns what the first call did and changes nothing more.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, Protocol

Why = Literal[
    "unknown",  # no such order, product or line; or not identified
    "too_late",  # the hours or days in which it was possible are over
    "too_early",  # not delivered yet
    "already",  # it is cancelled or sent back already
    "other_country",  # an address outside the country of the order
    "not_returnable",  # opened food, vouchers: what the shop's rules leave out
]


class Line(NamedTuple):
    """One product of an order."""

    product: str
    title: str
    quantity: int
    price_cents: int
    """Of one piece, as paid."""


class OrderView(NamedTuple):
    """An order, as its own customer may see it."""

    id: str
    status: str
    """placed, packed, shipped, delivered or cancelled."""
    ordered: datetime
    address: str
    country: str
    """ISO 3166, two letters: of the customer."""
    lines: list[Line]

    @property
    def total_cents(self) -> int:
        """Sum of the lines."""
        return sum(line.quantity * line.price_cents for line in self.lines)


class Stock(NamedTuple):
    """What is left of a product."""

    product: str
    title: str
    left: int | None
    """None where the shop does not count it."""


class Done(NamedTuple):
    """A write that took place, now or at the first call with its key."""

    id: str
    """Of what was written: the order, or the return."""
    repeated: bool = False
    """Whether the key was used before, so that nothing changed now."""


class Refused(NamedTuple):
    """A write that the shop does not do; nothing changed."""

    why: Why
    limit: str = ""
    """The rule in the shop's figures, such as `2 hours` or `30 days`; empty where there is none."""


class Commerce(Protocol):
    """Orders of the shop. Every call may raise AppError where the shop's system does not answer."""

    def find(self, order: str, email: str) -> OrderView | None:
        """The order if `email` is its customer's, compared without case; else None, also for none.

        The two are not told apart, so that nobody can find out which numbers exist.
        """
        ...

    def cancel(self, order: str, email: str, *, key: str) -> Done | Refused:
        """Cancel the whole order, while it is not packed and young enough."""
        ...

    def change_address(self, order: str, email: str, address: str, *, key: str) -> Done | Refused:
        """Send it to `address` (non-empty, within the country), while it is not shipped."""
        ...

    def request_return(
        self, order: str, email: str, product: str, quantity: int, reason: str, *, key: str
    ) -> Done | Refused:
        """Announce that `quantity` pieces of one product come back."""
        ...

    def stock(self, product: str) -> Stock | None:
        """What is left of a product, by id; None where there is no such product."""
        ...
