"""How customers shop: when they come, and what ends up in the basket."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from app.demo.dice import Dice
from app.demo.habits import GOES_WITH, PERSONAS, Persona, season

FIRST_DAY, LAST_DAY = dt.date(2025, 1, 1), dt.date(2026, 10, 31)
DAYS = (LAST_DAY - FIRST_DAY).days
BUSY = {11: 1.5, 12: 1.9}
KEEPS_FOR_YEARS = {"Brewing Gear", "Cups & Tableware"}
USED_UP = {"paper-filters-100", "kettle-descaler-sachets"}
# Customs: no honey and no dairy products to mainland China (the box holds caramels).
NOT_TO_CHINA = {"heather-honey", "sea-salt-caramels", "twelve-evenings-box"}


@dataclass(frozen=True)
class Item:
    """What the simulation needs to know of a product."""

    item: str
    category: str
    price: str
    fame: float  # long tail: the catalogue lists what sells best first


@dataclass
class Shopper:
    """A customer in the making: a persona with a memory."""

    persona: Persona
    country: str
    staple: str
    owned: set[str] = field(default_factory=set)


def some_day(dice: Dice, days: int) -> dt.date:
    """A day among the first `days`, later ones a little likelier: the shop is growing."""
    draw = dice.between(0, days)
    return FIRST_DAY + dt.timedelta(
        days=max(draw, dice.between(0, days)) if dice.chance(0.35) else draw
    )


def free_day(dice: Dice, festive: bool) -> dt.date:
    """A day on which somebody without a rhythm drops in; more of them before Christmas."""
    while True:
        day = some_day(dice, DAYS)
        likely = BUSY.get(day.month, 1.0) / 1.9
        if festive:
            likely = 1.0 if day.month >= 11 else 0.1
        if dice.chance(likely):
            return day


def rhythm(dice: Dice) -> list[dt.date]:
    """The days of a regular: every three to seven weeks, give or take a few days."""
    gap, count = dice.between(21, 49), dice.weighted({3: 5, 4: 5, 5: 4, 6: 3, 8: 2, 11: 1, 15: 1})
    day = some_day(dice, DAYS - 75)
    days = []
    while len(days) < count and day <= LAST_DAY:  # the newest regulars have only begun
        days.append(day)
        day += dt.timedelta(days=gap + dice.between(-5, 5))
    return days


def visits(dice: Dice, persona: Persona) -> tuple[list[dt.date], bool]:
    """The shopping days of one customer, and whether they are a regular."""
    regular = dice.chance(persona.regular)
    if regular:
        days = rhythm(dice)
    else:
        festive = persona is PERSONAS["gift buyer"]
        count = dice.weighted({1: 5, 2: 4, 3: 2, 4: 1})
        days = [free_day(dice, festive) for _ in range(count)]
    if days[0] < dt.date(2025, 11, 1) and dice.chance(0.3):  # the yearly round of presents
        days.append(dt.date(2025, 11, 8) + dt.timedelta(days=dice.between(0, 38)))
    return sorted(set(days)), regular


def company(shopper: Shopper, basket: list[str], item: str) -> float:
    """How much more an item is wanted next to what is in the basket or at home."""
    wish = 1.0
    for other in basket:
        wish = max(wish, GOES_WITH.get(other, {}).get(item, 1.0))
    for other in sorted(shopper.owned):
        wish = max(wish, 1 + (GOES_WITH.get(other, {}).get(item, 1.0) - 1) / 3)
    return wish


def wanted(shopper: Shopper, basket: list[str], item: Item, month: int) -> float:
    """The weight of one item for this shopper, now."""
    if item.item in basket or (shopper.country == "CN" and item.item in NOT_TO_CHINA):
        return 0.0
    lasts = item.category in KEEPS_FOR_YEARS and item.item not in USED_UP
    again = 0.06 if lasts and item.item in shopper.owned else 1.0
    taste = shopper.persona.taste(item.item, item.category)
    price = 0.5 if float(item.price) > 80 else 1.0
    near = company(shopper, basket, item.item)
    return taste * item.fame * season(item.item, month) * near * again * price


def staple(dice: Dice, persona: Persona, country: str) -> str:
    """What a regular comes back for."""
    barred = NOT_TO_CHINA if country == "CN" else set()
    return dice.pick([item for item in persona.staples if item not in barred])


def fill_basket(
    dice: Dice, shopper: Shopper, shop: dict[str, Item], month: int, regular: bool
) -> list[str]:
    """What one visit puts into the basket, in the order it went in."""
    size = dice.weighted({1: 37, 2: 37, 3: 18, 4: 7, 5: 1})
    basket: list[str] = []
    if regular and dice.chance(0.72):
        if dice.chance(0.12):
            shopper.staple = staple(dice, shopper.persona, shopper.country)
        basket.append(shopper.staple)
    while len(basket) < size:
        basket.append(
            dice.weighted(
                {name: wanted(shopper, basket, item, month) for name, item in shop.items()}
            )
        )
    shopper.owned.update(basket)
    return basket


def quantity(dice: Dice, item: Item) -> int:
    """Mostly one; things that get used up are sometimes bought by the pair."""
    if item.category in KEEPS_FOR_YEARS and item.item not in USED_UP:
        return 2 if dice.chance(0.05) else 1
    return dice.weighted({1: 78, 2: 17, 3: 5})
