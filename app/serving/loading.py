"""Features that load in the background and are swapped when their release changes.

A turn asks its slot once and holds what it got, so it ends on the release it began with. A release
that fails to load leaves the old one serving and shows in /readyz. Data that cannot be read leaves
nothing serving until it can: what was deleted is in no index any more. Both are tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from app.core.errors import AppError, NotReady
from app.serving.tries import Tries

log = structlog.get_logger(__name__)
POLL_S = 2.0
DAY_S = 24 * 3600.0
RENEWAL_S = 10.0
"""What a turn waits for new data; embedding ten passages takes a tenth of a second."""
RELOAD_S, RENEW_AGAIN_S = 20.0, 2.0
"""Between two tries of a release, and of data, that failed; a change is tried at once."""
THREAD = "frontdesk-load"
_WATCHED = ("*.json", "*.safetensors")


class Loaded(NamedTuple):
    """A feature and the id of the release it was made from."""

    value: Any
    release: str


class Renewal(NamedTuple):
    """How a feature follows data that changes more often than its release."""

    revision: Callable[[], str]
    """Another text whenever the data is other; asked before every turn, so it is quick."""
    renew: Callable[[Any], Any]
    """What is served over the data as it is now, made from what is served; nothing is reloaded."""


class Readiness(NamedTuple):
    """What /readyz says."""

    ready: bool
    state: dict[str, dict[str, str]]
    """By feature: {"state": loading, ready or failed; "release"?; "error"?}."""

    @classmethod
    def of(cls, slots: Iterable[Slot]) -> Readiness:
        """Ready where every slot is; a failed swap shows an error and stays ready."""
        state = {slot.name: slot.state() for slot in slots}
        return cls(all(s["state"] == "ready" for s in state.values()), state)


class Slot:
    """One feature: `load` makes it, `folder` is the release folder to watch (or none).

    With a `renewal`, whoever asks after its data changed gets it over the new data: a turn that
    begins when an article was taken out waits until no index holds it.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Loaded],
        folder: Path | None,
        renewal: Renewal | None = None,
    ) -> None:
        self.name = name
        self._load = load
        self._folder = folder
        self._renewal = renewal
        self._revision = self._latest = ""
        self._one_at_a_time = threading.Lock()
        self._loaded: Loaded | None = None
        self._stamp: object = None
        self._loads, self._renewals = Tries(RELOAD_S), Tries(RENEW_AGAIN_S)

    def current(self) -> Any:
        """The feature now served, over its data as it is.

        Raises NotReady while loading or where its data cannot be followed within RENEWAL_S, or why
        it could not be loaded.
        """
        if self._loaded is not None and self._revised() != self._revision:
            self._follow()
        loaded = self._loaded
        if loaded is not None:
            return loaded.value
        raise self._loads.error or NotReady(
            "the model is waking up: try again in a few seconds",
            zh="模型正在启动，请稍等几秒再试。",
        )

    def state(self) -> dict[str, str]:
        """{"state", "release"?, "error"?}."""
        loaded, error = self._loaded, self._loads.error or self._renewals.error
        if loaded is None:
            state = {"state": "failed" if error else "loading"}
        else:
            state = {"state": "ready", "release": loaded.release}
        return state | ({"error": error.message} if error else {})

    def refresh(self) -> bool:
        """Load if never done or if the release folder changed since, renew where only the data
        did; returns whether it tried."""
        with self._one_at_a_time:
            stamp, revision = self._look(), self._revised()
            loading = self._reload(stamp, revision)
            return self._renew(revision) or loading

    def _reload(self, stamp: object, revision: str) -> bool:
        if self._loaded is not None and stamp == self._stamp:
            self._loads.over()  # also where a broken release was taken back
            return False
        if not self._loads.due(stamp):
            return False
        if self._swap(self._load, self._loads, stamp):
            # Only now: whoever asks meanwhile must not take the old for up to date.
            self._stamp, self._revision = stamp, revision
            self._renewals.over()
        return True

    def _renew(self, revision: str) -> bool:
        if self._loaded is None or revision == self._revision:
            self._renewals.over()
            return False
        if not self._renewals.due(revision):
            return False
        if self._swap(self._renewed, self._renewals, revision):
            self._revision = revision
        return True

    def _follow(self) -> None:
        """Renew, or wait for whoever does; what is out of date is not served meanwhile."""
        renewing = threading.Thread(target=self.refresh, name="frontdesk-renew", daemon=True)
        renewing.start()
        renewing.join(RENEWAL_S)
        if renewing.is_alive() or self._renewals.error:
            raise NotReady(
                "the help articles are being renewed: ask again in a moment",
                zh="帮助文章正在更新，请稍后再问。",
            )

    def _swap(self, load: Callable[[], Loaded], tries: Tries, wanted: object) -> bool:
        began = time.monotonic()
        try:
            loaded = load()
        except Exception as error:  # any fault of a new release must leave the old one serving
            tries.failed(wanted, _shown(self.name, error))
            log.error("load_failed", feature=self.name, exc_info=error)
            return False
        self._loaded = loaded
        tries.over()
        seconds = round(time.monotonic() - began, 2)
        log.info("loaded", feature=self.name, release=loaded.release, seconds=seconds)
        return True

    def _renewed(self) -> Loaded:
        assert self._renewal is not None
        assert self._loaded is not None
        return self._loaded._replace(value=self._renewal.renew(self._loaded.value))

    def _revised(self) -> str:
        """The data's revision; the latest known while it cannot be asked: the turn itself will say
        that the database is lost."""
        try:
            self._latest = self._renewal.revision() if self._renewal else ""
        except Exception as error:
            log.error("revision_unknown", feature=self.name, exc_info=error)
        return self._latest

    def _look(self) -> object:
        """Names, sizes and times of the release's files: all of them, so that a promote that was
        seen half-way is loaded again when it is whole."""
        if self._folder is None:
            return ()
        files = sorted(f for pattern in _WATCHED for f in self._folder.glob(pattern))
        return tuple(stamp for f in files if (stamp := _stamp(f)) is not None)


class Watcher:
    """A thread that loads every slot, looks for changes every POLL_S, and runs `daily` each day."""

    def __init__(self, slots: Iterable[Slot], daily: Callable[[], object]) -> None:
        self._slots = list(slots)
        self._daily = daily
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, or begin again after `stop`; returns at once."""
        self._stopped = stopped = threading.Event()
        # A daemon: Ctrl-C need not wait until a model is loaded.
        threading.Thread(target=self._run, args=(stopped,), name=THREAD, daemon=True).start()

    def stop(self) -> None:
        """End soon. Does not wait for a load under way."""
        self._stopped.set()

    def _run(self, stopped: threading.Event) -> None:
        swept = -DAY_S
        while not stopped.is_set():
            for slot in self._slots:
                if not stopped.is_set():
                    slot.refresh()
            if time.monotonic() - swept >= DAY_S:
                swept = time.monotonic()
                self._sweep()
            stopped.wait(POLL_S)

    def _sweep(self) -> None:
        try:
            self._daily()
        except Exception as error:  # a busy database must not end the watching
            log.error("sweep_failed", exc_info=error)


def _stamp(file: Path) -> tuple[str, int, int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:  # replaced between the listing and here
        return None
    return (file.name, stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _shown(name: str, error: Exception) -> AppError:
    if isinstance(error, AppError):
        return error
    return NotReady(f"{name} could not be loaded ({type(error).__name__}): the log has the trace")
