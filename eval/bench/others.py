"""How much of the machine other processes use while a bench runs: what makes its times rough."""

from __future__ import annotations

import time
from typing import NamedTuple

import psutil

QUIET = 0.2
"""Cores; an idle desktop uses less."""
ROUGH = "ratios are within rounds and hold roughly; quote them from an idle machine"


class Meter(NamedTuple):
    """CPU seconds used so far: by all processes, by this one and its children; and the time."""

    everyone: float
    own: float
    at: float

    @classmethod
    def read(cls) -> Meter:
        """As it stands now."""
        times, own = psutil.cpu_times(), psutil.Process().cpu_times()
        children = [getattr(own, name, 0.0) for name in ("children_user", "children_system")]
        # What a guest uses is counted in `user` too; `steal` is another guest of this host.
        unused = ("idle", "iowait", "guest", "guest_nice")
        everyone = sum(times) - sum(getattr(times, name, 0.0) for name in unused)
        return cls(everyone, own.user + own.system + sum(children), time.monotonic())

    def others(self) -> float:
        """Cores that other processes used since then, a mean."""
        end = Meter.read()
        theirs = (end.everyone - self.everyone) - (end.own - self.own)
        return max(0.0, theirs / (end.at - self.at))


def now() -> float:
    """Cores in use, measured over a second in which this process sleeps."""
    began = Meter.read()
    time.sleep(1)
    return began.others()
