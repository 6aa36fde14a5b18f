"""Bytes, counts and times as one reads them."""

from __future__ import annotations

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def size(number: float) -> str:
    """Bytes as kB, MB or GB: 44.3 MB."""
    if number >= 2**30:
        return f"{number / 2**30:.2f} GB"
    return f"{number / 2**20:.1f} MB" if number >= 2**17 else f"{number / 2**10:.1f} kB"


def scaled(number: float) -> str:
    """Three digits and a prefix for what follows: `1.23 G`, `12 `."""
    power = 0
    while number >= 1000 and power < len(_PREFIXES) - 1:
        number, power = number / 1000, power + 1
    return f"{number:.3g} {_PREFIXES[power]}"


def clock(seconds: float) -> str:
    """0.4 s, 45 s, 6.1 min, 2.4 h."""
    if seconds < 90:
        return f"{_two(seconds)} s"
    return f"{_two(seconds / 60)} min" if seconds < 5400 else f"{_two(seconds / 3600)} h"


def _two(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:.0f}"
