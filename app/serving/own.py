"""What a shop brings of its own: its goods.

They are named in the settings and checked at the start, so that a wrong name is a sentence and not
an answer that fails in front of a customer.
"""

from __future__ import annotations

from app.core.data import interactions
from app.core.errors import ConfigError, InputError
from app.core.kinds import Interactions

_FOLDER = (
    "expected a folder with items.csv (item, title, text, price, category, stock) and ratings.csv "
    "(user, item), such as file:shop/goods"
)


def goods(ref: str) -> Interactions:
    """The goods that are recommended and who took them, by the settings' `catalogue`.

    Raises ConfigError with what was expected and found.
    """
    try:
        found = interactions(ref)
    except InputError as error:
        raise ConfigError(f"catalogue: {error.message}; {_FOLDER}") from error
    if not found.items:
        raise ConfigError(f"catalogue: {ref} has no items.csv; {_FOLDER}")
    return found
