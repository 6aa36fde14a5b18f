"""A circuit breaker: what has failed several times in a row is left alone for a while.

    closed --failures in a row--> open --a rest--> half-open: one question tries
      ^------------- it is answered ------------------'   it fails: open again

While it is open nobody waits for a server that is down: the question fails at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.core.errors import NotReady

FAILURES, REST_S = 5, 15.0


class Resting(NotReady):
    """Not asked: it failed too often just now."""

    zh_default = "模型服务暂时连不上，请稍后再试。"


class Breaker:
    """Opens after `failures` in a row, for `rest_s` seconds. For several threads."""

    def __init__(self, failures: int = FAILURES, rest_s: float = REST_S) -> None:
        self.failures, self.rest_s = failures, rest_s
        self._lock = threading.Lock()
        self._failed = 0
        self._until = 0.0
        self._trying = False

    @contextmanager
    def asking(self, faults: tuple[type[Exception], ...]) -> Iterator[None]:
        """A question; `faults` are the failures that count, whatever else ends it says nothing.

        Raises Resting, with the seconds left, while it is open, and half-open for all but one.
        """
        probe = self._enter()
        try:
            yield
        except faults:
            self._failure()
            raise
        else:
            with self._lock:
                self._failed = 0
        finally:
            if probe:
                with self._lock:
                    self._trying = False

    def _enter(self) -> bool:
        """Whether this question is the one that tries again."""
        with self._lock:
            if self._failed < self.failures:
                return False
            left = self._until - time.monotonic()
            if left > 0 or self._trying:
                raise Resting(
                    f"the model server failed {self._failed} times in a row: it is asked again in "
                    f"{max(1, math.ceil(left))} s"
                )
            self._trying = True
            return True

    def _failure(self) -> None:
        with self._lock:
            self._failed += 1
            if self._failed >= self.failures:
                self._until = time.monotonic() + self.rest_s
