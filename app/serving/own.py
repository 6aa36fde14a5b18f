"""What a shop brings of its own: its goods and its orders; and what is still the demo's.

Both are named in the settings and checked at the start, so that a wrong name is a sentence and not
an answer that fails in front of a customer.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, cast

from app.core.brief import Brief
from app.core.commerce import Commerce
from app.core.data import interactions
from app.core.errors import AppError, ConfigError, InputError, nearest
from app.core.kinds import Interactions
from app.core.settings import Settings
from app.store.db import Store

CALLS = ("find", "cancel", "change_address", "request_return")
"""What the flows call; only a flow of the shop's own may ask for `stock`."""
DEMO_ENDING = ".example"
"""Of the demo's contact; no real address ends so (RFC 2606)."""
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


def commerce(named: str) -> Commerce:
    """The shop's system, by the settings' `commerce`: `module:name`.

    A class or function is called without arguments; anything else is taken as it is. Raises
    ConfigError where there is no such thing, it fails, or it is no Commerce.
    """
    found = _named(named)
    if inspect.isclass(found) or inspect.isroutine(found):
        found = _made(named, found)
    lacking = [call for call in CALLS if not _plain(getattr(found, call, None))]
    if lacking:
        raise ConfigError(
            f"commerce: {named} is {type(found).__name__} without {', '.join(lacking)}; expected "
            f"the functions {', '.join(CALLS)}, none of them async: write them as Commerce in "
            "app/core/commerce.py has them"
        )
    return cast("Commerce", found)


def still_demo(settings: Settings, brief: Brief, store: Store) -> list[str]:
    """What is the demo's yet beside ingested articles; nothing while there are none of those."""
    if not store.articles.revision():
        return []
    still = {
        "contact": brief.contact.endswith(DEMO_ENDING),
        "catalogue": settings.catalogue.startswith("demo:"),
        "orders": settings.commerce is None and store.orders.counts().orders > 0,
    }
    return [what for what, is_demo in still.items() if is_demo]


def _named(named: str) -> Any:
    module, _, name = named.partition(":")
    if not module or not name:
        raise ConfigError(
            f"commerce: expected module:name, such as shop.orders:Orders, found {named!r}"
        )
    loaded = _tried(f"import {module}", lambda: importlib.import_module(module))
    if not hasattr(loaded, name):
        public = [each for each in vars(loaded) if not each.startswith("_")]
        raise ConfigError(
            f"commerce: {module} has no {name!r}.{nearest(name, public)} It has: "
            f"{', '.join(public) or 'nothing'}"
        )
    return getattr(loaded, name)


def _made(named: str, make: Callable[..., Any]) -> Any:
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise ConfigError(
            f"commerce: {named} wants arguments ({error}); expected a class or function without: "
            "name a function that makes it with them"
        ) from error
    return _tried(f"call {named}", make)


def _tried(what: str, act: Callable[[], Any]) -> Any:
    """`act()`; whatever the shop's own code raises is a sentence that names it."""
    try:
        return act()
    except AppError:
        raise
    except Exception as error:
        raise ConfigError(
            f"commerce: cannot {what} ({type(error).__name__}: {error}); expected a module beside "
            "`app` or on PYTHONPATH that works in a Python of its own: try it there"
        ) from error


def _plain(call: object) -> bool:
    """Whether it can be called and answers at once: flows do not await."""
    return callable(call) and not inspect.iscoroutinefunction(call)
