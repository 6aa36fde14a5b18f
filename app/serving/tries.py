"""What failed is tried again after a wait; what is new, at once."""

from __future__ import annotations

import time

from app.core.errors import AppError


class Tries:
    """Whether a try is due, and the error of the last one; none after a success."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._failed: object = None
        self._next = 0.0
        self.error: AppError | None = None

    def due(self, wanted: object) -> bool:
        """Whether to try for `wanted`: not within the wait after it failed."""
        return self.error is None or wanted != self._failed or time.monotonic() >= self._next

    def failed(self, wanted: object, error: AppError) -> None:
        """`wanted` did not come; the wait begins."""
        self._failed, self.error = wanted, error
        self._next = time.monotonic() + self._wait_s

    def over(self) -> None:
        """It came, or is no longer wanted."""
        self.error = None
