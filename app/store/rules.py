"""What the demo shop still allows, and until when: each rule with the article that states it.

The articles (app/demo/support/docs.jsonl) are what customers read; tests/test_commerce.py checks
that each says the figure that stands here. Your own shop changes both, or answers behind
app.core.commerce with rules of its own.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final, NamedTuple

ZONE: Final = UTC
"""The clock on the packing room's wall, and that of `orders.ordered`."""


class Rule(NamedTuple):
    """A rule of the shop."""

    figure: str
    """As its article and app.core.commerce.Refused.limit say it."""
    article: str
    """Id of the article."""


CANCEL: Final = Rule("2 hours", "cancel-order")
CANCEL_WITHIN: Final = timedelta(hours=2)
"""After ordering; and never once it is packed."""

LABEL: Final = Rule("16:00", "change-address")
LABEL_PRINTED: Final = time(16)
"""On the day of packing; until then the address can be changed, but never the country."""

PACKING: Final = Rule("11:00", "delivery-time")
PACKED_SAME_DAY: Final = time(11)
"""What is ordered before is packed that working day, the rest on the next one."""

RETURN: Final = Rule("30 days", "returns-window")
RETURN_WITHIN: Final = timedelta(days=30)
"""After delivery."""
FOOD: Final = frozenset({"Coffee", "Tea", "Pantry"})
"""Categories that cannot come back once they are opened (article returns-window)."""

DELIVERY_DAYS: Final = {"GB": 6, "NO": 7, "CH": 7, "CN": 14}
"""Working days that a parcel takes at the most, by country (article delivery-time)."""
DELIVERY_DAYS_EU: Final = 4

_UNOPENED = re.compile(
    r"\bun-?opened\b|(?:\bnot|\bnever|n['’]t)(?: (?:been|yet|even))* (?:open|tried|used)\w*"
    r"|(?:未|没有?|尚未|不曾)(?:被)?(?:打开|开封|拆封|拆开|开)",
    re.IGNORECASE,
)
_OPENED = re.compile(r"\b(?:re)?opened\b|\bis open\b|打开|开封|开了|拆封|拆开", re.IGNORECASE)


def packing_day(ordered: datetime) -> datetime:
    """Midnight of the working day on which an order is packed."""
    local = ordered.astimezone(ZONE)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if local.time() < PACKED_SAME_DAY and _works(day):
        return day
    return after_working_days(day, 1)


def label_printed(ordered: datetime) -> datetime:
    """When the label of an order is printed, as far as its date tells."""
    return packing_day(ordered) + timedelta(hours=LABEL_PRINTED.hour, minutes=LABEL_PRINTED.minute)


def return_until(ordered: datetime, country: str) -> datetime:
    """The end of the last day on which a return can be announced.

    The date of delivery is not kept: the slowest parcel to that country counts, in the customer's
    favour.
    """
    days = DELIVERY_DAYS.get(country, DELIVERY_DAYS_EU)
    return after_working_days(packing_day(ordered), days) + RETURN_WITHIN + timedelta(days=1)


def after_working_days(day: datetime, days: int) -> datetime:
    """`days` (0 or more) working days after `day`: Monday to Friday, holidays not counted."""
    while days > 0:
        day += timedelta(days=1)
        days -= _works(day)
    return day


def says_opened(reason: str) -> bool:
    """Whether a customer's reason, English or Chinese, says that it was opened."""
    return bool(_OPENED.search(_UNOPENED.sub(" ", reason)))


def _works(day: datetime) -> bool:
    return day.weekday() < 5
