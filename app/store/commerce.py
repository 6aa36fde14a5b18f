"""The demo's shop behind app.core.commerce: orders in our database, rules in app.store.rules.

Each change is one transaction together with the row of its idempotency key, so that a kill leaves
both or neither, and two callers with one key make one change.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core.commerce import Done, Line, OrderView, Refused, Stock
from app.core.countries import country_name, country_of
from app.core.errors import InputError
from app.store import rules
from app.store.models import Customer, Order, OrderLine, Product, Return, Write, new_id, utc_now

if TYPE_CHECKING:
    from app.store.db import Store

KEY_CHARS = 128
ADDRESS_CHARS = 500
REASON_CHARS = 2_000
Kind = Literal["cancel", "change_address", "return"]
Change = Callable[[Session, Order, Customer], str | Refused]
"""Does one change; the id of what was written, or why not."""


class DemoCommerce:
    """app.core.commerce.Commerce over the tables of app.store.models.

    now: the clock, for tests.
    """

    def __init__(self, store: Store, now: Callable[[], datetime] = utc_now) -> None:
        self._store, self._now = store, now

    def find(self, order: str, email: str) -> OrderView | None:
        """See Commerce.find; the number is compared without case and spaces around it, too."""
        with self._store.read() as session:
            found = _identified(session, order, email)
            return _view(session, *found) if found else None

    def cancel(self, order: str, email: str, *, key: str) -> Done | Refused:
        """See Commerce.cancel; article cancel-order."""

        def change(session: Session, found: Order, customer: Customer) -> str | Refused:
            del session, customer
            if found.status == "cancelled":
                return Refused("already")
            age = self._now() - found.ordered
            if found.status != "placed" or age > rules.CANCEL_WITHIN:
                return Refused("too_late", rules.CANCEL.figure)
            found.status = "cancelled"
            return found.id

        return self._once("cancel", order, email, key, change)

    def change_address(self, order: str, email: str, address: str, *, key: str) -> Done | Refused:
        """See Commerce.change_address; article change-address.

        An address that names no country gets that of the order, so that it cannot leave it.
        """
        clean = _bounded("address", address, ADDRESS_CHARS)

        def change(session: Session, found: Order, customer: Customer) -> str | Refused:
            del session
            if found.status == "cancelled":
                return Refused("already")
            if not self._address_open(found):
                return Refused("too_late", rules.LABEL.figure)
            named = country_of(clean)
            if named not in (None, customer.country):
                return Refused("other_country")
            found.address = clean if named else f"{clean}, {country_name(customer.country)}"
            return found.id

        return self._once("change_address", order, email, key, change)

    def request_return(
        self, order: str, email: str, product: str, quantity: int, reason: str, *, key: str
    ) -> Done | Refused:
        """See Commerce.request_return; article returns-window.

        Raises InputError for a quantity below 1 or above what was ordered.
        """
        clean = _bounded("reason", reason, REASON_CHARS)

        def change(session: Session, found: Order, customer: Customer) -> str | Refused:
            line = session.get(OrderLine, (found.id, product))
            if line is None:
                return Refused("unknown")
            _in_order(quantity, line)
            refused = self._not_returned(session, found, customer, line, quantity, clean)
            if refused:
                return refused
            made = Return(
                id=new_id(), order_id=found.id, product_id=product, quantity=quantity, reason=clean
            )
            session.add(made)
            return made.id

        return self._once("return", order, email, key, change)

    def stock(self, product: str) -> Stock | None:
        """See Commerce.stock."""
        with self._store.read() as session:
            found = session.get(Product, product)
            return Stock(found.id, found.title, found.stock) if found else None

    def _once(self, kind: Kind, order: str, email: str, key: str, change: Change) -> Done | Refused:
        """Do `change` at most once for `key`. Raises InputError for a key of another change."""
        key = _bounded("key", key, KEY_CHARS)
        try:
            return self._transaction(kind, order, email, key, change)
        except IntegrityError:
            # Another order took the key between our look and our commit; now it is seen.
            return self._transaction(kind, order, email, key, change)

    def _transaction(
        self, kind: Kind, order: str, email: str, key: str, change: Change
    ) -> Done | Refused:
        with self._store.write() as session:
            # The order is locked where the database has row locks: of two with one key the second
            # waits here and then finds the first one's row.
            identified = _identified(session, order, email, lock=True)
            if identified is None:
                return Refused("unknown")
            earlier = session.get(Write, key)
            if earlier:
                return _repeated(earlier, kind, identified.order)
            written = change(session, *identified)
            if isinstance(written, Refused):
                return written
            session.add(Write(key=key, kind=kind, order_id=identified.order.id, result=written))
            return Done(written)

    def _address_open(self, found: Order) -> bool:
        if found.status == "packed":
            return self._now() < rules.label_printed(found.ordered)
        return found.status == "placed"

    def _not_returned(
        self, session: Session, found: Order, customer: Customer, line: OrderLine, quantity: int,
        reason: str,
    ) -> Refused | None:  # fmt: skip
        """Why these pieces cannot come back; None where they can."""
        if found.status == "cancelled":
            return Refused("already")
        if found.status != "delivered":
            return Refused("too_early")
        if self._now() >= rules.return_until(found.ordered, customer.country):
            return Refused("too_late", rules.RETURN.figure)
        if quantity > line.quantity - _returned(session, line):
            return Refused("already")
        if session.get_one(Product, line.product_id).category in rules.FOOD:
            return Refused("not_returnable") if rules.says_opened(reason) else None
        return None


class _Identified(NamedTuple):
    order: Order
    customer: Customer


def _identified(
    session: Session, order: str, email: str, *, lock: bool = False
) -> _Identified | None:
    """The order if it is of the customer with this address; nothing tells why not."""
    number = order.strip()
    query = select(Order).where(Order.id.in_([number, number.upper()]))
    found = session.scalar(query.with_for_update() if lock else query)
    customer = session.get_one(Customer, found.customer_id) if found else None
    if found is None or customer is None:
        return None
    if not email.strip() or customer.email.casefold() != email.strip().casefold():
        return None
    return _Identified(found, customer)


def _view(session: Session, order: Order, customer: Customer) -> OrderView:
    query = (
        select(OrderLine, Product.title)
        .join(Product, Product.id == OrderLine.product_id)
        .where(OrderLine.order_id == order.id)
        .order_by(OrderLine.product_id)
    )
    lines = [Line(line.product_id, title, line.quantity, line.price_cents)
             for line, title in session.execute(query)]  # fmt: skip
    return OrderView(order.id, order.status, order.ordered, order.address, customer.country, lines)


def _repeated(earlier: Write, kind: Kind, order: Order) -> Done:
    if (earlier.kind, earlier.order_id) != (kind, order.id):
        raise InputError(
            "key: this one was used for another change; make a new random key for each change",
            zh="这个请求编号已经用过，请重新开始。",
        )
    return Done(earlier.result, repeated=True)


def _returned(session: Session, line: OrderLine) -> int:
    """Pieces of a line that are announced to come back already."""
    query = select(func.sum(Return.quantity)).where(
        Return.order_id == line.order_id, Return.product_id == line.product_id
    )
    return session.scalar(query) or 0


def _in_order(quantity: int, line: OrderLine) -> None:
    if not 1 <= quantity <= line.quantity:
        raise InputError(
            f"quantity: expected 1 to {line.quantity}, which is what was ordered, found {quantity}",
            zh=f"退货数量应在 1 到 {line.quantity} 之间（订购数量）。",
        )


def _bounded(name: str, text: str, most: int) -> str:
    clean = " ".join(text.split())
    if not 0 < len(clean) <= most:
        raise InputError(
            f"{name}: expected 1 to {most} characters, found {len(clean)}",
            zh=f"内容应为 1 到 {most} 个字符，现在是 {len(clean)} 个。",
        )
    return clean
