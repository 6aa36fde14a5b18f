"""What every implementation of app.core.commerce promises, as tests that a subclass inherits.

A shop that puts its own system behind the seam writes a class with the fixtures `commerce` and
`cast` (orders of a test account in its staging system), and inherits these tests.
"""

from __future__ import annotations

import threading
from typing import NamedTuple
from uuid import uuid4

import pytest

from app.core.commerce import Commerce, Done, Refused
from app.core.errors import InputError


class Known(NamedTuple):
    """An order that exists, and what identifies its customer."""

    order: str
    email: str
    product: str
    """One of its products, sealed food or unused goods."""


class Cast(NamedTuple):
    """The orders that the contract plays with; no two the same."""

    young: Known
    """Just placed: can be cancelled, its address can be changed."""
    shipped: Known
    delivered: Known
    """Some days ago: can come back."""
    long_ago: Known
    """Delivered a year ago."""
    food: Known
    """Delivered some days ago, `product` cannot come back once opened."""
    address: str
    """In the country of `young`."""
    abroad: str
    """In another country."""
    not_sold: str
    """A product id that no shop has."""


def new_key() -> str:
    """As a flow makes one."""
    return uuid4().hex


class CommerceContract:
    """Subclasses define the fixtures `commerce` and `cast`, fresh for each test."""

    def test_an_order_is_found_by_its_number_and_email_in_any_case(
        self, commerce: Commerce, cast: Cast
    ) -> None:
        found = commerce.find(cast.young.order.lower(), f" {cast.young.email.upper()} ")
        assert found is not None
        assert (found.id, found.status) == (cast.young.order, "placed")
        assert cast.young.product in {line.product for line in found.lines}
        assert found.total_cents == sum(n.quantity * n.price_cents for n in found.lines) > 0
        assert found.ordered.tzinfo is not None

    @pytest.mark.parametrize("email", ["", "   ", "somebody.else@example.org", "%", "' or 1=1 --"])
    def test_what_is_not_yours_looks_like_what_is_not_there(
        self, commerce: Commerce, cast: Cast, email: str
    ) -> None:
        for order in (cast.young.order, "no-such-order", ""):
            assert commerce.find(order, email) is None
            writes = (
                commerce.cancel(order, email, key=new_key()),
                commerce.change_address(order, email, cast.address, key=new_key()),
                commerce.request_return(
                    order, email, cast.young.product, 1, "small", key=new_key()
                ),
            )
            assert writes == (Refused("unknown"),) * 3
        assert commerce.find(cast.young.order, cast.shipped.email) is None

    def test_a_young_order_is_cancelled_once(self, commerce: Commerce, cast: Cast) -> None:
        order, email, _ = cast.young
        key = new_key()
        assert commerce.cancel(order, email, key=key) == Done(order)
        assert commerce.cancel(order, email, key=key) == Done(order, repeated=True)
        assert commerce.cancel(order, email, key=new_key()) == Refused("already")
        assert status(commerce, cast.young) == "cancelled"

    def test_a_shipped_order_is_neither_cancelled_nor_sent_elsewhere(
        self, commerce: Commerce, cast: Cast
    ) -> None:
        order, email, _ = cast.shipped
        before = commerce.find(order, email)
        cancelled = commerce.cancel(order, email, key=new_key())
        moved = commerce.change_address(order, email, cast.address, key=new_key())
        assert isinstance(cancelled, Refused)
        assert isinstance(moved, Refused)
        assert (cancelled.why, moved.why) == ("too_late", "too_late")
        assert cancelled.limit
        assert commerce.find(order, email) == before

    def test_an_address_changes_within_the_country_alone(
        self, commerce: Commerce, cast: Cast
    ) -> None:
        order, email, _ = cast.young
        key = new_key()
        refused = commerce.change_address(order, email, cast.abroad, key=key)
        assert refused == Refused("other_country")
        # Nothing was written: the key is still good.
        assert commerce.change_address(order, email, cast.address, key=key) == Done(order)
        again = commerce.change_address(order, email, "9 Other Street", key=key)
        assert again == Done(order, repeated=True)
        found = commerce.find(order, email)
        assert found is not None
        assert cast.address in found.address

    @pytest.mark.parametrize("address", ["", " \n ", "x" * 10_000])
    def test_an_address_that_is_none_is_an_input_error(
        self, commerce: Commerce, cast: Cast, address: str
    ) -> None:
        with pytest.raises(InputError, match="address"):
            commerce.change_address(cast.young.order, cast.young.email, address, key=new_key())

    def test_a_return_is_announced_once(self, commerce: Commerce, cast: Cast) -> None:
        key = new_key()
        first = give_back(commerce, cast.delivered, key=key)
        assert isinstance(first, Done)
        assert not first.repeated
        assert first.id != cast.delivered.order
        assert give_back(commerce, cast.delivered, key=key) == Done(first.id, repeated=True)

    def test_no_more_pieces_come_back_than_were_ordered(
        self, commerce: Commerce, cast: Cast
    ) -> None:
        order, email, product = cast.delivered
        found = commerce.find(order, email)
        assert found is not None
        (ordered,) = [line.quantity for line in found.lines if line.product == product]
        for quantity in (0, -1, ordered + 1):
            with pytest.raises(InputError, match="quantity"):
                give_back(commerce, cast.delivered, quantity=quantity)
        assert isinstance(give_back(commerce, cast.delivered, quantity=ordered), Done)
        assert give_back(commerce, cast.delivered) == Refused("already")

    def test_what_cannot_come_back_is_refused_with_the_reason(
        self, commerce: Commerce, cast: Cast
    ) -> None:
        late = give_back(commerce, cast.long_ago)
        assert isinstance(late, Refused)
        assert (late.why, bool(late.limit)) == ("too_late", True)
        assert give_back(commerce, cast.young) == Refused("too_early")
        assert give_back(commerce, cast.food, reason="I opened it.") == Refused("not_returnable")
        unknown = give_back(commerce, cast.delivered._replace(product=cast.not_sold))
        assert unknown == Refused("unknown")

    def test_a_key_is_good_for_one_change_of_one_order(
        self, commerce: Commerce, cast: Cast
    ) -> None:
        order, email, _ = cast.young
        key = new_key()
        commerce.change_address(order, email, cast.address, key=key)
        with pytest.raises(InputError, match="key"):
            commerce.cancel(order, email, key=key)
        with pytest.raises(InputError, match="key"):
            give_back(commerce, cast.delivered, key=key)
        assert status(commerce, cast.young) == "placed"

    @pytest.mark.parametrize("key", ["", " ", "k" * 1000])
    def test_a_key_that_is_none_is_an_input_error(
        self, commerce: Commerce, cast: Cast, key: str
    ) -> None:
        with pytest.raises(InputError, match="key"):
            commerce.cancel(cast.young.order, cast.young.email, key=key)

    def test_a_used_key_tells_a_stranger_nothing(self, commerce: Commerce, cast: Cast) -> None:
        key = new_key()
        commerce.cancel(cast.young.order, cast.young.email, key=key)
        stranger = commerce.cancel(cast.young.order, "somebody.else@example.org", key=key)
        assert stranger == Refused("unknown")

    def test_of_many_at_once_with_one_key_one_writes(self, commerce: Commerce, cast: Cast) -> None:
        key = new_key()
        results = at_once(6, lambda: give_back(commerce, cast.delivered, key=key))
        assert sorted(r.repeated for r in results if isinstance(r, Done)) == [False] + [True] * 5
        assert len({r.id for r in results if isinstance(r, Done)}) == 1

    def test_of_many_at_once_with_keys_of_their_own_no_piece_comes_back_twice(
        self, commerce: Commerce, cast: Cast
    ) -> None:
        order, email, product = cast.delivered
        found = commerce.find(order, email)
        assert found is not None
        (ordered,) = [line.quantity for line in found.lines if line.product == product]
        results = at_once(ordered + 4, lambda: give_back(commerce, cast.delivered))
        assert sum(isinstance(r, Done) for r in results) == ordered

    def test_stock_is_told_by_product(self, commerce: Commerce, cast: Cast) -> None:
        found = commerce.stock(cast.young.product)
        assert found is not None
        assert found.product == cast.young.product
        assert found.title
        assert commerce.stock(cast.not_sold) is None


def give_back(
    commerce: Commerce,
    known: Known,
    *,
    quantity: int = 1,
    reason: str = "It is unopened, but the wrong one.",
    key: str | None = None,
) -> Done | Refused:
    """request_return with a new key unless one is given."""
    return commerce.request_return(
        known.order, known.email, known.product, quantity, reason, key=key or new_key()
    )


def status(commerce: Commerce, known: Known) -> str:
    """Of an order that is known to be there."""
    found = commerce.find(known.order, known.email)
    assert found is not None
    return found.status


def at_once(count: int, call: object) -> list[Done | Refused]:
    """Results of `count` threads that begin together; what one raises fails the test."""
    gate, results, faults = threading.Barrier(count), [], []

    def run() -> None:
        gate.wait()
        try:
            results.append(call())  # type: ignore[operator]
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    return results
