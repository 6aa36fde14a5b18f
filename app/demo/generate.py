"""Write the invented shop's customers, orders and ratings; byte for byte the same each time.

Run `python -m app.demo.generate`. The catalogue (recommend/items.csv) is written by hand and read.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import io
from dataclasses import dataclass
from pathlib import Path

from app.core.files import DEMO, write_text
from app.demo.dice import Dice
from app.demo.habits import PERSONAS
from app.demo.people import Customer, make_customer
from app.demo.shopping import LAST_DAY, Item, Shopper, fill_basket, quantity, staple, visits

SEED, LINES = 17, 2000
# How likely an order is in each hour from 7 to 23: coffee break, lunch, sofa.
HOURS = dict(enumerate((4, 6, 8, 9, 6, 7, 6, 4, 4, 4, 5, 6, 8, 10, 9, 5, 2), start=7))
# Calendar days from order to door, a little over what we promise in working days.
ON_THE_ROAD = {"GB": 9, "NO": 11, "CH": 11, "CN": 20}


@dataclass
class Order:
    """One visit of one customer, before it has a number."""

    when: dt.datetime
    customer: Customer
    address: str
    status: str
    lines: list[tuple[str, int]]


def read_items(path: Path) -> dict[str, Item]:
    """The catalogue; an item's fame falls with its place in its category."""
    shop: dict[str, Item] = {}
    seen: dict[str, int] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = seen[row["category"]] = seen.get(row["category"], -1) + 1
            fame = 3 / (place + 3)
            shop[row["item"]] = Item(row["item"], row["category"], row["price"], fame)
    return shop


def status(dice: Dice, day: dt.date, country: str) -> str:
    """How far an order has come by the last day of the data."""
    if dice.chance(0.03):
        return "cancelled"
    age = (LAST_DAY - day).days
    if age <= 1:
        return "packed"
    return "delivered" if age > ON_THE_ROAD.get(country, 6) else "shipped"


def clock(dice: Dice, day: dt.date) -> dt.datetime:
    """A time of day at which people order coffee."""
    hour = dice.weighted(HOURS)
    return dt.datetime(day.year, day.month, day.day, hour, dice.between(0, 59), dice.between(0, 59))


def shop_for(dice: Dice, number: int, shop: dict[str, Item], taken: set[str]) -> list[Order]:
    """Everything one invented customer ever orders."""
    persona = PERSONAS[dice.weighted({name: p.weight for name, p in PERSONAS.items()})]
    days, regular = visits(dice, persona)
    customer = make_customer(dice, number, days[0], taken)
    shopper = Shopper(persona, customer.country, staple(dice, persona, customer.country))
    moves = dice.chance(0.4 if persona is PERSONAS["gift buyer"] else 0.06)
    orders = []
    for n, day in enumerate(days):
        address = customer.other if moves and n >= len(days) // 2 else customer.home
        basket = fill_basket(dice, shopper, shop, day.month, regular)
        lines = [(item, quantity(dice, shop[item])) for item in basket]
        state = status(dice, day, customer.country)
        orders.append(Order(clock(dice, day), customer, address, state, lines))
    return orders


def simulate(shop: dict[str, Item]) -> list[Order]:
    """Customers come until the books hold exactly the lines we want, oldest order first."""
    dice, taken, orders, left = Dice(SEED), set(), [], LINES
    number = 0
    while left > 0:
        number += 1
        for order in shop_for(dice, number, shop, taken):
            order.lines = order.lines[:left]
            left -= len(order.lines)
            orders += [order] if order.lines else []
    return sorted(orders, key=lambda order: (order.when, order.customer.customer))


def customer_rows(orders: list[Order]) -> list[dict[str, str]]:
    """One row for each customer, by number."""
    fields = ["customer", "name", "email", "country", "language", "since"]
    people = {order.customer.customer: order.customer for order in orders}
    return [{f: getattr(people[key], f) for f in fields} for key in sorted(people)]


def order_row(number: int, order: Order, item: Item, count: int) -> dict[str, str]:
    """One line of one order; the price is that of one piece."""
    return {
        "order": f"FK-{number}",
        "customer": order.customer.customer,
        "date": order.when.isoformat(),
        "item": item.item,
        "quantity": str(count),
        "price": item.price,
        "status": order.status,
        "address": order.address,
    }


def order_rows(orders: list[Order], shop: dict[str, Item]) -> list[dict[str, str]]:
    """All lines of all orders; the oldest order is number FK-10001."""
    return [
        order_row(number, order, shop[item], count)
        for number, order in enumerate(orders, start=10001)
        for item, count in order.lines
    ]


def rating_rows(orders: list[Order]) -> list[dict[str, str]]:
    """What was bought and kept. Later lines of an order count as seconds later, so that
    the last thing somebody bought is always one thing."""
    rows = [
        (int(order.when.replace(tzinfo=dt.UTC).timestamp()) + n, order.customer.customer, item)
        for order in orders
        if order.status != "cancelled"
        for n, (item, _) in enumerate(order.lines)
    ]
    return [{"user": u, "item": i, "timestamp": str(t)} for t, u, i in sorted(rows)]


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    """All of the file or nothing of it: a reader never meets half a table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def generate(out: Path = DEMO) -> None:
    """Write the three tables below `out`; the catalogue is always the one next to this file."""
    shop = read_items(DEMO / "recommend" / "items.csv")
    orders = simulate(shop)
    write_csv(out / "shop" / "customers.csv", customer_rows(orders))
    write_csv(out / "shop" / "orders.csv", order_rows(orders, shop))
    write_csv(out / "recommend" / "ratings.csv", rating_rows(orders))


def main() -> None:
    """Regenerate the committed files, or write a copy elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEMO, help="folder to write below")
    generate(parser.parse_args().out)


if __name__ == "__main__":
    main()
