"""How much one visitor may ask for: a moving window a minute, and one chat turn at a time.

In memory of this process: several processes behind a proxy each allow the whole quota.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.core.errors import TooMany

OTHERS_PER_MESSAGE = 3
"""Calls of the other features allowed for each chat message: they cost a fraction of a turn."""


class Quota:
    """Counts by feature and by who asks; chat may be asked `per_minute` times in any minute."""

    def __init__(self, per_minute: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._chat = RateLimitItemPerMinute(per_minute)
        self._other = RateLimitItemPerMinute(per_minute * OTHERS_PER_MESSAGE)
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def spend(self, feature: str, who: str) -> None:
        """Count one call. Raises TooMany, with the seconds to wait, where the minute is full."""
        item = self._chat if feature == "chat" else self._other
        if self._limiter.hit(item, feature, who):
            return
        stats = self._limiter.get_window_stats(item, feature, who)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        raise TooMany(
            f"more than {item.amount} requests in a minute: please wait {wait} s",
            zh=f"一分钟内请求超过 {item.amount} 次，请等待 {wait} 秒。",
            retry_after_s=wait,
        )

    @contextmanager
    def one_at_a_time(self, who: str) -> Iterator[None]:
        """Hold the only chat turn of `who`. Raises TooMany while another one runs."""
        with self._lock:
            if who in self._busy:
                raise TooMany(
                    "your previous question is still being answered: wait for it, or stop it",
                    zh="上一个问题还在回答中，请稍等或先停止。",
                    retry_after_s=1,
                )
            self._busy.add(who)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(who)
