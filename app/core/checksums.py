"""Checksums that tell a payment card or a Chinese identity number from any other digits."""

from __future__ import annotations


def luhn(number: str) -> bool:
    """Whether the digits of `number` satisfy Luhn's checksum (ISO/IEC 7812-1)."""
    digits = [int(c) for c in number if c.isdigit()]
    doubled = [d * 2 - 9 * (d > 4) for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def mod_11_2(number: str) -> bool:
    """Whether an 18-character identity number satisfies ISO 7064 MOD 11-2 (GB 11643-1999).

    Spaces and hyphens in it do not count.
    """
    plain = "".join(c for c in number.upper() if c not in " -")
    total = sum(int(c) * pow(2, 17 - n, 11) for n, c in enumerate(plain[:17]))
    return len(plain) == 18 and "10X98765432"[total % 11] == plain[17]
