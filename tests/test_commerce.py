"""The demo shop's Commerce keeps the contract, and its rules are those of its articles."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from app.core.commerce import Commerce, Done, Refused
from app.core.countries import country_name, country_of
from app.core.files import DEMO, ROOT
from app.core.records import read_rows
from app.store import rules
from app.store.commerce import DemoCommerce
from app.store.db import Store, open_store
from app.store.models import Customer, Order, OrderLine, Product, Return, Write, utc_now
from tests.helpers_commerce import Cast, CommerceContract, Known, give_back, new_key

ADDRESS = "12 Kettle Row, Cardiff CF10 9ZZ"
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    stock_up(opened)
    yield opened
    opened.close()


def stock_up(store: Store) -> None:
    """A shop with two customers and two products."""
    with store.write() as session:
        for id_, country in (("c1", "GB"), ("c2", "DE")):
            session.add(Customer(id=id_, name=id_, email=f"{id_}.Wren@example.org", country=country,
                                 language="en", since=NOW.date()))  # fmt: skip
        session.add(Product(id="mug", title="Mug", category="Cups", price_cents=1800, stock=7))
        session.add(Product(id="tea", title="Tea", category="Tea", price_cents=900, stock=None))


def place(store: Store, order: str, status: str, ordered: datetime, customer: str = "c1") -> Known:
    """An order of two mugs and a tea."""
    with store.write() as session:
        session.add(Order(id=order, customer_id=customer, ordered=ordered, status=status,
                          address=f"1 Quay, Cardiff, {country_name('GB')}"))  # fmt: skip
        session.flush()
        for product, quantity, cents in (("mug", 2, 1800), ("tea", 1, 900)):
            session.add(OrderLine(order_id=order, product_id=product, quantity=quantity,
                                  price_cents=cents))  # fmt: skip
    return Known(order, f"{customer}.wren@example.org", "mug")


def rows(store: Store, table: type) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


class TestDemoCommerce(CommerceContract):
    """The contract over the database."""

    @pytest.fixture
    def commerce(self, store: Store) -> Commerce:
        return store.commerce

    @pytest.fixture
    def cast(self, store: Store) -> Cast:
        ago = {name: utc_now() - timedelta(days=days)
               for name, days in (("now", 0), ("days", 8), ("year", 365))}  # fmt: skip
        return Cast(
            young=place(store, "FK-1", "placed", ago["now"]),
            shipped=place(store, "FK-2", "shipped", ago["days"], "c2"),
            delivered=place(store, "FK-3", "delivered", ago["days"]),
            long_ago=place(store, "FK-4", "delivered", ago["year"]),
            food=place(store, "FK-5", "delivered", ago["days"])._replace(product="tea"),
            address=ADDRESS,
            abroad="73 quai des Fougères, 69002 Lyon, France",
            not_sold="unicorn",
        )


def at(store: Store, now: datetime) -> DemoCommerce:
    return DemoCommerce(store, lambda: now)


@pytest.mark.parametrize(
    ("status", "hours", "expected"),
    [
        ("placed", 0, Done("FK-1")),
        ("placed", 2, Done("FK-1")),
        ("placed", 2.01, Refused("too_late", "2 hours")),
        ("packed", 0.5, Refused("too_late", "2 hours")),
        ("delivered", 0.5, Refused("too_late", "2 hours")),
        ("cancelled", 0.5, Refused("already")),
    ],
)
def test_an_order_can_be_cancelled_for_two_hours_unless_it_is_packed(
    store: Store, status: str, hours: float, expected: object
) -> None:
    order, email, _ = place(store, "FK-1", status, NOW - timedelta(hours=hours))
    assert at(store, NOW).cancel(order, email, key="k") == expected
    assert rows(store, Write) == isinstance(expected, Done)


@pytest.mark.parametrize(
    ("status", "ordered", "now", "expected"),
    [
        ("packed", "2026-03-04T10:59", "2026-03-04T15:59", "done"),
        ("packed", "2026-03-04T10:59", "2026-03-04T16:00", "too_late"),
        ("packed", "2026-03-04T11:00", "2026-03-05T15:59", "done"),
        ("packed", "2026-03-06T12:00", "2026-03-09T15:59", "done"),  # Friday noon: Monday
        ("packed", "2026-03-07T09:00", "2026-03-09T16:00", "too_late"),  # Saturday: Monday
        ("placed", "2026-03-04T09:00", "2026-03-09T09:00", "done"),  # not packed: no label
        ("shipped", "2026-03-04T10:59", "2026-03-04T12:00", "too_late"),
    ],
)
def test_an_address_can_be_changed_until_the_label_is_printed(
    store: Store, status: str, ordered: str, now: str, expected: str
) -> None:
    clock = {"now": datetime.fromisoformat(now).replace(tzinfo=UTC)}
    order, email, _ = place(store, "FK-1", status, datetime.fromisoformat(f"{ordered}+00:00"))
    result = at(store, clock["now"]).change_address(order, email, ADDRESS, key="k")
    assert result == (Done(order) if expected == "done" else Refused("too_late", "16:00"))


def test_an_address_without_a_country_stays_in_that_of_the_order(store: Store) -> None:
    order, email, _ = place(store, "FK-1", "placed", utc_now())
    store.commerce.change_address(order, email, "14 Kettle Row,\n Cardiff", key="k")
    found = store.commerce.find(order, email)
    assert found is not None
    assert found.address == "14 Kettle Row, Cardiff, United Kingdom"


@pytest.mark.parametrize(
    ("customer", "day", "expected"),
    [
        # Wednesday before 11:00: packed that day; Britain: six working days, to 12 March; +30 days.
        ("c1", "2026-04-11T23:59", "done"),
        ("c1", "2026-04-12T00:00", "too_late"),
        # Germany: four working days, to 10 March.
        ("c2", "2026-04-09T23:59", "done"),
        ("c2", "2026-04-10T00:00", "too_late"),
    ],
)
def test_a_return_is_possible_for_thirty_days_after_the_slowest_delivery(
    store: Store, customer: str, day: str, expected: str
) -> None:
    known = place(store, "FK-1", "delivered", datetime(2026, 3, 4, 9, tzinfo=UTC), customer)
    result = give_back(at(store, datetime.fromisoformat(f"{day}+00:00")), known)
    if expected == "done":
        assert isinstance(result, Done)
    else:
        assert result == Refused("too_late", "30 days")


def test_opened_goods_that_are_no_food_can_come_back(store: Store) -> None:
    known = place(store, "FK-1", "delivered", utc_now() - timedelta(days=8))
    assert isinstance(give_back(store.commerce, known, reason="Opened the box."), Done)
    assert rows(store, Return) == 1


@pytest.mark.parametrize(
    ("reason", "opened"),
    [
        ("I opened it and it is stale.", True),
        ("The bag is opened, tastes sour", True),
        ("已经打开了，不好喝", True),
        ("拆封了", True),
        ("It is unopened and I have too much of it.", False),
        ("I have not opened it.", False),
        ("It hasn't been opened yet", False),
        ("I never even opened the bag", False),
        ("没有打开过", False),
        ("未拆封，买多了", False),
        ("I don't like it.", False),
    ],
)
def test_whether_a_reason_says_that_it_was_opened(reason: str, opened: bool) -> None:
    assert rules.says_opened(reason) is opened


@pytest.mark.parametrize("rule", [rules.CANCEL, rules.LABEL, rules.PACKING, rules.RETURN])
def test_each_rule_is_stated_by_its_article(rule: rules.Rule) -> None:
    articles = {row["id"]: row["text"] for row in read_rows(DEMO / "support" / "docs.jsonl")}
    assert rule.figure in articles[rule.article]
    unit = {"hours": rules.CANCEL_WITHIN.total_seconds() / 3600, "days": rules.RETURN_WITHIN.days}
    number, _, name = rule.figure.partition(" ")
    if name:
        assert float(number) == unit[name]
    else:
        assert number in {f"{t:%H:%M}" for t in (rules.LABEL_PRINTED, rules.PACKED_SAME_DAY)}


def test_delivery_days_and_food_are_those_of_the_articles_and_products() -> None:
    articles = {row["id"]: row["text"] for row in read_rows(DEMO / "support" / "docs.jsonl")}
    for days in (rules.DELIVERY_DAYS_EU, *rules.DELIVERY_DAYS.values()):
        assert f"–{days} working days" in articles["delivery-time"]
    categories = {row["category"] for row in read_rows(DEMO / "recommend" / "items.csv")}
    assert categories > rules.FOOD


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("27 Kettle Row, Cardiff CF10 9ZZ, United Kingdom", "GB"),
        ("27 Kettle Row, Cardiff, UK.", "GB"),
        ("1 Quay, Belfast, Northern Ireland", "GB"),
        ("49 Teapot Lane, Galway, Ireland", "IE"),
        ("Teekannenweg 97, 24103 Kiel, Deutschland", "DE"),
        ("73 quai des Fougères 69002 Lyon FRANCE", "FR"),
        ("中国上海市浦东新区世纪大道1号", "CN"),
        ("上海市世纪大道1号，中国", "CN"),
        ("Lijnbaanpad 56, Utrecht, The Netherlands", "NL"),
        ("1 Main Street, Toronto, Canada", "CA"),
        ("12 Ireland Road, Cardiff", None),
        ("5 China Lane, Manchester", None),
        ("1 Rue de la Gare, Lyon", None),
        ("", None),
    ],
)
def test_an_address_names_its_country_at_its_end(address: str, country: str | None) -> None:
    assert country_of(address) == country


def test_the_addresses_of_the_demo_are_in_their_customers_country() -> None:
    country = {r["customer"]: r["country"] for r in read_rows(DEMO / "shop" / "customers.csv")}
    for row in read_rows(DEMO / "shop" / "orders.csv"):
        assert country_of(row["address"]) == country[row["customer"]], row["address"]
    assert {country_name(code) for code in ("GB", "NL", "CN")} == {
        "United Kingdom", "Netherlands", "China",
    }  # fmt: skip


def test_keys_that_two_orders_race_for_are_given_once(store: Store) -> None:
    one = place(store, "FK-1", "placed", utc_now())
    two = place(store, "FK-2", "placed", utc_now())
    key = new_key()
    store.commerce.cancel(one.order, one.email, key=key)
    with pytest.raises(Exception, match="used for another change"):
        store.commerce.cancel(two.order, two.email, key=key)
    assert rows(store, Write) == 1


CUSTOMER = """
import sys, time
from app.store.db import open_store
store = open_store(sys.argv[1])
conversation = store.conversations.create("visitor:a", "en")
store.conversations.append("visitor:a", conversation, "user", "Yes, cancel it.")
print(conversation, flush=True)
print(store.commerce.cancel("FK-1", "c1.wren@example.org", key="the-key").id, flush=True)
time.sleep(60)  # the answer that is never stored
"""


def test_a_kill_between_the_change_and_its_answer_leaves_one_change_and_the_question(
    store: Store, database: str, python: str
) -> None:
    known = place(store, "FK-1", "placed", utc_now())
    process = subprocess.Popen(
        [python, "-c", CUSTOMER, database], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    conversation = process.stdout.readline().strip()
    assert process.stdout.readline().strip() == "FK-1"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    said = store.conversations.history("visitor:a", conversation)
    assert [turn.content for turn in said] == ["Yes, cancel it."]
    # Asked again with the key that the conversation keeps, it is known to be done.
    again = store.commerce.cancel(known.order, known.email, key="the-key")
    assert again == Done("FK-1", repeated=True)
    assert rows(store, Write) == 1
