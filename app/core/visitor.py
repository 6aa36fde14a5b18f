"""Who asks: an anonymous visitor, known by a signed cookie and nothing else.

The owner of conversations is `visitor:<random>` from the cookie; `address:<ip>` for a program on
the same machine that sends no cookie; `session:<hash>` for a page shown inside another site, where
browsers do not send our SameSite=Lax cookie (its history ends with the page, by intent).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from typing import NamedTuple

from itsdangerous import BadSignature, Signer

COOKIE = "frontdesk_visitor"
MAX_AGE_S = 365 * 24 * 3600


class Visitor(NamedTuple):
    """An owner, and who the rate limit counts for it."""

    owner: str
    quota: str
    cookie: str | None = None
    """A cookie value to send back, where one was issued just now."""


class Visitors:
    """Issues and reads visitor cookies; two instances with the same secret agree."""

    def __init__(self, secret: str) -> None:
        self._signer = Signer(secret, salt="frontdesk.visitor/1", digest_method=sha256)

    def issue(self) -> tuple[str, str]:
        """A new owner and the cookie value that proves it."""
        name = secrets.token_urlsafe(16)
        return f"visitor:{name}", self._signer.sign(name).decode()

    def owner_in(self, cookies: Mapping[str, str]) -> str | None:
        """The owner that a cookie proves; None without one or with a forged one."""
        try:
            return f"visitor:{self._signer.unsign(cookies[COOKIE]).decode()}"
        except (KeyError, BadSignature, UnicodeDecodeError):
            return None

    def owner_of(self, cookies: Mapping[str, str], session: str) -> str:
        """The owner for a page's handler: by cookie, else by the page's own session hash."""
        return self.owner_in(cookies) or f"session:{sha256(session.encode()).hexdigest()[:32]}"

    def of_request(self, cookies: Mapping[str, str], address: str) -> Visitor:
        """The visitor of an HTTP call that need not come from a page.

        Without a cookie, a program on this machine is its address; any other gets a new cookie, and
        until it sends that back the limit counts its address.
        """
        known = self.owner_in(cookies)
        if known:
            return Visitor(known, known)
        if is_loopback(address):
            return Visitor(f"address:{address}", f"address:{address}")
        owner, cookie = self.issue()
        return Visitor(owner, f"address:{address}", cookie)


def is_loopback(address: str) -> bool:
    """Whether a client's address is this machine; False for what is no address."""
    try:
        found = ip_address(address)
        return (getattr(found, "ipv4_mapped", None) or found).is_loopback
    except ValueError:
        return False
