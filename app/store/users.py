"""Users with a role and a password, and the sessions in which they are logged in.

The store keeps hashes alone: who reads the database can neither log in nor take over a session.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from sqlalchemy import delete, select

from app.core.errors import InputError, NotFound, nearest
from app.store.models import Login, User, utc_now
from app.store.tickets import freed

if TYPE_CHECKING:
    from app.store.db import Store

Role = Literal["customer", "agent", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


def plain(name: str) -> str:
    """A name as it is kept and looked up: capitals and spaces around it do not count."""
    return name.strip().lower()


class Users:
    """One row a user; a session ends with its user, with a new password, and at its time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, name: str, role: str, password_hash: str) -> User:
        """A new user. Raises InputError for a name that is taken or bad, or an unknown role."""
        name, role = plain(name), known_role(role)
        if not _NAME.fullmatch(name):
            raise InputError(
                f"user name {name[:80]!r}: expected up to 64 letters a-z, digits, '.', '_', '@' or "
                "'-', beginning with a letter or digit"
            )
        with self._store.write() as session:
            if session.get(User, name):
                raise InputError(
                    f"there is already a user {name!r}: take another name, or change the password "
                    f"(python -m app user password {name})"
                )
            user = User(name=name, role=role, password_hash=password_hash)
            session.add(user)
        return self.get(name)

    def get(self, name: str) -> User:
        """The user. Raises NotFound, with the nearest name."""
        found = self.find(name)
        if found is None:
            hint = nearest(plain(name), [user.name for user in self.list()])
            raise NotFound(f"no user {plain(name)[:80]!r}.{hint} See: python -m app user list")
        return found

    def find(self, name: str) -> User | None:
        """The user, or None."""
        if not _NAME.fullmatch(plain(name)):  # not asked for: PostgreSQL refuses NUL in a text
            return None
        with self._store.read() as session:
            return session.get(User, plain(name))

    def list(self) -> list[User]:
        """All users by name."""
        with self._store.read() as session:
            return list(session.scalars(select(User).order_by(User.name)))

    def set_password(self, name: str, password_hash: str) -> None:
        """Change the password and end all sessions of the user. Raises NotFound."""
        name = self.get(name).name
        with self._store.write() as session:
            user = session.get_one(User, name)
            user.password_hash = password_hash
            session.execute(delete(Login).where(Login.user_name == name))

    def remove(self, name: str) -> None:
        """Take the user away, and all sessions with it; tickets that the user has go back into the
        queue. Raises NotFound."""
        name = self.get(name).name
        with self._store.write() as session:
            freed(session, name)
            session.execute(delete(Login).where(Login.user_name == name))
            session.execute(delete(User).where(User.name == name))

    # Sessions -----------------------------------------------------------------------------------

    def begin(self, name: str, token_sha256: str, expires: datetime) -> None:
        """A session of the user, known by the hash of its token; those that are over go."""
        with self._store.write() as session:
            session.execute(delete(Login).where(Login.expires <= utc_now()))
            session.add(Login(token_sha256=token_sha256, user_name=name, expires=expires))

    def end(self, token_sha256: str) -> None:
        """The session is over; nothing happens where there is none."""
        with self._store.write() as session:
            session.execute(delete(Login).where(Login.token_sha256 == token_sha256))

    def of_session(self, token_sha256: str) -> User | None:
        """Whose session it is; None where there is none or it is over."""
        query = (
            select(User)
            .join(Login, Login.user_name == User.name)
            .where(Login.token_sha256 == token_sha256, Login.expires > utc_now())
        )
        with self._store.read() as session:
            return session.scalar(query)


def known_role(role: str) -> Role:
    """`role`, if it is one. Raises InputError listing them."""
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"no role {role!r}.{nearest(role, ROLES)} There is: {', '.join(ROLES)}")
