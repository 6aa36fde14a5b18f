"""How much one visitor may ask for: a moving window a minute, and one chat turn at a time.

A cookie is free, so all visitors of one address have a larger window together.

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
from app.core.visitor import is_loopback

OTHERS_PER_MESSAGE = 3
"""Calls of the other features allowed for each chat message: they cost a fraction of a turn."""
PER_ADDRESS = 5
"""What an address may ask for, in times of one visitor: an office or a household shares it."""
_FROM = " from "


def counted(who: str, address: str) -> str:
    """Whom `spend` counts for a visitor with a cookie: `who`, and `address` for all its visitors.

    Not this machine's own: from there come programs, and a proxy that does not say for whom it asks
    (FORWARDED_ALLOW_IPS lets uvicorn believe one on another machine).
    """
    if not address or who.startswith("address:") or is_loopback(address):
        return who
    return f"{who}{_FROM}{address}"


class Quota:
    """Counts by feature and by who asks; chat may be asked `per_minute` times in any minute.

    Who: an owner, an address, or both as `counted` puts them.
    """

    def __init__(self, per_minute: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def spend(self, feature: str, who: str) -> None:
        """Count one call. Raises TooMany, with the seconds to wait, where the minute is full."""
        most = self._per_minute * (1 if feature == "chat" else OTHERS_PER_MESSAGE)
        visitor, _, address = who.partition(_FROM)
        # The visitor first: what is refused to one must not use up the others' share.
        self._hit(most, feature, visitor, "", "")
        if address:
            everybody = f"all of {address}"
            self._hit(most * PER_ADDRESS, feature, everybody, " from your network", "您的网络")

    def _hit(self, most: int, feature: str, who: str, place: str, place_zh: str) -> None:
        item = RateLimitItemPerMinute(most)
        if self._limiter.hit(item, feature, who):
            return
        stats = self._limiter.get_window_stats(item, feature, who)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        raise TooMany(
            f"more than {most} requests in a minute{place}: please wait {wait} s",
            zh=f"{place_zh}一分钟内请求超过 {most} 次，请等待 {wait} 秒。",
            retry_after_s=wait,
        )

    @contextmanager
    def one_at_a_time(self, who: str) -> Iterator[None]:
        """Hold the only chat turn of `who`. Raises TooMany while another one runs."""
        who = who.partition(_FROM)[0]
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
