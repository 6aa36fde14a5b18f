"""Who is logged in, and what they may do: the roles customer, agent and admin.

A session is a random token in a signed cookie; the database keeps the token's sha256. It ends after
SESSION_HOURS, at logout, with a new password and with its user. Logging in is throttled by name and
by address, and tells nobody which names exist: an unknown name is answered as late as a wrong
password, with the same words.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

import structlog
from itsdangerous import BadSignature, Signer
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.core.errors import AppError, TooMany
from app.core.passwords import hashed, matches
from app.store.db import Store
from app.store.models import utc_now
from app.store.users import ROLES, Role, known_role, plain

log = structlog.get_logger(__name__)
COOKIE = "frontdesk_session"
SESSION_HOURS = 12
BY_NAME = RateLimitItemPerMinute(5, 15)
BY_ADDRESS = RateLimitItemPerMinute(20, 15)
"""Tries in a quarter of an hour."""
_AT_ONCE = 2
"""Hashes computed at once: each takes 64 MiB."""


class WrongLogin(AppError):
    """The name, the password, or both."""

    code, status, zh_default = "wrong_login", 401, "用户名或密码不正确。"


class NotAllowed(AppError):
    """The visitor's role does not reach; the same for who is not logged in."""

    code, status, zh_default = "not_allowed", 403, "您没有权限查看，请先用相应的账号登录。"


class Account(NamedTuple):
    """Who asks; everybody is a customer at least."""

    role: Role
    name: str | None = None


class Accounts:
    """Login, logout, and the question whether somebody may; throttles in this process alone."""

    def __init__(self, store: Store, secret: str) -> None:
        self._users = store.users
        self._signer = Signer(secret, salt="frontdesk.session/1", digest_method=sha256)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._hashing = threading.Semaphore(_AT_ONCE)

    def who(self, cookies: Mapping[str, str]) -> Account:
        """The account that the cookies prove; a nameless customer without a session."""
        token = self._token(cookies)
        user = self._users.of_session(_digest(token)) if token else None
        return Account(known_role(user.role), user.name) if user else Account("customer")

    def require(self, role: Role, cookies: Mapping[str, str]) -> Account:
        """The account, if it may do what `role` may. Raises NotAllowed. For every handler."""
        account = self.who(cookies)
        if ROLES.index(account.role) < ROLES.index(role):
            raise NotAllowed(f"this is for the role {role}: log in with such an account first")
        return account

    def login(self, name: str, password: str, address: str, cookies: Mapping[str, str]) -> str:
        """A new session's cookie value; the session that `cookies` hold ends.

        Raises WrongLogin, or TooMany with the seconds to wait, before the password is looked at.
        """
        name = plain(name)
        self._count(name, address)
        user, decoy = self._users.find(name), self._decoy
        with self._hashing:
            right = matches(password, user.password_hash if user else decoy)
        if user is None or not right:
            log.info("login_refused")
            raise WrongLogin("wrong name or password")
        self._limiter.clear(BY_NAME, "name", name)
        self.logout(cookies)
        token = secrets.token_urlsafe(32)
        self._users.begin(name, _digest(token), utc_now() + timedelta(hours=SESSION_HOURS))
        log.info("login", user=name, role=user.role)
        return self._signer.sign(token).decode()

    def logout(self, cookies: Mapping[str, str]) -> None:
        """End the session that the cookies hold, wherever else its cookie lies."""
        token = self._token(cookies)
        if token:
            self._users.end(_digest(token))

    def _token(self, cookies: Mapping[str, str]) -> str | None:
        try:
            return self._signer.unsign(cookies[COOKIE]).decode()
        except (KeyError, BadSignature, UnicodeError):
            return None

    @cached_property
    def _decoy(self) -> str:
        """A hash that no password has, checked in place of an unknown user's."""
        return hashed(secrets.token_urlsafe(32))

    def _count(self, name: str, address: str) -> None:
        for item, *key in ((BY_ADDRESS, "address", address), (BY_NAME, "name", name[:64])):
            if self._limiter.hit(item, *key):
                continue
            until = self._limiter.get_window_stats(item, *key).reset_time
            wait = max(1, math.ceil(until - time.time()))
            minutes = math.ceil(wait / 60)
            raise TooMany(
                f"too many tries: please wait {minutes} min",
                zh=f"尝试次数太多，请等待 {minutes} 分钟。",
                retry_after_s=wait,
            )


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
