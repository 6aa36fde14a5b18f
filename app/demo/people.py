"""Invented customers: no name, address or e-mail here belongs to anyone."""

from __future__ import annotations

import datetime as dt
import json
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.demo.dice import Dice

PLACES = Path(__file__).parent / "shop" / "places.json"
FOUNDED = dt.date(2016, 5, 2)
LETTERS = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "å": "a", "ß": "ss"})


@dataclass(frozen=True)
class Customer:
    """One row of customers.csv, and the addresses that the orders go to."""

    customer: str
    name: str
    email: str
    country: str
    language: str
    since: str
    home: str
    other: str  # where they move to, or the friend who gets the presents


@cache
def places() -> dict[str, Any]:
    """Countries the shop ships to, with invented streets and common names."""
    return json.loads(PLACES.read_text(encoding="utf-8"))


def ascii_name(name: str) -> str:
    """A name as mail systems like it: lower case, no accents, no blanks."""
    plain = unicodedata.normalize("NFKD", name.translate(LETTERS))
    return "".join(c for c in plain if c.isascii() and c.isalpha()).lower()


def address(dice: Dice, country: str) -> str:
    """A street that does not exist, in a town that does."""
    place = places()[country]
    town, code = dice.pick(place["towns"])
    street = dice.pick(place["streets"]).format(n=dice.between(1, 98))
    order = {"first": f"{code} {town}", "last": f"{town} {code}", "none": town}
    return f"{street}, {order[place['zip']]}, {place['country']}"


def full_name(dice: Dice, country: str, taken: set[str]) -> str:
    """Given and family name, nobody's twice; in China the family name comes first."""
    while True:
        given = dice.pick(places()[country]["given"])
        family = dice.pick(places()[country]["family"])
        name = f"{family} {given}" if country == "CN" else f"{given} {family}"
        if name not in taken:
            taken.add(name)
            return name


def email(dice: Dice, name: str) -> str:
    """An address at a domain that is reserved for examples."""
    stem = ".".join(ascii_name(part) for part in name.split())
    return f"{stem}@example.{'org' if dice.chance(0.6) else 'com'}"


def joined(dice: Dice, first_order: dt.date) -> str:
    """Half sign up with the first order; the others have known the shop for longer."""
    if dice.chance(0.5):
        return first_order.isoformat()
    days = (first_order - FOUNDED).days
    return (first_order - dt.timedelta(days=dice.between(1, days))).isoformat()


def make_customer(dice: Dice, number: int, first_order: dt.date, taken: set[str]) -> Customer:
    """An invented person whose first order in the window was on the given day."""
    country = dice.weighted({code: place["weight"] for code, place in places().items()})
    name = full_name(dice, country, taken)
    return Customer(
        customer=f"c{number:04d}",
        name=name,
        email=email(dice, name),
        country=country,
        language=places()[country]["language"],
        since=joined(dice, first_order),
        home=address(dice, country),
        other=address(dice, country),
    )
